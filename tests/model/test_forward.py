"""Trunk and branch against plain PEFT: logits and gradients, and that the backbone is immutable."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from lora_bert.backbones.families.registry import encoder_config
from lora_bert.errors import BackboneError
from lora_bert.model import attention
from lora_bert.model.activation import activation_named
from lora_bert.model.builder import build_backbone
from lora_bert.model.forward import branch, logits, merged_updates, trunk
from lora_bert.tokens.batching import TokenBatch
from lora_bert.tokens.tokenized import TokenizedTexts
from tests.oracle import (
    NO_DROPOUT,
    named_parameters,
    named_tensors,
    peft_twin,
    random_adapter,
    random_batch,
    their_logits,
    tiny_engine,
)
from tests.tiny import FAMILIES, SPLIT, tiny_classifier

TARGETS = [
    ("all-linear", "all"),
    ("attention", "top:2"),
    ("output.dense", "top:1"),
]
NAMES = {"distilbert": "ffn.lin2", "modernbert": "Wo", "albert": "ffn_output"}
PADDED = random_batch([17, 3, 9, 1, 12])
FULL = random_batch([11, 11, 11])


def gradients(backbone, adapter, batch, **options):
    """Logits and gradients of the mean cross-entropy, by name."""
    named = named_tensors(adapter)
    for tensor in named.values():
        tensor.requires_grad_().grad = None
    hidden = trunk(backbone, batch.tokens, adapter.depth)
    scores = branch(backbone, hidden, batch.tokens.offsets, adapter, **options)
    F.cross_entropy(scores, torch.arange(len(batch.ids)) % 3).backward()
    return scores.detach(), {name: tensor.grad for name, tensor in named.items()}


@pytest.mark.parametrize(("target_modules", "layers"), TARGETS)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_logits_and_gradients_equal_pefts(model_type, target_modules, layers):
    if target_modules == "output.dense":
        target_modules = NAMES.get(model_type, target_modules)
    layers = layers if model_type in SPLIT else "all"
    backbone = tiny_engine(model_type)
    asked = {"target_modules": target_modules, "layers": layers}
    adapter = random_adapter(backbone, **asked)
    twin = peft_twin(model_type, adapter, **asked).train()
    for batch in (PADDED, FULL):
        ours, our_gradients = gradients(backbone, adapter, batch, seed=0)
        twin.zero_grad()
        theirs = their_logits(twin, batch)
        F.cross_entropy(theirs, torch.arange(len(batch.ids)) % 3).backward()
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-5)
        for name, parameter in named_parameters(twin).items():
            torch.testing.assert_close(
                our_gradients[name],
                parameter.grad,
                rtol=1e-5,
                atol=1e-5,
                msg=lambda m, n=name: n + m,
            )
        assert any(gradient.abs().max() > 1e-3 for gradient in our_gradients.values())


@pytest.mark.parametrize(
    "model_type",
    ["bert", "roberta", "xlm-roberta", "camembert", "ernie", "electra", "albert", "roformer",
     "deberta-v2"],
)  # fmt: skip
def test_token_types_are_taken_as_peft_takes_them(model_type):
    two = {"type_vocab_size": 2}
    backbone = tiny_engine(model_type, **two)
    adapter = random_adapter(backbone)
    batch = random_batch([17, 3, 9], types=True)
    theirs = their_logits(peft_twin(model_type, adapter, **two), batch).detach()
    torch.testing.assert_close(
        logits(backbone, batch.tokens, adapter), theirs, rtol=1e-5, atol=1e-5
    )
    without = logits(backbone, replace(batch, types=None).tokens, adapter)
    assert (without - theirs).abs().max() > 1e-3


@pytest.mark.parametrize("model_type", SPLIT)
def test_the_cut_between_trunk_and_branch_does_not_matter(model_type):
    backbone = tiny_engine(model_type)
    adapter = random_adapter(backbone, layers="top:1")
    assert adapter.depth == 3
    whole = logits(backbone, PADDED.tokens, replace(adapter, depth=0))
    for depth in range(1, 4):
        part = logits(backbone, PADDED.tokens, replace(adapter, depth=depth))
        torch.testing.assert_close(part, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_padding_changes_nothing(model_type):
    backbone = tiny_engine(model_type)
    adapter = random_adapter(backbone)
    together = logits(backbone, PADDED.tokens, adapter)
    for row, length in enumerate(PADDED.mask.sum(1).tolist()):
        cut = PADDED.mask[row : row + 1, :length]
        alone = replace(PADDED, ids=PADDED.ids[row : row + 1, :length], mask=cut)
        torch.testing.assert_close(
            logits(backbone, alone.tokens, adapter)[0], together[row], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("model_type", FAMILIES)
def test_checkpointing_gives_the_same_gradients(model_type):
    backbone = tiny_engine(model_type)
    adapter = replace(random_adapter(backbone), dropout=0.3)
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(7)
        found.append(gradients(backbone, adapter, PADDED, seed=0, checkpointing=checkpointing))
    (one, one_gradients), (other, other_gradients) = found
    torch.testing.assert_close(one, other)
    for name, gradient in one_gradients.items():
        torch.testing.assert_close(gradient, other_gradients[name])


def test_dropout_acts_while_training_only():
    backbone = tiny_engine("bert")
    adapter = replace(random_adapter(backbone), dropout=0.5)
    hidden = trunk(backbone, PADDED.tokens, adapter.depth)
    still = branch(backbone, hidden, PADDED.tokens.offsets, adapter)
    torch.testing.assert_close(still, branch(backbone, hidden, PADDED.tokens.offsets, adapter))
    moved = branch(backbone, hidden, PADDED.tokens.offsets, adapter, seed=0)
    assert (moved - still).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("model_type", "extra", "expected"),
    [
        ("bert", {}, 0.1),
        ("bert", {"classifier_dropout": 0.3}, 0.3),
        ("roberta", {"hidden_dropout_prob": 0.2}, 0.2),
        ("distilbert", {"seq_classif_dropout": 0.4}, 0.4),
        ("modernbert", {}, 0.0),
        ("albert", {"classifier_dropout_prob": 0.3}, 0.3),
        ("deberta-v2", {"cls_dropout": 0.3}, 0.3),
        ("mpnet", {"hidden_dropout_prob": 0.2}, 0.2),
    ],
)
def test_the_heads_dropout_is_the_familys(model_type, extra, expected):
    model = tiny_classifier(model_type, **extra)
    backbone = build_backbone(model.state_dict(), encoder_config(model.config.to_dict()))
    assert backbone.config.head.dropout == expected


@pytest.mark.parametrize("model_type", FAMILIES)
def test_nothing_frozen_gets_a_gradient(model_type):
    backbone = tiny_engine(model_type)
    adapter = random_adapter(backbone)
    gradients(backbone, adapter, PADDED, seed=0)
    frozen = [
        backbone.word_embeddings,
        backbone.position_embeddings,
        backbone.token_type_embeddings,
        backbone.embedding_norm.weight,
    ]
    frozen += [part.weight for part in backbone.linears.values()]
    frozen += [part.bias for part in backbone.linears.values()]
    frozen += [norm.weight for layer in backbone.layers for norm in layer.norms.values()]
    frozen += list(backbone.pretrained_head.values())
    for tensor in frozen:
        assert tensor is None or (not tensor.requires_grad and tensor.grad is None)


def test_adapters_of_different_kinds_share_one_backbone():
    backbone = tiny_engine("bert")
    kinds = [
        {"labels": 2, "rank": 1, "layers": "top:1", "seed": 1},
        {"labels": 5, "rank": 8, "layers": "all", "seed": 2},
        {"labels": 3, "rank": 3, "layers": "top:3", "target_modules": "query,value", "seed": 3},
    ]
    adapters = [random_adapter(backbone, **kind) for kind in kinds]
    alone = [logits(tiny_engine("bert"), PADDED.tokens, adapter) for adapter in adapters]
    for _ in range(2):
        for adapter, expected in zip(adapters, alone, strict=True):
            assert torch.equal(logits(backbone, PADDED.tokens, adapter), expected)
    assert [scores.shape[1] for scores in alone] == [2, 5, 3]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_bfloat16_backbone_is_close_and_answers_in_float32(model_type, monkeypatch):
    model = tiny_classifier(model_type, **NO_DROPOUT[model_type])
    config = model.config.to_dict()
    exact = build_backbone(model.state_dict(), encoder_config(config))
    rough = build_backbone(model.state_dict(), encoder_config(config), dtype=torch.bfloat16)
    adapter = random_adapter(exact)
    assert rough.dtype == torch.bfloat16
    wanted = logits(exact, PADDED.tokens, adapter)
    for tiles in (True, False):  # a processor's unit for matrices decides how attention is computed
        monkeypatch.setattr(attention, "has_amx", lambda tiles=tiles: tiles)
        found = logits(rough, PADDED.tokens, adapter)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, rtol=0.1, atol=0.1)
    _, rough_gradients = gradients(rough, adapter, PADDED, seed=0)
    _, exact_gradients = gradients(exact, adapter, PADDED, seed=0)
    for name, gradient in rough_gradients.items():
        assert gradient.dtype == torch.float32
        assert (gradient - exact_gradients[name]).norm() <= 0.2 * exact_gradients[
            name
        ].norm() + 1e-3


def test_a_copy_is_not_changed_by_further_training():
    adapter = random_adapter(tiny_engine("bert"))
    for tensor in adapter.tensors:
        tensor.requires_grad_()
    kept = adapter.copy()
    before = [tensor.clone() for tensor in kept.tensors]
    with torch.no_grad():
        for tensor in adapter.tensors:
            tensor.zero_()
    assert all(map(torch.equal, kept.tensors, before))
    assert not any(tensor.requires_grad for tensor in kept.tensors)
    assert kept.parameter_count == adapter.parameter_count


@pytest.mark.parametrize("model_type", FAMILIES)
def test_merged_changes_answer_the_same(model_type):
    backbone = tiny_engine(model_type)
    adapter = random_adapter(backbone, layers="top:2" if model_type in SPLIT else "all")
    before = {name: linear.weight.clone() for name, linear in backbone.linears.items()}
    merged = merged_updates(backbone, adapter)
    assert all(change.merged for change in merged.values())
    assert all(
        torch.equal(linear.weight, before[name]) for name, linear in backbone.linears.items()
    )
    expected = logits(backbone, PADDED.tokens, adapter)
    torch.testing.assert_close(
        logits(backbone, PADDED.tokens, adapter, merged), expected, rtol=1e-5, atol=1e-5
    )


def test_an_unknown_activation_is_named():
    with pytest.raises(BackboneError, match="activation 'gelu_fast', which is not supported"):
        activation_named("gelu_fast")


def test_a_convolution_sees_no_row_beside_its_own():
    """DeBERTa's first layer has one, with or without relative positions."""
    model = tiny_classifier(
        "deberta-v2", conv_kernel_size=3, conv_act="gelu", relative_attention=False,
        pos_att_type=[], **NO_DROPOUT["deberta-v2"],
    )  # fmt: skip
    backbone = build_backbone(model.state_dict(), encoder_config(model.config.to_dict()))
    assert not backbone.config.has_plain_layers
    batch, adapter = random_batch([5, 3, 9]), random_adapter(backbone)
    together = logits(backbone, batch.tokens, adapter)
    for row, length in enumerate([5, 3, 9]):
        ids = torch.as_tensor(batch.ids[row][:length]).tolist()
        alone = TokenizedTexts.of([ids], pad_id=0)
        torch.testing.assert_close(
            logits(backbone, TokenBatch.of(alone, [0]), adapter)[0], together[row],
            rtol=1e-4, atol=1e-5,
        )  # fmt: skip
