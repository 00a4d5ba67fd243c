"""Training does not show where the trunk's output came from."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

import lora_bert
from lora_bert.cache import trunk_cache as trunk
from lora_bert.cache.housekeeping import clear, entries
from tests.tiny import SPLIT, write_backbone

OPTIONS = {
    "epochs": 1, "batch_size": 8, "layers": "top:2", "dropout": 0.1, "head_start": "random",
}  # fmt: skip


@pytest.fixture
def train(tiny_backbone, reviews, tmp_path):
    made = iter(range(99))

    def call(**options):
        usual = OPTIONS | {"backbone": str(tiny_backbone), "output": tmp_path / f"{next(made)}"}
        path = lora_bert.train(reviews, **usual | options).path
        return load_file(path / "adapter_model.safetensors")

    return call


def distance(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_memory_disk_reused_and_rebuilt_train_to_the_same_bits(train, dtype):
    first = train(trunk_cache="memory", dtype=dtype)
    assert entries(["trunk"]) == []
    written, reused = (train(trunk_cache="disk", dtype=dtype) for _ in range(2))
    assert len(clear(["trunk"])) == 1
    rebuilt = train(trunk_cache="disk", dtype=dtype)
    for other in (written, reused, rebuilt, train(trunk_cache="memory", dtype=dtype)):
        assert all(torch.equal(part, first[name]) for name, part in other.items())
    assert not all(
        torch.equal(part, first[name])
        for name, part in train(trunk_cache="memory", dtype=dtype, seed=1).items()
    )


@pytest.mark.parametrize("family", SPLIT)
def test_without_a_cache_it_trains_to_the_same_adapter(train, family, tmp_path):
    backbone = str(write_backbone(tmp_path / "backbone", family))
    options = {"backbone": backbone, "dtype": "float32", "dropout": 0.0}
    one, other = train(trunk_cache="memory", **options), train(trunk_cache="off", **options)
    moved = train(trunk_cache="off", seed=1, **options)
    assert distance(one, other) < 0.01 * distance(one, moved)


def test_a_run_of_all_layers_keeps_nothing(train, monkeypatch):
    monkeypatch.setattr(trunk, "_WORTH_A_FILE", 1)
    train(layers="all", trunk_cache="disk")
    assert entries(["trunk"]) == []
    train(dtype="float32")
    (entry,) = entries(["trunk"])
    assert entry.what == "tiny-bert, 2 of 4 layers, float32, 60 texts"
