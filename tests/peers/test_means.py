"""Adapters whose head reads the mean of the tokens: in plain PEFT, and merged for everybody."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import lora_bert
from lora_bert.adapters.describe import describe
from lora_bert.cli.app import run
from lora_bert.errors import AdapterError
from tests.adapters.test_card import python_blocks
from tests.adapters.test_peft_opens_ours import TEXTS, in_plain_peft, our_logits, plain_logits
from tests.tiny import ADDED, MEAN, write_backbone


def backbone_of(place: Path) -> Path:
    return next(place.glob("*-backbone"))


def copied(adapter: Path, place: Path, **changed) -> Path:
    """A copy of an adapter that says something else of itself; None: nothing."""
    shutil.copytree(adapter, place)
    manifest = json.loads((place / "lora_bert.json").read_text()) | changed
    said = {key: value for key, value in manifest.items() if value is not None}
    (place / "lora_bert.json").write_text(json.dumps(said))
    return place


@pytest.fixture(scope="module")
def without_layers(trained_on_means, reviews, tmp_path_factory):
    """Adapters that are a head alone, which reads the mean, by family."""
    made = {}
    for family in ("bert", "roberta", "modernbert"):
        place = tmp_path_factory.mktemp(f"heads-{family}")
        backbone = backbone_of(trained_on_means[family])
        lora_bert.train(reviews, backbone=str(backbone), output=place / "adapter", epochs=1,
                        method="head-only", pooling="mean", dtype="float32")  # fmt: skip
        made[family] = place / "adapter"
    return made


@pytest.mark.parametrize("family", MEAN)
def test_plain_peft_refuses_it_and_says_why(family, trained_on_means):
    place = trained_on_means[family]
    with pytest.raises(ValueError, match=r"the head reads another vector.*README\.md"):
        in_plain_peft(backbone_of(place), place / "adapter", 2)


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_plain_peft_refuses_a_head_alone_too(family, trained_on_means, without_layers):
    with pytest.raises((IndexError, ValueError)):
        in_plain_peft(backbone_of(trained_on_means[family]), without_layers[family], 2)


def test_plain_peft_refuses_it_beside_another_one(trained_on_means, reviews, tmp_path):
    place = trained_on_means["bert"]
    backbone = backbone_of(place)
    lora_bert.train(reviews, backbone=str(backbone), output=tmp_path / "first", epochs=1,
                    pooling="cls")  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=2)
    model = PeftModel.from_pretrained(model, tmp_path / "first")
    with pytest.raises(ValueError, match="the head reads another vector"):
        model.load_adapter(place / "adapter", "mean")


def opened_by_the_card(adapter: Path, backbone: Path):
    """The PEFT model that the card's own lines make."""
    text = (adapter / "README.md").read_text(encoding="utf-8")
    _, plain = python_blocks(text, THIS_DIRECTORY=adapter, DIR=backbone)
    names: dict[str, object] = {}
    exec(plain, names)
    return names["model"].eval()  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", MEAN)
def test_the_cards_lines_open_it_in_plain_peft(family, trained_on_means, tmp_path):
    place = trained_on_means[family]
    adapter = place / "adapter"
    theirs = plain_logits(opened_by_the_card(adapter, backbone_of(place)), adapter)
    torch.testing.assert_close(our_logits(adapter), theirs, rtol=1e-5, atol=1e-5)
    first = our_logits(copied(adapter, tmp_path / "first", pooling="cls"))
    assert (first - theirs).abs().max() > 1e-2


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_the_cards_lines_open_a_head_alone_too(family, trained_on_means, without_layers):
    adapter = without_layers[family]
    model = opened_by_the_card(adapter, backbone_of(trained_on_means[family]))
    theirs = plain_logits(model, adapter)
    torch.testing.assert_close(our_logits(adapter), theirs, rtol=1e-5, atol=1e-5)


def test_without_its_description_it_is_not_guessed(trained_on_means, without_layers, tmp_path):
    for number, adapter in enumerate(
        (trained_on_means["bert"] / "adapter", without_layers["bert"])
    ):
        copy = shutil.copytree(adapter, tmp_path / f"{number}")
        (copy / "lora_bert.json").unlink()
        (copy / "run.yaml").unlink()
        with pytest.raises(AdapterError, match="does not say what its head reads"):
            lora_bert.load(copy, backbone=str(backbone_of(trained_on_means["bert"])))
    adapter = trained_on_means["bert"] / "adapter"
    with pytest.raises(AdapterError, match="does not say what its head reads"):
        lora_bert.load(copied(adapter, tmp_path / "silent", pooling=None))


