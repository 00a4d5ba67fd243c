"""Backbones as they lie around: found where that is certain, else named for what they are."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import lora_bert
from lora_bert.adapters.describe import describe
from lora_bert.adapters.directory import kind_of
from lora_bert.backbones.families.registry import FAMILIES, encoder_config
from lora_bert.backbones.resolve import backbone_path, find_backbone
from lora_bert.errors import AdapterError, BackboneError, NotFoundError
from tests.tiny import tiny_classifier

TYPE = "sentence_transformers.models.Transformer"


@pytest.fixture
def base(tiny_backbone, tmp_path) -> Path:
    """A copy of a backbone, to change."""
    return Path(shutil.copytree(tiny_backbone, tmp_path / "base"))


def old_layout(backbone: Path, place: Path, folder: str = "0_Transformer") -> Path:
    """What sentence-transformers wrote in its old versions."""
    shutil.copytree(backbone, place / folder)
    (place / "1_Pooling").mkdir()
    (place / "1_Pooling" / "config.json").write_text("{}")
    modules = [
        {"idx": 0, "name": "0", "path": folder, "type": TYPE},
        {
            "idx": 1,
            "name": "1",
            "path": "1_Pooling",
            "type": "sentence_transformers.models.Pooling",
        },
    ]
    (place / "modules.json").write_text(json.dumps(modules))
    return place


# sentence-transformers


@pytest.mark.parametrize("folder", ["0_Transformer", "0_BERT"])
@pytest.mark.parametrize("above", [None, {"__version__": "0.2.4"}])
def test_old_sentence_transformers(
    folder, above, tiny_backbone, reviews, tmp_path, caplog, monkeypatch
):
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    place = old_layout(tiny_backbone, tmp_path / "my-sbert", folder)
    if above is not None:
        (place / "config.json").write_text(json.dumps(above))
    caplog.set_level(logging.INFO, "lora_bert")
    lora_bert.train(reviews, backbone=str(place), output=tmp_path / "a", epochs=1)
    assert f"its transformer, '{folder}', is the backbone" in caplog.text
    told = json.loads((tmp_path / "a" / "lora_bert.json").read_text())
    assert told["backbone"]["name"] == "my-sbert"
    assert lora_bert.load(tmp_path / "a").predict(["good"])
    assert lora_bert.verify(place).kind == "backbone"
    assert lora_bert.verify(place).passed
    assert describe(place)["kind"] == "backbone"
    # The folder itself, and the name where it is searched for.
    assert find_backbone(str(place / folder)).name == "my-sbert"
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "another"))
    monkeypatch.setenv("LORA_BERT_BACKBONES", str(tmp_path))
    assert backbone_path("my-sbert") == place / folder
    assert lora_bert.load(tmp_path / "a").predict(["good"])


def test_new_sentence_transformers(base):
    modules = [{"idx": 0, "name": "0", "path": "", "type": TYPE}]
    (base / "modules.json").write_text(json.dumps(modules))
    found = find_backbone(str(base))
    assert (found.name, found.path) == ("base", base.resolve())


def test_a_backbone_of_its_own_beside_modules(base, tiny_backbone):
    """The transformer that the directory itself holds is the one that counts."""
    old_layout(tiny_backbone, base)
    assert find_backbone(str(base)).path == base.resolve()


@pytest.mark.parametrize(
    "modules",
    ["[", "{}", "[]", "[1]", '[{"path": 5}]', '[{"path": "../elsewhere"}]', '[{"path": "a/b"}]',
     '[{"path": "/etc"}]', '[{"path": "link"}]', '[{"path": ".."}]', "[" * 100_000],
)  # fmt: skip
def test_modules_that_lead_nowhere(modules, tiny_backbone, tmp_path):
    place = tmp_path / "model"
    place.mkdir()
    shutil.copytree(tiny_backbone, tmp_path / "elsewhere")
    (place / "link").symlink_to(tmp_path / "elsewhere")
    (place / "modules.json").write_text(modules)
    with pytest.raises(BackboneError, match="is not a backbone: it has no config"):
        find_backbone(str(place))


def test_modules_that_are_a_link_to_elsewhere(tiny_backbone, tmp_path):
    place = old_layout(tiny_backbone, tmp_path / "sbert")
    moved = (place / "modules.json").rename(tmp_path / "elsewhere.json")
    (place / "modules.json").symlink_to(moved)
    with pytest.raises(BackboneError, match="is not a backbone"):
        find_backbone(str(place))


def test_an_old_one_with_a_pickle_is_converted(tiny_backbone, reviews, tmp_path):
    place = old_layout(tiny_backbone, tmp_path / "sbert")
    weights = place / "0_Transformer" / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(BackboneError, match="only as a pickle"):
        lora_bert.train(reviews, backbone=str(place), output=tmp_path / "a", epochs=1)
    lora_bert.convert_backbone(place, tmp_path / "converted")
    assert lora_bert.verify(tmp_path / "converted").passed


# No model_type


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize("end", ["Model", "ForMaskedLM", "ForSequenceClassification"])
def test_the_line_to_add_is_that_of_the_architecture(model_type, end):
    name = FAMILIES[model_type].architecture.replace("ForSequenceClassification", end)
    for config in ({"architectures": [name]}, {"architectures": [name], "model_type": None}):
        with pytest.raises(BackboneError, match="has no 'model_type'") as caught:
            encoder_config(config)
        assert f'"model_type": "{model_type}"' in caught.value.hint


@pytest.mark.parametrize("model_type", ["distilbert", "deberta-v2", "modernbert", "albert"])
def test_the_line_to_add_without_an_architecture(model_type):
    config = json.loads(tiny_classifier(model_type).config.to_json_string(use_diff=False))
    del config["model_type"]
    config.pop("architectures", None)
    with pytest.raises(BackboneError, match="has no 'model_type'") as caught:
        encoder_config(config)
    assert f'"model_type": "{model_type}"' in caught.value.hint


@pytest.mark.parametrize("config", [{}, {"architectures": []}, {"architectures": [5]}])
def test_the_families_to_choose_from(config):
    with pytest.raises(BackboneError, match="has no 'model_type'") as caught:
        encoder_config(config)
    assert "one of albert, bert" in caught.value.hint


def test_verify_says_the_line_to_add(base):
    config = json.loads((base / "config.json").read_text())
    del config["model_type"]
    (base / "config.json").write_text(json.dumps(config))
    found = lora_bert.verify(base)
    assert found.exit_code == 65
    assert '"model_type": "bert"' in found.checks[1].said


# Something else than a backbone


def test_an_adapter_as_a_backbone(adapter, reviews, tmp_path):
    with pytest.raises(BackboneError, match="trained on the backbone 'tiny-bert'; it is no b") as e:
        lora_bert.train(reviews, backbone=str(adapter), output=tmp_path / "out", epochs=1)
    assert e.value.hint.endswith("lora_bert.merge('ADAPTER', 'OUT').")


def test_plain_pefts_adapter_as_a_backbone(adapter, tiny_backbone, tmp_path):
    own = Path(shutil.copytree(adapter, tmp_path / "own"))
    for name in ("lora_bert.json", "run.yaml"):
        (own / name).unlink()
    path = own / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": "o/b"}))
    with pytest.raises(BackboneError, match="is an adapter, trained on the backbone 'o/b'"):
        find_backbone(str(own))
    shutil.copy(tiny_backbone / "config.json", own)
    with pytest.raises(BackboneError, match="is an adapter, trained on the backbone 'o/b'"):
        find_backbone(str(own))
    path.write_text("no JSON")
    with pytest.raises(BackboneError, match="is an adapter; it is no backbone"):
        find_backbone(str(own))


def test_a_merged_model_as_a_backbone(merged, reviews, tmp_path):
    lora_bert.train(reviews, backbone=str(merged), output=tmp_path / "a", epochs=1)
    assert lora_bert.load(tmp_path / "a").predict(["good"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model.onnx", "a graph is no backbone"),
        ("openvino_model.xml", "a graph is no backbone"),
        ("tf_model.h5", "for TensorFlow only"),
        ("flax_model.msgpack", "for Flax only"),
        ("weights.safetensors", "has no model.safetensors"),
    ],
)
def test_other_weights(name, says, base, reviews, tmp_path):
    (base / "model.safetensors").rename(base / name)
    with pytest.raises(BackboneError, match=says) as caught:
        lora_bert.train(reviews, backbone=str(base), output=tmp_path / "out", epochs=1)
    assert name != "weights.safetensors" or "'weights.safetensors'" in caught.value.hint


def test_a_folder_too_high(tiny_backbone, adapter, tmp_path):
    shutil.copytree(tiny_backbone, tmp_path / "up" / "one")
    with pytest.raises(BackboneError, match="has no config") as caught:
        find_backbone(str(tmp_path / "up"))
    assert caught.value.hint == f"Did you mean '{tmp_path / 'up' / 'one'}'?"
    shutil.copytree(tiny_backbone, tmp_path / "up" / "other")
    with pytest.raises(BackboneError, match="has no config") as caught:
        find_backbone(str(tmp_path / "up"))
    assert "'one', 'other'" in caught.value.hint
    shutil.copytree(adapter, tmp_path / "runs" / "mine")
    with pytest.raises(AdapterError, match="neither an adapter") as of_adapter:
        kind_of(tmp_path / "runs")
    assert of_adapter.value.hint == f"Did you mean '{tmp_path / 'runs' / 'mine'}'?"


def test_a_hubs_folder(tiny_backbone, tmp_path):
    place = tmp_path / "models--o--b"
    shutil.copytree(tiny_backbone, place / "snapshots" / "abc")
    with pytest.raises(BackboneError, match="has no config") as caught:
        find_backbone(str(place))
    assert str(place / "snapshots" / "abc") in caught.value.hint


def test_weights_without_a_config(base):
    (base / "config.json").unlink()
    with pytest.raises(BackboneError, match="has no config") as caught:
        find_backbone(str(base))
    assert "copy config.json" in caught.value.hint


def test_a_file_of_it(base):
    with pytest.raises(BackboneError, match="is a file; a backbone is a directory") as caught:
        find_backbone(str(base / "model.safetensors"))
    assert caught.value.hint == f"Did you mean '{base}'?"


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 17\n"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_files_that_git_has_not_fetched(name, base, reviews, tmp_path):
    (base / name).write_text(POINTER)
    with pytest.raises(BackboneError, match=f"{name}' is a pointer of Git LFS") as caught:
        lora_bert.train(reviews, backbone=str(base), output=tmp_path / "a", epochs=1)
    assert "git lfs pull" in caught.value.hint


def test_a_model_of_sentence_transformers_is_no_classifier(tiny_backbone, tmp_path):
    place = old_layout(tiny_backbone, tmp_path / "sbert")
    for above in (None, {"__version__": "0.2.4"}):
        if above is not None:
            (place / "config.json").write_text(json.dumps(above))
        with pytest.raises(AdapterError, match="is a model of sentence-transformers"):
            lora_bert.load(place)


def test_a_pickled_classifier_keeps_its_head_by_transformers(base):
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(BackboneError, match="only as a pickle") as caught:
        lora_bert.load(base)
    assert "transformers" not in caught.value.hint
    config = json.loads((base / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(BackboneError, match="only as a pickle") as caught:
        lora_bert.load(base)
    assert "Have transformers write the whole classifier" in caught.value.hint


def test_a_file_of_a_model_in_place_of_its_directory(base):
    (base / "onnx").mkdir()
    (base / "onnx" / "model.onnx").write_bytes(b"")
    for name in ("model.safetensors", "onnx/model.onnx"):
        with pytest.raises(NotFoundError, match="is not a directory") as caught:
            lora_bert.load(base / name)
        assert caught.value.hint == f"Did you mean '{base}'?"


def test_a_graph_in_a_folder_is_no_backbone(base):
    (base / "model.safetensors").unlink()
    (base / "onnx").mkdir()
    (base / "onnx" / "model.onnx").write_bytes(b"")
    with pytest.raises(BackboneError, match=r"is exported for an engine \('model\.onnx'\)"):
        lora_bert.load(base)
