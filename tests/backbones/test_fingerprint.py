"""The fingerprint: equal for exact copies in any form, different for any other backbone."""

from __future__ import annotations

import shutil

import pytest
from safetensors.torch import load_file, save_file

import lora_bert
from lora_bert.backbones.checkpoint import read_checkpoint
from lora_bert.backbones.families import family_of, read_config
from lora_bert.backbones.fingerprint import fingerprint
from lora_bert.errors import AdapterError
from tests.tiny import write_backbone


def of(directory, **changed):
    config = read_config(directory) | changed
    family = family_of(config)
    return fingerprint(read_checkpoint(directory, family), config, family)


def rewritten(source, target, change):
    shutil.copytree(source, target)
    save_file(change(load_file(source / "model.safetensors")), target / "model.safetensors")
    return target


def test_equal_for_another_prefix_and_without_the_pooler(tiny_backbone, tmp_path):
    def change(tensors):
        return {f"bert.{name}": tensor for name, tensor in tensors.items() if "pooler" not in name}

    assert of(rewritten(tiny_backbone, tmp_path / "copy", change)) == of(tiny_backbone)


def test_equal_for_exact_storage_in_a_wider_dtype(tiny_backbone, tmp_path):
    def halved(tensors):
        return {name: tensor.half() for name, tensor in tensors.items()}

    def widened(tensors):
        return {name: tensor.double() for name, tensor in tensors.items()}

    half = rewritten(tiny_backbone, tmp_path / "half", halved)
    assert of(rewritten(half, tmp_path / "wide", widened)) == of(half)
    assert of(half) != of(tiny_backbone)


def test_different_for_other_settings(tiny_backbone):
    assert of(tiny_backbone, num_attention_heads=2) != of(tiny_backbone)
    assert of(tiny_backbone, hidden_act="relu") != of(tiny_backbone)


@pytest.mark.parametrize(
    ("model_type", "changed"),
    [
        ("albert", {"num_hidden_layers": 8}),
        ("roformer", {"rotary_value": True}),
        ("ernie", {"use_task_id": False}),
        ("deberta-v2", {"pos_att_type": ["c2p"]}),
        ("deberta-v2", {"norm_rel_ebd": "none"}),
        ("deberta-v2", {"max_relative_positions": 40}),
    ],
)
def test_different_for_the_settings_of_a_family(model_type, changed, tmp_path):
    backbone = write_backbone(tmp_path / "b", model_type)
    assert of(backbone, **changed) != of(backbone)
    # However a setting is written: transformers turns this one into a list.
    if model_type == "deberta-v2":
        assert of(backbone, pos_att_type="p2c|c2p") == of(backbone)


def test_an_adapter_refuses_other_weights_of_the_same_shapes(tiny_backbone, adapter, tmp_path):
    def change(tensors):
        return {name: tensor * 1.01 for name, tensor in tensors.items()}

    other = rewritten(tiny_backbone, tmp_path / "tiny-bert", change)
    with pytest.raises(AdapterError, match=r"another backbone.*fingerprint"):
        lora_bert.load(adapter, backbone=str(other))
