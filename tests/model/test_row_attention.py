"""Rows read where they stand: the book-keeping of it here, the kernel itself where there is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.backbones.families.registry import encoder_config
from lora_bert.model import layer_by_hand, row_attention
from lora_bert.model.attention import attention_context
from lora_bert.model.builder import build_backbone
from lora_bert.model.forward import branch, logits, trunk
from lora_bert.model.row_attention import RowAttention, reads_rows
from lora_bert.tokens.batching import Offsets
from tests import row_kernel
from tests.oracle import NO_DROPOUT, random_adapter, random_batch, tiny_engine
from tests.row_kernel import as_on_a_gpu
from tests.tiny import FAMILIES, tiny_classifier

CPU = torch.device("cpu")
BIASED = ("deberta-v2", "mpnet", "modernbert", "roformer")
PLAIN = tuple(family for family in FAMILIES if family not in BIASED)
LENGTHS = {"one": [1], "short": [3, 9, 1, 4], "mixed": [40, 2, 17, 1, 33], "long": [128, 120, 9]}


def backbone_of(family, dtype=torch.float32, device="cpu", **extra):
    model = tiny_classifier(family, **NO_DROPOUT[family], **extra)
    config = encoder_config(model.config.to_dict())
    return build_backbone(model.state_dict(), config, dtype=dtype, device=device)


def outputs_and_gradients(backbone, adapter, batch, **options):
    """Outputs, and the gradients of the adapter's tensors and of what the trunk gave."""
    hidden = trunk(backbone, batch.tokens, adapter.depth).requires_grad_()
    moved = adapter.copy().to(backbone.device)
    for tensor in moved.tensors:
        tensor.requires_grad_()
    outputs = branch(backbone, hidden, batch.tokens.offsets, moved, **options)
    gradients = torch.autograd.grad(outputs.square().sum(), [hidden, *moved.tensors])
    return [part.detach().float().cpu() for part in (outputs, *gradients)]


def close(ours, theirs, tolerance=1e-5):
    for one, other in zip(ours, theirs, strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(
            one, other, rtol=10 * tolerance, atol=tolerance * float(other.abs().max() + 1)
        )


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40))
def test_filler_stands_in_rows_of_its_own_behind_the_others(lengths):
    offsets = Offsets.of(np.array(lengths))
    rows = RowAttention.of(offsets, 4, CPU)
    found = rows.cu_seqlens.diff()
    assert found[: len(lengths)].tolist() == lengths
    assert int(rows.cu_seqlens[-1]) == offsets.tokens
    assert 1 <= int(found.min()) <= int(found.max()) == rows.longest == max(lengths)
    assert rows.first.tolist() == rows.cu_seqlens[:-1].tolist()
    assert rows.one_each.tolist() == list(range(len(found) + 1))


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("family", PLAIN)
def test_outputs_and_gradients_are_those_of_blocks(family, lengths, monkeypatch):
    backbone, batch = tiny_engine(family), random_batch(lengths)
    adapter = random_adapter(backbone, layers="all" if family == "albert" else "top:2")
    theirs = outputs_and_gradients(backbone, adapter, batch)
    answers = logits(backbone, batch.tokens, adapter)
    as_on_a_gpu(monkeypatch)
    backbone = tiny_engine(family)
    assert isinstance(attention_context(backbone, batch.tokens.offsets), RowAttention)
    close(outputs_and_gradients(backbone, adapter, batch), theirs)
    close([logits(backbone, batch.tokens, adapter)], [answers])


