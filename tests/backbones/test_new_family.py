"""A family that the package does not have: described in one place, and everything takes it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import lora_bert
from lora_bert.backbones.config_values import whole
from lora_bert.backbones.families.bert import BERT
from lora_bert.backbones.families.family import Family
from lora_bert.backbones.families.registry import FAMILIES, encoder_config, register
from lora_bert.backbones.layout import HeadLayout, Layout
from lora_bert.errors import BackboneError
from tests.tiny import FAMILIES as NAMES
from tests.tiny import write_backbone

TOY = Family(
    model_type="toy",
    architecture="ToyForSequenceClassification",
    layout=Layout(
        prefix="toy.",
        layer="blocks.{}",
        linears={
            "query": "mix.q",
            "key": "mix.k",
            "value": "mix.v",
            "attention_output": "mix.o",
            "intermediate": "think.wide",
            "output": "think.narrow",
        },
        norms={"attention": "mix.norm", "output": "think.norm"},
        word_embeddings="tables.tokens",
        position_embeddings="tables.places",
        embedding_norm="tables.norm",
        token_type_embeddings="tables.kinds",
        head=HeadLayout(dense="toy.neck", output="face", modules=("neck", "face")),
    ),
    keys={"hidden_size": "width", "num_hidden_layers": "blocks"},
    defaults={**BERT.defaults, "depths": 1},
    kinds={"depths": whole(1, 9)},
    telling=("width", "blocks"),
    specialise=lambda config, values: replace(
        config, num_hidden_layers=config.num_hidden_layers * values.need("depths")
    ),
)
"""BERT under other names; the number of layers is a product of two."""
_NAMES = {
    r"embeddings\.word_embeddings": "tables.tokens",
    r"embeddings\.position_embeddings": "tables.places",
    r"embeddings\.token_type_embeddings": "tables.kinds",
    r"embeddings\.LayerNorm": "tables.norm",
    r"pooler\.dense": "neck",
    r"encoder\.layer\.(\d+)\.attention\.self\.(.)\w+": r"blocks.\1.mix.\2",
    r"encoder\.layer\.(\d+)\.attention\.output\.dense": r"blocks.\1.mix.o",
    r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm": r"blocks.\1.mix.norm",
    r"encoder\.layer\.(\d+)\.intermediate\.dense": r"blocks.\1.think.wide",
    r"encoder\.layer\.(\d+)\.output\.dense": r"blocks.\1.think.narrow",
    r"encoder\.layer\.(\d+)\.output\.LayerNorm": r"blocks.\1.think.norm",
}
ROWS = [("good fine", "yes"), ("bad awful", "no"), ("tasty hot", "yes"), ("cold slow", "no")] * 6
TEXTS = ["good", "bad", "cold good"]


@pytest.fixture
def known():
    register(TOY)
    yield
    del FAMILIES[TOY.model_type]


@pytest.fixture
def bert(tmp_path):
    """A tiny BERT, without dropout: which elements that drops depends on the names of layers."""
    return write_backbone(tmp_path / "bert", hidden_dropout_prob=0.0)


@pytest.fixture
def toy(bert, tmp_path):
    """The same backbone as one of the toy family."""
    place = Path(shutil.copytree(bert, tmp_path / "toy"))
    renamed = {}
    for name, tensor in load_file(place / "model.safetensors").items():
        stem, _, kind = name.rpartition(".")
        for pattern, meant in _NAMES.items():
            if re.fullmatch(pattern, stem):
                renamed[f"{re.sub(pattern, meant, stem)}.{kind}"] = tensor
    save_file(renamed, place / "model.safetensors")
    written = json.loads((place / "config.json").read_text())
    written |= {"model_type": "toy", "width": written.pop("hidden_size"), "blocks": 2, "depths": 2}
    del written["num_hidden_layers"], written["architectures"]
    (place / "config.json").write_text(json.dumps(written))
    return place


def train(backbone, output):
    return lora_bert.train(ROWS, backbone=str(backbone), output=output, epochs=2)


def answers(path):
    return lora_bert.load(path, dtype="float32").probabilities(TEXTS)


def test_it_is_trained_loaded_and_merged(known, bert, toy, tmp_path):
    train(toy, tmp_path / "adapter")
    train(bert, tmp_path / "of-bert")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert saved["modules_to_save"] == ["neck", "face"]
    assert saved["target_modules"] == list(TOY.layout.linears.values())
    assert saved["layers_to_transform"] == [2, 3]
    stored = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert "base_model.model.toy.blocks.3.think.wide.lora_B.weight" in stored
    expected = answers(tmp_path / "adapter")
    assert (answers(tmp_path / "of-bert") == expected).all()
    lora_bert.merge(tmp_path / "adapter", tmp_path / "merged")
    written = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert written["architectures"] == ["ToyForSequenceClassification"]
    assert written["width"] == 32
    assert answers(tmp_path / "merged") == pytest.approx(expected, abs=1e-5)
    assert lora_bert.verify(toy).passed


def test_its_settings_are_checked(known, toy):
    written = json.loads((toy / "config.json").read_text())
    with pytest.raises(BackboneError, match="'depths' is 10, not a whole number from 1 to 9"):
        encoder_config({**written, "depths": 10})
    with pytest.raises(BackboneError, match="'width' is '32', not a whole number"):
        encoder_config({**written, "width": "32"})
    del written["model_type"]
    with pytest.raises(BackboneError, match="has no 'model_type'") as caught:
        encoder_config(written)
    assert '"model_type": "toy"' in caught.value.hint


def test_before_it_is_known_it_is_refused(toy, tmp_path):
    with pytest.raises(BackboneError, match="type 'toy' are not supported") as caught:
        train(toy, tmp_path / "adapter")
    assert "Supported: albert, bert" in caught.value.hint


def test_the_families_of_every_file_are_known():
    assert sorted(FAMILIES) == sorted(NAMES)