def test_adapters_that_say_nothing_read_what_they_always_read(
    adapter, tiny_backbone, reviews, tmp_path
):
    manifest = json.loads((adapter / "lora_bert.json").read_text())
    assert manifest.pop("pooling") == "cls"
    older = shutil.copytree(adapter, tmp_path / "older")
    (older / "lora_bert.json").write_text(json.dumps(manifest))
    assert torch.equal(our_logits(older), our_logits(adapter))
    # On a merged model whose own classifier reads the mean, too.
    lora_bert.train(reviews, backbone=str(tiny_backbone), output=tmp_path / "head", epochs=1,
                    method="head-only", pooling="mean")  # fmt: skip
    lora_bert.merge(tmp_path / "head", tmp_path / "merged")
    elsewhere = our_logits(older, backbone=str(tmp_path / "merged"))
    torch.testing.assert_close(elsewhere, our_logits(older), rtol=1e-6, atol=1e-6)
    with pytest.raises(AdapterError, match="pooling 'max' is not supported"):
        lora_bert.load(copied(adapter, tmp_path / "other", pooling="max"))


def test_a_mean_that_the_family_has_not_is_refused(reviews, tmp_path):
    backbone = write_backbone(tmp_path / "mine", "albert")
    lora_bert.train(reviews, backbone=str(backbone), output=tmp_path / "a", epochs=1)
    copy = copied(tmp_path / "a", tmp_path / "b", pooling="mean")
    with pytest.raises(AdapterError, match="albert backbone has not: layers share their weights"):
        lora_bert.load(copy)


@pytest.mark.parametrize("family", MEAN)
def test_the_merged_model_is_a_plain_one(family, trained_on_means):
    adapter, merged = (trained_on_means[family] / name for name in ("adapter", "merged"))
    ours = our_logits(adapter)
    model = AutoModelForSequenceClassification.from_pretrained(merged, dtype="float32").eval()
    torch.testing.assert_close(ours, plain_logits(model, merged), rtol=1e-5, atol=1e-5)
    saved = load_file(merged / "model.safetensors")
    assert saved.keys() == dict(model.named_parameters()).keys()
    assert model.config.num_hidden_layers == (5 if family in ADDED else 4)
    for dtype in ("bfloat16", "float16"):
        rounded = AutoModelForSequenceClassification.from_pretrained(merged, dtype=dtype).eval()
        torch.testing.assert_close(plain_logits(rounded, merged).float(), ours, rtol=0, atol=0.05)


@pytest.mark.parametrize("family", MEAN)
def test_we_read_the_merged_model_as_the_adapter(family, trained_on_means, monkeypatch):
    adapter, merged = (trained_on_means[family] / name for name in ("adapter", "merged"))
    torch.testing.assert_close(our_logits(merged), our_logits(adapter), rtol=1e-6, atol=1e-6)
    ours, alone = (lora_bert.load(path, dtype="bfloat16") for path in (adapter, merged))
    np.testing.assert_allclose(ours.values(TEXTS), alone.values(TEXTS), atol=0.02)
    assert lora_bert.verify(merged).passed
    assert lora_bert.verify(adapter).passed
    for path in (adapter, merged):
        assert describe(path)["pooling"] == "mean"


