"""Checkpoints as they lie about: prefixes, old names, shards; and those that are refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_bert.backbones.weights import read_checkpoint, read_safetensors
from lora_bert.errors import AdapterError, BackboneError
from tests.tiny import FAMILIES, tiny_classifier, tiny_config, write_backbone


def encoder(model_type):
    """A tiny encoder's tensors, under the names its sequence classifier has."""
    model = tiny_classifier(model_type)
    prefix = tiny_config(model_type).layout.prefix
    return {name: part for name, part in model.state_dict().items() if name.startswith(prefix)}


def written(directory, tensors):
    directory.mkdir(exist_ok=True)
    save_file(
        {name: tensor.clone().contiguous() for name, tensor in tensors.items()},
        directory / "model.safetensors",
    )
    return directory


@pytest.mark.parametrize("prefix", ["", "same", "0.auto_model.", "base_model.model.bert."])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_any_prefix_is_read_the_same(model_type, prefix, tmp_path):
    config = tiny_config(model_type)
    expected = encoder(model_type)
    prefix = config.layout.prefix if prefix == "same" else prefix
    stored = {
        prefix + name.removeprefix(config.layout.prefix): part for name, part in expected.items()
    }
    found = read_checkpoint(written(tmp_path, stored), config)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_whole_classifier_keeps_the_names_of_its_head(model_type, tmp_path):
    state = tiny_classifier(model_type).state_dict()
    assert read_checkpoint(written(tmp_path, state), tiny_config(model_type)).keys() == state.keys()


def test_a_head_beside_a_bare_encoder_keeps_its_name(tmp_path):
    config = tiny_config()
    bare = {name.removeprefix("bert."): part for name, part in encoder("bert").items()}
    found = read_checkpoint(written(tmp_path, {**bare, "classifier.weight": torch.ones(2)}), config)
    assert "classifier.weight" in found
    assert "bert.pooler.dense.weight" in found


def test_gamma_and_beta_are_weight_and_bias(tmp_path):
    expected = encoder("bert")
    stored = {}
    for name, tensor in expected.items():
        if "LayerNorm" in name:
            name = name.replace(".weight", ".gamma").replace(".bias", ".beta")  # noqa: PLW2901
        stored[name] = tensor
    assert any(name.endswith(".gamma") for name in stored)
    found = read_checkpoint(written(tmp_path, stored), tiny_config())
    assert found.keys() == expected.keys()


def test_shards_are_put_together(tmp_path):
    config = tiny_config()
    whole = read_checkpoint(write_backbone(tmp_path / "whole"), config)
    model = tiny_classifier("bert")
    model.base_model.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    found = read_checkpoint(tmp_path / "sharded", config)
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in whole.items())


def test_a_missing_shard_is_named(tmp_path):
    model = tiny_classifier("bert")
    model.base_model.save_pretrained(tmp_path, max_shard_size="20KB")
    gone = sorted(tmp_path.glob("model-*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(BackboneError, match=f"lacks {gone.name}, which its index names"):
        read_checkpoint(tmp_path, tiny_config())


@pytest.mark.parametrize("text", ["{", "[]", '{"metadata": {}}', '{"weight_map": []}'])
def test_a_damaged_index(text, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(BackboneError, match=r"model\.safetensors\.index\.json' (is|does) "):
        read_checkpoint(tmp_path, tiny_config())


def test_pickles_are_never_opened(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    with pytest.raises(BackboneError, match=r"only as a pickle \(\.bin\)") as caught:
        read_checkpoint(tmp_path, tiny_config())
    assert "lora-bert convert-backbone" in caught.value.hint


def test_no_weights(tmp_path):
    with pytest.raises(BackboneError, match=r"has no model\.safetensors"):
        read_checkpoint(tmp_path, tiny_config())


@pytest.mark.parametrize("size", [0, 7, 100, -1])
@pytest.mark.parametrize("error", [BackboneError, AdapterError])
def test_a_truncated_file(size, error, tmp_path):
    path = write_backbone(tmp_path / "b") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(error, match="is damaged or not a safetensors file"):
        read_safetensors(path, error)


def test_another_family(tmp_path):
    directory = write_backbone(tmp_path / "d", "distilbert")
    with pytest.raises(BackboneError, match="not those of a 'modernbert' encoder"):
        read_checkpoint(directory, tiny_config("modernbert"))


def test_tensors_keep_the_dtype_they_are_stored_in(tmp_path):
    stored = {name: tensor.half() for name, tensor in encoder("bert").items()}
    found = read_checkpoint(written(tmp_path, stored), tiny_config())
    assert {tensor.dtype for tensor in found.values()} == {torch.float16}
    assert load_file(tmp_path / "model.safetensors").keys() == found.keys()


def test_the_index_may_name_a_file_more_than_once(tmp_path):
    model = tiny_classifier("bert")
    model.base_model.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00001.safetensors")
    index = {"weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert read_checkpoint(tmp_path, tiny_config())
