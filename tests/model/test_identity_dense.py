"""The hidden layer of a head that passes on what it reads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lora_bert.model.heads import features
from lora_bert.model.identity_dense import identity_dense
from lora_bert.model.new_adapter import head_only
from tests.oracle import tiny_engine
from tests.tiny import FAMILIES


def read_of(rows=400, width=32, seed=0):
    """What a head reads: features of several spreads and means."""
    generator = torch.Generator().manual_seed(seed)
    spread, middle = torch.linspace(0.05, 0.5, width), torch.linspace(-1, 1, width)
    return middle + spread * torch.randn(rows, width, generator=generator)


def bare(model_type, **extra):
    """A backbone whose checkpoint has no head."""
    return replace(tiny_engine(model_type, **extra), pretrained_head={})


def passed_on(backbone, read, pooling="cls"):
    head = head_only(backbone, 2, generator=torch.Generator().manual_seed(0)).head
    dense = identity_dense(backbone, read, pooling)
    assert dense.keys() <= head.keys()
    assert all(tensor.shape == head[name].shape for name, tensor in dense.items())
    return features(backbone, read, {**head, **dense}, None)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_feature_comes_through_the_activation(family):
    read = read_of()
    said = passed_on(bare(family, **({"classifier_bias": True} if family == "modernbert" else {})),
                     read)  # fmt: skip
    for at in range(32):
        assert torch.corrcoef(torch.stack([read[:, at], said[:, at]]))[0, 1] > 0.93


def test_the_checkpoints_own_layer_stays_where_it_reads_what_it_was_made_for():
    backbone = tiny_engine("bert")
    assert "bert.pooler.dense.weight" in backbone.pretrained_head
    assert identity_dense(backbone, read_of(), "cls") == {}
    assert identity_dense(backbone, read_of(), "mean").keys() == {
        "bert.pooler.dense.weight", "bert.pooler.dense.bias"
    }  # fmt: skip
    own = tiny_engine("modernbert", classifier_pooling="mean")
    assert identity_dense(own, read_of(), "mean") == {}


def test_features_that_do_not_vary_are_not_blown_up():
    read = read_of()
    read[:, 3], read[:, 4] = 2.0, 2.0 + 1e-6 * torch.arange(400)
    dense = identity_dense(bare("bert"), read, "cls")
    scales = dense["bert.pooler.dense.weight"].diagonal()
    assert scales.isfinite().all()
    assert float(scales.max()) < 11 * 0.5 / float(read.std(dim=0).square().mean().sqrt())
    assert passed_on(bare("bert"), torch.zeros(5, 32)).isfinite().all()
