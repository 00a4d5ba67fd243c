"""Weights that exist only as a pickle: converted once, and nothing in them is run."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file

import lora_bert
from lora_bert.backbones import resolve
from lora_bert.backbones.families.registry import read_encoder_config
from lora_bert.backbones.fingerprint import fingerprint
from lora_bert.backbones.pooling import resolved_pooling
from lora_bert.backbones.weights import read_checkpoint
from lora_bert.errors import (
    BackboneError,
    ConfigError,
    NotFoundError,
    OutputError,
    UnavailableError,
)
from tests.tiny import tiny_classifier, write_backbone


@pytest.fixture
def pickled(tmp_path):
    """A tiny BERT as old hub repositories hold it: a masked language model, in one .bin file."""
    place = write_backbone(tmp_path / "old")
    stored = load_file(place / "model.safetensors")
    (place / "model.safetensors").unlink()
    words = stored["embeddings.word_embeddings.weight"]
    tensors = {f"bert.{name}": tensor for name, tensor in stored.items()}
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
    tensors["cls.predictions.bias"] = torch.zeros(len(words))
    tensors["bert.embeddings.position_ids"] = torch.arange(130)[None]
    torch.save(tensors, place / "pytorch_model.bin")
    return place


def identity(directory):
    config = read_encoder_config(directory)
    return fingerprint(read_checkpoint(directory, config), config)


def test_it_becomes_the_same_backbone(pickled, tiny_backbone, reviews, tmp_path):
    found = lora_bert.convert_backbone(pickled, tmp_path / "new")
    assert found.fingerprint == identity(tiny_backbone) == identity(tmp_path / "new")
    assert found.left_out == (
        "bert.embeddings.position_ids", "cls.predictions.bias", "cls.predictions.decoder.weight",
    )  # fmt: skip
    stored = load_file(tmp_path / "new" / "model.safetensors")
    assert found.parameters == sum(tensor.numel() for tensor in stored.values())
    assert not list((tmp_path / "new").glob("*.bin"))
    assert lora_bert.train(
        reviews, backbone=str(tmp_path / "new"), output=tmp_path / "adapter", epochs=1
    )


def test_what_the_backbone_was_made_for_is_kept(pickled, tmp_path):
    (pickled / "1_Pooling").mkdir()
    (pickled / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    lora_bert.convert_backbone(pickled, tmp_path / "new")
    files = resolve.find_backbone(str(tmp_path / "new"))
    assert resolved_pooling("auto", files, read_encoder_config(files.path)) == "mean"


def test_plain_transformers_reads_it_without_a_missing_weight(pickled, tmp_path):
    from transformers import AutoModel

    lora_bert.convert_backbone(pickled, tmp_path / "new")
    _, said = AutoModel.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not said["missing_keys"]
    assert not said["unexpected_keys"]


def test_shards(pickled, tiny_backbone, tmp_path):
    tensors = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    (pickled / "pytorch_model.bin").unlink()
    names = sorted(tensors)
    halves = {"pytorch_model-00001-of-00002.bin": names[::2], "b.bin": names[1::2]}
    for shard, chosen in halves.items():
        torch.save({name: tensors[name] for name in chosen}, pickled / shard)
    index = {name: shard for shard, chosen in halves.items() for name in chosen}
    path = pickled / "pytorch_model.bin.index.json"
    path.write_text(json.dumps({"weight_map": index}))
    assert lora_bert.convert_backbone(pickled, tmp_path / "a").fingerprint == identity(
        tiny_backbone
    )
    (pickled / "b.bin").unlink()
    with pytest.raises(BackboneError, match=r"lacks b\.bin"):
        lora_bert.convert_backbone(pickled, tmp_path / "b")


@pytest.mark.parametrize("model_type", ["albert", "deberta-v2"])
def test_poolers_outside_the_encoder_stay(model_type, tmp_path):
    place = write_backbone(tmp_path / "old", model_type)
    (place / "model.safetensors").unlink()
    state = tiny_classifier(model_type).state_dict()
    torch.save(state, place / "pytorch_model.bin")
    found = lora_bert.convert_backbone(place, tmp_path / "new")
    assert found.left_out == ("classifier.bias", "classifier.weight")
    assert any("pooler" in name for name in load_file(tmp_path / "new" / "model.safetensors"))


class Mark:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("old", [True, False], ids=["bare-pickle", "zip"])
def test_code_in_a_pickle_does_not_run(old, pickled, tmp_path):
    mark = tmp_path / "mark"
    evil = {"bert.embeddings.word_embeddings.weight": Mark(mark)}
    if old:
        (pickled / "pytorch_model.bin").write_bytes(pickle.dumps(evil))
    else:
        torch.save(evil, pickled / "pytorch_model.bin")
    with pytest.raises(BackboneError, match="asks for more than weights"):
        lora_bert.convert_backbone(pickled, tmp_path / "new")
    assert not mark.exists()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x80\x02.", b"nothing at all"])
def test_a_damaged_pickle(content, pickled, tmp_path):
    (pickled / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(BackboneError, match=r"pytorch_model\.bin' was not converted: it "):
        lora_bert.convert_backbone(pickled, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_list_of_tensors(pickled, tmp_path):
    torch.save([torch.ones(2)], pickled / "pytorch_model.bin")
    with pytest.raises(BackboneError, match="does not hold weights by name"):
        lora_bert.convert_backbone(pickled, tmp_path / "new")


def test_nothing_to_convert(tiny_backbone, tmp_path):
    with pytest.raises(ConfigError, match="holds safetensors already"):
        lora_bert.convert_backbone(tiny_backbone, tmp_path / "new")
    shutil.copy(tiny_backbone / "config.json", tmp_path)
    with pytest.raises(BackboneError, match=r"has no pytorch_model\.bin"):
        lora_bert.convert_backbone(tmp_path, tmp_path / "new")
    with pytest.raises(NotFoundError, match="No such backbone directory"):
        lora_bert.convert_backbone(tmp_path / "a" / "b", tmp_path / "new")


def test_without_network_what_helps_is_a_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(resolve, "_reachable", lambda _: False)
    with pytest.raises(UnavailableError, match="the hub cannot be reached") as refused:
        lora_bert.convert_backbone("hfl/rbt3", tmp_path / "new")
    assert refused.value.hint == "Give a local directory."


def test_another_family_is_refused_before_anything_is_opened(pickled, tmp_path):
    (pickled / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(BackboneError, match="type 't5' are not supported"):
        lora_bert.convert_backbone(pickled, tmp_path / "new")


def test_it_is_not_written_over_itself(pickled):
    with pytest.raises(OutputError):
        lora_bert.convert_backbone(pickled, pickled, overwrite=True)
    assert (pickled / "pytorch_model.bin").is_file()


def test_one_in_the_hubs_cache(pickled, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(resolve, "_reachable", lambda _: False)
    home = tmp_path / "hub" / "models--org--old"
    shutil.copytree(pickled, home / "snapshots" / ("0" * 40))
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0" * 40)
    assert lora_bert.convert_backbone("org/old", tmp_path / "new").parameters
