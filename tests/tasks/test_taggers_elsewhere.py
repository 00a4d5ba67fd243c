"""A tagger of every family in plain ``transformers``, plain PEFT and exported graphs."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

import lora_bert
from lora_bert.adapters.loading import load_any
from lora_bert.errors import AdapterError
from tests.oracle import of_plain_peft
from tests.tiny import FAMILIES, write_backbone

TEXTS = ["good tasty cold awful fast", "awful late zoo", "good hot"]


def probabilities(model, place: Path) -> list[np.ndarray]:
    """What a ``transformers`` or PEFT model says of every token of :data:`TEXTS`."""
    tokenizer = AutoTokenizer.from_pretrained(place)
    with torch.no_grad():
        outputs = [model(**tokenizer(text, return_tensors="pt")).logits[0] for text in TEXTS]
    return [each.softmax(-1).numpy() for each in outputs]


def assert_same(place: Path, theirs: list[np.ndarray], **options) -> None:
    predictor = lora_bert.load(place, dtype="float32", **options)
    tokens = predictor.tokenizer.encode(TEXTS)
    for row, values in enumerate(predictor.values(TEXTS)):
        spans = tokens.spans[tokens.starts[row] : tokens.starts[row + 1]]
        np.testing.assert_allclose(values.probabilities, theirs[row][spans[:, 0] >= 0], atol=1e-5)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_every_family_in_transformers_and_peft(model_type, dishes, tmp_path):
    backbone = write_backbone(tmp_path / "backbone", model_type)
    adapter, merged = tmp_path / "adapter", tmp_path / "merged"
    lora_bert.train(
        dishes, backbone=backbone, output=adapter, epochs=1, learning_rate=0.03, dtype="float32",
        head_start="random",
    )  # fmt: skip
    assert lora_bert.merge(adapter, merged).difference < 1e-5
    model, loading = AutoModelForTokenClassification.from_pretrained(
        merged, output_loading_info=True
    )
    assert not any(loading.values())
    assert model.config.id2label[1] == "B-DISH"
    assert_same(merged, probabilities(model.eval(), merged))

    base = AutoModelForTokenClassification.from_pretrained(backbone, num_labels=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=FutureWarning)
        peft = PeftModel.from_pretrained(base, adapter).eval()
    assert_same(adapter, probabilities(peft, adapter))


@pytest.mark.parametrize(
    ("model_type", "modules"), [("bert", ["query", "value"]), ("modernbert", ["Wqkv"])]
)
def test_plain_peft_is_opened(model_type, modules, tmp_path):
    backbone = write_backbone(tmp_path / "backbone", model_type)
    torch.manual_seed(0)
    base = AutoModelForTokenClassification.from_pretrained(backbone, num_labels=3)
    saved = ["head", "classifier"] if model_type == "modernbert" else None
    peft = of_plain_peft(base, "TOKEN_CLS", modules, saved)
    peft.save_pretrained(tmp_path / "plain")
    labels = ["O", "B-X", "I-X"]
    options = {"backbone": str(backbone), "labels": labels}
    assert_same(tmp_path / "plain", probabilities(peft, backbone), **options)
    with pytest.raises(AdapterError, match="LABEL_0' is no tag of IOB2"):
        lora_bert.load(tmp_path / "plain", backbone=str(backbone))


def test_the_pipeline_says_the_same_where_tags_may_follow_each_other(tagger, tmp_path):
    lora_bert.merge(tagger, tmp_path / "merged")
    tag = pipeline(
        "token-classification", model=str(tmp_path / "merged"), aggregation_strategy="first"
    )
    predictor = lora_bert.load(tmp_path / "merged", dtype="float32")
    ours, legal = predictor.predict(TEXTS, aggregation="first"), predictor.predict(TEXTS)
    for text, first, best in zip(TEXTS, ours, legal, strict=True):
        theirs = [(each["start"], each["end"], each["entity_group"]) for each in tag(text)]
        assert [(each.start, each.end, each.label) for each in first.entities] == theirs
        assert first.entities == best.entities != ()


@pytest.mark.parametrize("form", ["openvino", "onnx"])
@pytest.mark.parametrize("model_type", ["bert", "modernbert"])
def test_exported_graphs(form, model_type, tagger, dishes, tmp_path):
    pytest.importorskip("onnxruntime" if form == "onnx" else "openvino")
    if model_type != "bert":
        backbone = write_backbone(tmp_path / "backbone", model_type)
        tagger = tmp_path / "adapter"
        lora_bert.train(dishes, backbone=backbone, output=tagger, epochs=1, dtype="float32")
    result = lora_bert.export(tagger, tmp_path / form, format=form)
    assert result.difference < 1e-4
    assert result.agreement == 1
    ours, theirs = lora_bert.load(tagger, dtype="float32"), lora_bert.load(tmp_path / form)
    for one, two in zip(ours.predict(TEXTS), theirs.predict(TEXTS), strict=True):
        assert (one.words, one.tags) == (two.words, two.tags)
    # Rows of one batch are padded; what is said of padding belongs to no row.
    many = TEXTS * 20
    for one, two in zip(ours.predict(many), theirs.predict(many), strict=True):
        assert one.tags == two.tags


def test_a_merged_tagger_says_what_it_is(tagger, tmp_path):
    lora_bert.merge(tagger, tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert config["architectures"] == ["BertForTokenClassification"]
    assert config["problem_type"] is None
    (tmp_path / "merged" / "lora_bert.json").unlink()  # as if somebody else had made it
    loaded = load_any(tmp_path / "merged")
    assert loaded.manifest.problem_type == "token_tagging"
    assert lora_bert.verify(tmp_path / "merged").passed