def test_it_is_scored_quantised_and_asked_as_the_adapter(trained_on_means, reviews, capsys):
    adapter, merged = (trained_on_means["bert"] / name for name in ("adapter", "merged"))
    scores = [lora_bert.evaluate(path, data=reviews, dtype="float32") for path in (adapter, merged)]
    assert scores[0].scores.log_loss == pytest.approx(scores[1].scores.log_loss, abs=1e-6)
    said = []
    for option, path in (("--adapter", adapter), ("--model", merged)):
        assert run(["infer", option, str(path), "--dtype", "float32", "good tasty"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != ""
    try:
        eight = [lora_bert.load(path, dtype="int8").values(TEXTS) for path in (adapter, merged)]
    except lora_bert.LoraBertError:
        return  # nothing here multiplies it fast
    np.testing.assert_allclose(*eight, atol=0.02)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_exports_of_both_compute_the_mean(form, trained_on_means, tmp_path):
    pytest.importorskip("onnxruntime" if form == "onnx" else "openvino")
    place = trained_on_means["bert"]
    expected = lora_bert.load(place / "adapter", dtype="float32").values(TEXTS)
    for name in ("adapter", "merged"):
        lora_bert.export(place / name, tmp_path / name, format=form)
        found = lora_bert.load(tmp_path / name, dtype="float32").values(TEXTS)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert config["num_hidden_layers"] == 4
        assert "lora_bert_mean_layer" not in config


def test_a_merged_model_that_was_trained_further_is_what_it_has_become(trained_on_means, tmp_path):
    merged = shutil.copytree(trained_on_means["bert"] / "merged", tmp_path / "m")
    weights = load_file(merged / "model.safetensors")
    name = "bert.encoder.layer.4.output.dense.bias"
    weights[name] += torch.randn(32, generator=torch.Generator().manual_seed(0))
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    model = AutoModelForSequenceClassification.from_pretrained(merged).eval()
    torch.testing.assert_close(
        our_logits(merged), plain_logits(model, merged), rtol=1e-5, atol=1e-5
    )
    assert (our_logits(merged) - our_logits(trained_on_means["bert"] / "merged")).abs().max() > 1e-3


@pytest.mark.parametrize("family", ["bert", "distilbert", "deberta-v2"])
def test_a_merged_model_as_backbone(family, trained_on_means, reviews, tmp_path):
    """The layer is not adapted: who trains on such a model reads its mean."""
    merged = trained_on_means[family] / "merged"
    adapter = tmp_path / "adapter"
    lora_bert.train(reviews, backbone=str(merged), output=adapter, epochs=1, dtype="float32")
    manifest = json.loads((adapter / "lora_bert.json").read_text())
    assert manifest["pooling"] == "mean"
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert (config["layers_to_transform"], config["init_lora_weights"]) == ([2, 3], True)
    # The layer is there for PEFT: it opens the adapter as it is.
    torch.testing.assert_close(
        our_logits(adapter), in_plain_peft(merged, adapter, 2), rtol=1e-5, atol=1e-5
    )
    lora_bert.merge(adapter, tmp_path / "again")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again").eval()
    assert model.config.num_hidden_layers == 5
    theirs = plain_logits(model, tmp_path / "again")
    torch.testing.assert_close(our_logits(adapter), theirs, rtol=1e-5, atol=1e-5)


def test_the_first_token_on_such_a_backbone(trained_on_means, reviews, tmp_path):
    merged, adapter = trained_on_means["bert"] / "merged", tmp_path / "adapter"
    lora_bert.train(reviews, backbone=str(merged), output=adapter, epochs=1, pooling="cls",
                    dtype="float32")  # fmt: skip
    with pytest.raises(ValueError, match="the head reads another vector"):
        in_plain_peft(merged, adapter, 2)
    assert "which the backbone, a merged model, has not" in (adapter / "README.md").read_text()
    lora_bert.merge(adapter, tmp_path / "again")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again").eval()
    assert model.config.num_hidden_layers == 4
    theirs = plain_logits(model, tmp_path / "again")
    torch.testing.assert_close(our_logits(adapter), theirs, rtol=1e-5, atol=1e-5)


def test_modernbert_can_leave_its_mean(reviews, tmp_path):
    backbone = write_backbone(tmp_path / "mine", "modernbert", classifier_pooling="mean")
    for pooling in ("auto", "cls"):
        adapter, merged = tmp_path / pooling, tmp_path / f"{pooling}-merged"
        lora_bert.train(reviews, backbone=str(backbone), output=adapter, epochs=1, pooling=pooling,
                        dtype="float32")  # fmt: skip
        lora_bert.merge(adapter, merged)
        model = AutoModelForSequenceClassification.from_pretrained(merged).eval()
        assert model.config.classifier_pooling == {"auto": "mean"}.get(pooling, pooling)
        theirs = plain_logits(model, merged)
        torch.testing.assert_close(our_logits(adapter), theirs, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(our_logits(merged), theirs, rtol=1e-5, atol=1e-5)
    theirs = in_plain_peft(backbone, tmp_path / "auto", 2)
    torch.testing.assert_close(our_logits(tmp_path / "auto"), theirs, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="the head reads another vector"):
        in_plain_peft(backbone, tmp_path / "cls", 2)
    theirs = plain_logits(opened_by_the_card(tmp_path / "cls", backbone), tmp_path / "cls")
    torch.testing.assert_close(our_logits(tmp_path / "cls"), theirs, rtol=1e-5, atol=1e-5)


def test_adapters_that_read_otherwise_share_a_backbone(trained_on_means, reviews, tmp_path):
    place = trained_on_means["bert"]
    backbone = backbone_of(place)
    lora_bert.train(reviews, backbone=str(backbone), output=tmp_path / "cls", epochs=1,
                    pooling="cls")  # fmt: skip
    session = lora_bert.Session(str(backbone), dtype="float32")
    for name, path in (("mean", place / "adapter"), ("cls", tmp_path / "cls")):
        session.add(path, name)
    for name, path in (("mean", place / "adapter"), ("cls", tmp_path / "cls")):
        alone = lora_bert.load(path, dtype="float32").predict(TEXTS)
        assert session.predict(TEXTS, adapter=name) == alone


def test_sentence_transformers_opens_the_merged_model(trained_on_means):
    library = pytest.importorskip("sentence_transformers")
    merged = trained_on_means["bert"] / "merged"
    pairs = [(text, "good") for text in TEXTS]
    found = library.CrossEncoder(str(merged), device="cpu").predict(pairs, apply_softmax=True)
    model = AutoModelForSequenceClassification.from_pretrained(merged).eval()
    tokens = AutoTokenizer.from_pretrained(merged)(*map(list, zip(*pairs, strict=True)),
                                                   padding=True, return_tensors="pt")  # fmt: skip
    with torch.no_grad():
        np.testing.assert_allclose(found, model(**tokens).logits.softmax(-1), atol=1e-5)


def test_the_card_says_what_the_head_reads(trained_on_means, adapter):
    text = (trained_on_means["bert"] / "adapter" / "README.md").read_text()
    assert re.search(r"which refuses it as it is: the head reads the mean of a text's tokens", text)
    assert "num_hidden_layers=5" in text
    assert "n_layers=5" in (trained_on_means["distilbert"] / "adapter" / "README.md").read_text()
    assert "refuses" not in (adapter / "README.md").read_text()
