"""The fingerprint: equal for exact copies in any form, different for any other backbone."""

from __future__ import annotations

import gc
import json
import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import lora_bert
from lora_bert.backbones.config import read_config
from lora_bert.backbones.families.registry import encoder_config, read_encoder_config
from lora_bert.backbones.fingerprint import fingerprint, read_identified
from lora_bert.backbones.weights import read_checkpoint
from lora_bert.errors import AdapterError
from lora_bert.files import sha256
from tests.tiny import write_backbone


def of(directory, **changed):
    config = encoder_config(read_config(directory) | changed)
    return fingerprint(read_checkpoint(directory, config), config)


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


@pytest.fixture
def own(reviews, tmp_path, monkeypatch):
    """An adapter and its backbone, known to nobody else."""
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    backbone = write_backbone(tmp_path / "base", layer_norm_eps=1e-6)
    lora_bert.train(reviews, backbone=str(backbone), output=tmp_path / "adapter", epochs=1)
    return tmp_path / "adapter", backbone


def test_a_mismatch_can_be_allowed(own, tiny_backbone, caplog):
    adapter, _ = own
    with pytest.raises(AdapterError, match=r"needs 'base' with fingerprint|needs '/") as caught:
        lora_bert.load(adapter, backbone=str(tiny_backbone))
    assert "allow_backbone_mismatch=True" in caught.value.hint
    found = lora_bert.load(adapter, backbone=str(tiny_backbone), allow_backbone_mismatch=True)
    assert len(found.predict(["good"])) == 1
    assert "Its answers may mean nothing" in caplog.text


def test_a_moved_backbone_is_found_by_its_fingerprint(own, tmp_path):
    adapter, backbone = own
    expected = lora_bert.load(adapter).predict(["good"])
    elsewhere = backbone.rename(tmp_path / "elsewhere")
    with pytest.raises(lora_bert.LoraBertError, match="needs the backbone 'base'"):
        lora_bert.load(adapter)
    # Seen once, under whatever name, for whatever reason.
    lora_bert.load(adapter, backbone=str(elsewhere))
    (tmp_path / "cache" / "backbones" / "known.json").unlink()
    assert lora_bert.load(adapter).predict(["good"]) == expected


def test_another_backbone_of_that_name_is_passed_over(own, tmp_path):
    adapter, backbone = own
    expected = lora_bert.load(adapter).predict(["good"])
    right = shutil.copytree(backbone, tmp_path / "right")
    lora_bert.load(adapter, backbone=str(right))
    shutil.rmtree(backbone)
    write_backbone(backbone, layer_norm_eps=1e-3)
    assert lora_bert.load(adapter).predict(["good"]) == expected


def test_computed_once_and_again_when_a_file_changes(tiny_backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    place = shutil.copytree(tiny_backbone, tmp_path / "b")
    config = read_encoder_config(place)
    computed = []

    def counted(*given):
        computed.append(1)
        return fingerprint(*given)

    monkeypatch.setattr("lora_bert.backbones.fingerprint.fingerprint", counted)

    def ask():
        return read_identified(place, config)[1]

    first = ask()
    assert ask() == first == of(place)
    assert len(computed) == 1
    weights = place / "model.safetensors"
    seen = weights.stat()
    tensors = load_file(weights)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, weights)
    os.utime(weights, ns=(seen.st_atime_ns, seen.st_mtime_ns))  # ctime tells
    assert ask() != first
    (tmp_path / "cache" / "backbones" / "fingerprints.json").write_text("[1, 2")
    assert ask() == of(place)


def test_weights_are_checked_until_their_fingerprint_is_known(own, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    checked = []
    monkeypatch.setattr(
        "lora_bert.backbones.weights.check_finite", lambda _, path, error: checked.append(path)
    )
    adapter, backbone = own
    place = str(shutil.copytree(backbone, tmp_path / "b"))
    for _ in range(2):
        lora_bert.load(adapter, backbone=place)
        gc.collect()
    assert len(checked) == 1
    os.utime(Path(place, "model.safetensors"))
    lora_bert.load(adapter, backbone=place)
    assert len(checked) == 2


def swap_two_words(path):
    written = json.loads(path.read_text())
    words = written["model"]["vocab"]
    words["good"], words["bad"] = words["bad"], words["good"]
    path.write_text(json.dumps(written, indent=1))


def test_a_tokenizer_that_was_changed_is_refused(own):
    adapter, _ = own
    said = json.loads((adapter / "lora_bert.json").read_text())
    assert len(said["tokenizer"]["fingerprint"]) == 64
    swap_two_words(adapter / "tokenizer.json")
    with pytest.raises(AdapterError, match="its tokenizer is not the one it was trained with"):
        lora_bert.load(adapter)


@pytest.mark.parametrize("kind", ["merged", "onnx"])
def test_so_is_that_of_a_model_that_stands_alone(own, kind, tmp_path):
    adapter, _ = own
    model = tmp_path / kind
    if kind == "merged":
        lora_bert.merge(adapter, model)
    else:
        pytest.importorskip("onnx")
        lora_bert.export(adapter, model, format=kind)
    said = {check.name: check.said for check in lora_bert.verify(model).checks}
    assert ", fingerprint " in said["tokenizer"]
    swap_two_words(model / "tokenizer.json")
    with pytest.raises(AdapterError, match="its tokenizer is not the one it was trained with"):
        lora_bert.load(model)
    assert not lora_bert.verify(model).passed
    (model / "tokenizer.json").unlink()
    with pytest.raises(AdapterError, match="has no tokenizer"):
        lora_bert.load(model)


def test_a_model_says_the_fingerprint_of_the_tokenizer_that_it_holds(own, tmp_path):
    adapter, _ = own
    path = adapter / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=3))  # as another version may
    said = json.loads((adapter / "lora_bert.json").read_text())
    said["tokenizer"]["fingerprint"] = sha256(path)
    (adapter / "lora_bert.json").write_text(json.dumps(said))
    lora_bert.merge(adapter, tmp_path / "merged")
    assert lora_bert.verify(tmp_path / "merged").passed