@pytest.mark.parametrize(
    "options", [{"seed": 3}, {"seed": 3, "checkpointing": True}], ids=["plain", "checkpointing"]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_with_dropout_and_recomputed_layers_too(options, dropout, monkeypatch):
    backbone, batch = tiny_engine("bert"), random_batch(LENGTHS["mixed"])
    adapter = replace(random_adapter(backbone), dropout=dropout)
    theirs = outputs_and_gradients(backbone, adapter, batch, **options)
    as_on_a_gpu(monkeypatch)
    close(outputs_and_gradients(tiny_engine("bert"), adapter, batch, **options), theirs)


def test_an_activation_without_a_derivative_of_ours(monkeypatch):
    backbone, batch = tiny_engine("bert", hidden_act="tanh"), random_batch(LENGTHS["mixed"])
    adapter = random_adapter(backbone)
    theirs = outputs_and_gradients(backbone, adapter, batch)
    as_on_a_gpu(monkeypatch)
    backbone = tiny_engine("bert", hidden_act="tanh")
    close(outputs_and_gradients(backbone, adapter, batch), theirs)


def test_the_layers_that_train_are_those_written_by_hand(monkeypatch):
    seen = []
    monkeypatch.setattr(
        layer_by_hand._LayerByHand, "backward", lambda *_: seen.append(1) or pytest.fail("reached")
    )
    as_on_a_gpu(monkeypatch)
    backbone = tiny_engine("bert")
    with pytest.raises(pytest.fail.Exception, match="reached"):
        outputs_and_gradients(backbone, random_adapter(backbone), random_batch([9, 4]))
    assert seen


@pytest.mark.parametrize("family", BIASED)
def test_where_scores_have_biases_or_positions_turn_rows_are_padded(family, monkeypatch):
    as_on_a_gpu(monkeypatch)
    backbone = tiny_engine(family)
    assert not reads_rows(backbone)
    batch = random_batch(LENGTHS["short"])
    assert not isinstance(attention_context(backbone, batch.tokens.offsets), RowAttention)


def test_heads_of_a_width_that_the_kernel_does_not_take_are_padded(monkeypatch):
    as_on_a_gpu(monkeypatch)
    assert reads_rows(backbone_of("bert", num_attention_heads=4))
    assert not reads_rows(backbone_of("bert", num_attention_heads=8))


def test_a_cpu_has_no_such_kernel():
    assert not reads_rows(tiny_engine("bert"))
    assert not reads_rows(backbone_of("bert", torch.bfloat16))


@pytest.mark.parametrize("first_alone", [False, True])
def test_torchs_operators_take_what_they_are_given(first_alone):
    """On tensors without numbers, whose operators have the signature and the shapes of CUDA's."""
    cu_seqlens = torch.empty(5, dtype=torch.int32, device="meta")
    rows = RowAttention(cu_seqlens, 20, 4)
    qkv = torch.empty(64, 96, dtype=torch.bfloat16, device="meta", requires_grad=True)
    mixed = rows.mixed(qkv, first_alone=first_alone)
    assert mixed.shape == (4 if first_alone else 64, 32)
    (gradient,) = torch.autograd.grad(mixed.sum(), qkv)
    assert gradient.shape == qkv.shape
    mixed, kept = rows.attend(qkv)
    assert mixed.shape == (64, 32)
    assert rows.attend_backward(mixed, mixed, kept).shape == (64, 96)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_gpu_says_what_a_cpu_says_in_float32(family, lengths, dtype):
    """Variable-length attention in bfloat16 where the family allows it, padding elsewhere."""
    exact, batch = tiny_engine(family), random_batch(lengths)
    adapter = random_adapter(exact)
    theirs = outputs_and_gradients(exact, adapter, batch)
    there = backbone_of(family, dtype, "cuda")
    assert reads_rows(there) == (family in PLAIN and dtype == torch.bfloat16)
    ours = outputs_and_gradients(there, adapter, batch)
    if dtype == torch.float32:
        close(ours, theirs, tolerance=1e-4)
        return
    most = max(float(other.norm()) for other in theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.isfinite().all()
        assert (one - other).norm() <= 0.2 * other.norm() + 0.02 * most


@pytest.mark.cuda
def test_rows_on_a_gpu_are_as_exact_as_padding_there(monkeypatch):
    """At BERT's own head size, with rows as long as its positions."""
    sizes = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 512}
    sizes |= {"max_position_embeddings": 512}
    exact, there = (
        backbone_of("bert", **sizes),
        backbone_of("bert", torch.bfloat16, "cuda", **sizes),
    )
    adapter, batch = random_adapter(exact), random_batch([512, 3, 77, 300, 1])
    right = outputs_and_gradients(exact, adapter, batch)
    rows = outputs_and_gradients(there, adapter, batch)
    monkeypatch.setattr("lora_bert.model.row_attention.has_row_kernel", lambda *_: False)
    padded = outputs_and_gradients(there, adapter, batch)
    most = max(float(part.norm()) for part in right)
    for expected, one, other in zip(right, rows, padded, strict=True):
        assert (one - expected).norm() <= 2 * (other - expected).norm() + 0.01 * most


@pytest.mark.parametrize(
    "kernel", [lambda *_: (), lambda *given: (given[0], *row_kernel.forward(*given)[1:])]
)
def test_a_torch_whose_operators_are_others_pads(kernel, monkeypatch):
    as_on_a_gpu(monkeypatch)
    assert reads_rows(backbone_of("bert", torch.bfloat16))
    monkeypatch.setattr(row_attention, "forward_kernel", kernel)
    assert not reads_rows(backbone_of("bert", torch.bfloat16))


def test_a_torch_with_other_gradients_pads(monkeypatch):
    as_on_a_gpu(monkeypatch)
    monkeypatch.setattr(row_attention, "backward_kernel", lambda g, q, k, v, *_: (q, k, v))
    assert not reads_rows(backbone_of("bert", torch.bfloat16))
