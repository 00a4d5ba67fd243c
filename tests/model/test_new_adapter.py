"""A fresh adapter: changes nothing yet, is the same for the same seed, has transformers' names."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from lora_bert.errors import ConfigError
from lora_bert.model.builder import build_backbone
from lora_bert.model.forward import logits
from lora_bert.model.new_adapter import new_adapter
from tests.oracle import random_batch, tiny_engine
from tests.tiny import FAMILIES, tiny_classifier

TOKENS = random_batch([9, 4]).tokens


def fresh(backbone, labels=3, seed=0, rank=4, **changed):
    options = {"alpha": 8.0, "dropout": 0.1, "target_modules": "all-linear", "layers": "all"}
    generator = torch.Generator().manual_seed(seed)
    return new_adapter(backbone, labels, rank=rank, generator=generator, **options | changed)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_it_changes_nothing_yet(model_type):
    backbone = tiny_engine(model_type)
    adapter = fresh(backbone)
    without = replace(adapter, factors={})
    # An activation that is applied inside a product may round otherwise.
    torch.testing.assert_close(
        logits(backbone, TOKENS, adapter),
        logits(backbone, TOKENS, without),
        rtol=1e-6,
        atol=1e-6,
    )


def test_factors_are_drawn_as_peft_draws_them():
    factors = fresh(tiny_engine("bert")).factors
    for pair in factors.values():
        assert not pair.lora_B.any()
        bound = 1 / math.sqrt(pair.lora_A.shape[1])
        assert pair.lora_A.abs().max() <= bound
        assert pair.lora_A.std() == pytest.approx(bound / math.sqrt(3), rel=0.2)
        assert pair.scaling == 2.0


@pytest.mark.parametrize(
    ("model_type", "extra"),
    [(family, {}) for family in FAMILIES]
    + [("modernbert", {"classifier_bias": True, "norm_bias": True})],
)
@pytest.mark.parametrize("pretrained", [True, False])
def test_the_head_has_transformers_names_and_shapes(model_type, extra, pretrained):
    model = tiny_classifier(model_type, labels=5, **extra)
    state = model.state_dict()
    names = {name for name, _ in model.named_parameters()}
    if not pretrained:
        base = model.base_model_prefix + "."
        state = {name: tensor for name, tensor in state.items() if name.startswith(base)}
        state = {name: tensor for name, tensor in state.items() if "pooler" not in name}
    backbone = build_backbone(state, model.config.to_dict())
    head = fresh(backbone, labels=5).head
    expected = {name: tensor.shape for name, tensor in model.state_dict().items() if name in head}
    assert {name: tensor.shape for name, tensor in head.items()} == expected
    parts = ("classifier", "pooler", "head.")
    assert head.keys() == {name for name in names if any(part in name for part in parts)}


def test_hidden_layer_of_the_head_comes_from_the_checkpoint_and_the_output_is_new():
    backbone = tiny_engine("bert")
    head = fresh(backbone, labels=3).head
    pooler = "bert.pooler.dense.weight"
    assert torch.equal(head[pooler], backbone.pretrained_head[pooler])
    assert head[pooler].data_ptr() != backbone.pretrained_head[pooler].data_ptr()
    assert not torch.equal(head["classifier.weight"], backbone.pretrained_head["classifier.weight"])


def test_same_seed_same_adapter():
    backbone = tiny_engine("bert")
    assert all(map(torch.equal, fresh(backbone).tensors, fresh(backbone).tensors))
    assert not all(map(torch.equal, fresh(backbone).tensors, fresh(backbone, seed=1).tensors))


def test_depth_is_the_lowest_adapted_layer():
    backbone = tiny_engine("bert")
    assert fresh(backbone).depth == 0
    assert fresh(backbone, layers="top:1").depth == 3


def test_float32_on_a_bfloat16_backbone():
    model = tiny_classifier("bert")
    backbone = build_backbone(model.state_dict(), model.config.to_dict(), dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in fresh(backbone).tensors} == {torch.float32}


@pytest.mark.parametrize("rank", [0, -1])
def test_rank_below_one(rank):
    with pytest.raises(ConfigError, match=f"--rank {rank}"):
        fresh(tiny_engine("bert"), rank=rank)
