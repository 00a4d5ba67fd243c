"""``merge``: the same answers from a standalone model, or none."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

import lora_bert
from lora_bert.errors import AdapterError, ConfigError, OutputError
from lora_bert.exporting import merge as merging
from lora_bert.inference.samples import probes
from tests.tiny import FAMILIES, write_backbone

TEXTS = ["good tasty", "太慢了", "bad", "很好吃 good " * 30]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_same_answers_without_the_backbone(model_type, trained, tmp_path, monkeypatch):
    place = trained[model_type]
    expected = lora_bert.load(place / "adapter", dtype="float32").probabilities(TEXTS)
    # Alone: no backbone, no memory of one.
    alone = shutil.copytree(place / "merged", tmp_path / "alone")
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "lora_bert.adapters.loading.find_backbone", lambda *_: pytest.fail("looked for a backbone")
    )
    found = lora_bert.load(alone, dtype="float32")
    assert found.labels == ("negative", "positive")
    assert abs(found.probabilities(TEXTS) - expected).max() < 1e-5
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("model_type", FAMILIES)
def test_its_weights_are_a_whole_classifiers(model_type, trained):
    merged = trained[model_type] / "merged"
    model = AutoModelForSequenceClassification.from_pretrained(merged)
    saved = load_file(merged / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    assert saved.keys() == dict(model.named_parameters()).keys()
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert model.config.problem_type == "single_label_classification"


def test_without_the_manifest_transformers_files_are_enough(merged, tmp_path):
    copy = shutil.copytree(merged, tmp_path / "copy")
    (copy / "lora_bert.json").unlink()
    assert lora_bert.load(copy).predict(TEXTS) == lora_bert.load(merged).predict(TEXTS)


def test_result(adapter, tmp_path):
    result = lora_bert.merge(adapter, tmp_path / "out")
    assert result.path == tmp_path / "out"
    assert 0 <= result.difference < 1e-4
    assert result.texts == 64
    assert result.size == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "config.json",
        "lora_bert.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_the_shipped_probes():
    texts = probes().texts
    assert len(texts) == len(set(texts)) == 64
    assert all(text.strip() for text in texts)
    assert any("\u4e00" <= letter <= "\u9fff" for text in texts for letter in text)
    assert any(text.isascii() for text in texts)


def test_probes_of_ones_own(adapter, reviews, tmp_path):
    assert lora_bert.merge(adapter, tmp_path / "out", data=reviews).texts == 60


def test_probes_are_in_the_column_of_the_training(tiny_backbone, tmp_path, monkeypatch):
    """Not in one that is merely called like a text."""
    path = tmp_path / "r.csv"
    rows = [f"x,{'good' if n % 2 else 'bad'} {n},{n % 2}\n" for n in range(40)]
    path.write_text("text,feedback,label\n" + "".join(rows))
    lora_bert.train(path, text_column="feedback", backbone=str(tiny_backbone), epochs=1,
                    output=tmp_path / "a")  # fmt: skip
    seen = []

    def noted(*given):
        seen.append(given[2])
        return 0.0

    monkeypatch.setattr(merging, "_difference", noted)
    lora_bert.merge(tmp_path / "a", tmp_path / "m", data=str(path))
    assert seen[0][0] == "bad 0"


def test_tokens_without_a_row_in_the_model_are_refused(merged, tmp_path):
    """As where tokens were added and the embeddings not resized."""
    model = shutil.copytree(merged, tmp_path / "m")
    written = json.loads((model / "tokenizer.json").read_text())
    count = len(written["model"]["vocab"])
    written["model"]["vocab"] |= {f"new{n}": count + n for n in range(200)}
    (model / "tokenizer.json").write_text(json.dumps(written))
    (model / "lora_bert.json").unlink()  # it knows the tokenizer's fingerprint
    with pytest.raises(AdapterError, match="kinds of tokens"):
        lora_bert.load(model)


def test_a_merge_that_differs_is_not_kept(adapter, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "_difference", lambda *_: 3e-4)
    with pytest.raises(AdapterError, match=r"differs from base \+ adapter by 0\.0003"):
        lora_bert.merge(adapter, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_difference_is_seen(adapter, tmp_path, monkeypatch):
    written = merging.write_merged

    def spoilt(directory, loaded):
        written(directory, loaded)
        config = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))

    monkeypatch.setattr(merging, "write_merged", spoilt)
    with pytest.raises(AdapterError, match="it was not kept"):
        lora_bert.merge(adapter, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_nan_is_not_kept(adapter, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "_difference", lambda *_: float("nan"))
    with pytest.raises(AdapterError, match="it was not kept"):
        lora_bert.merge(adapter, tmp_path / "out")


def test_what_stood_there_survives_a_failure(adapter, tmp_path, monkeypatch):
    out = tmp_path / "out"
    lora_bert.merge(adapter, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(OutputError, match="not empty"):
        lora_bert.merge(adapter, out)
    monkeypatch.setattr(merging, "_difference", lambda *_: 1.0)
    with pytest.raises(AdapterError):
        lora_bert.merge(adapter, out, overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out]


def test_out_is_the_adapter_or_above_it(adapter, tmp_path):
    copy = shutil.copytree(adapter, tmp_path / "runs" / "copy")
    for out in (copy, copy / ".." / "copy", tmp_path / "runs"):
        with pytest.raises(OutputError, match=r"is or holds .*, which is read here"):
            lora_bert.merge(copy, out, overwrite=True)
    assert (copy / "adapter_model.safetensors").is_file()


def test_out_is_the_backbone(reviews, tmp_path):
    backbone = write_backbone(tmp_path / "tiny")
    lora_bert.train(reviews, backbone=str(backbone), output=tmp_path / "a", epochs=1)
    with pytest.raises(OutputError, match="is or holds"):
        lora_bert.merge(tmp_path / "a", backbone, overwrite=True)
    assert (backbone / "model.safetensors").is_file()


def test_a_merged_model_cannot_be_merged_again(merged, tmp_path):
    with pytest.raises(ConfigError, match="is a merged model already"):
        lora_bert.merge(merged, tmp_path / "out")
