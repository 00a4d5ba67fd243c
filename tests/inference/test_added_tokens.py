"""A tokenizer with more tokens than the embeddings have rows: usable until a text needs one."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import transformers

import lora_bert
from lora_bert.errors import AdapterError, BackboneError, DataError
from lora_bert.inference.stream import predict_file
from tests.tiny import VOCABULARY

ROWS = len(VOCABULARY)
BEYOND = ["<ORDER>", "<Phone>"]


def edited(place: Path, change) -> Path:
    path = place / "tokenizer.json"
    written = json.loads(path.read_text())
    change(written)
    path.write_text(json.dumps(written))
    return place


@pytest.fixture(scope="module")
def backbone(tiny_backbone, tmp_path_factory) -> Path:
    """The tiny backbone, with tokens added to its tokenizer as people add them."""
    place = tmp_path_factory.mktemp("added") / "added-tokens"
    shutil.copytree(tiny_backbone, place)
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    tokenizer.add_tokens(BEYOND)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def extended(tiny_backbone, tmp_path_factory) -> Path:
    """The tiny backbone, whose vocabulary itself was extended."""
    place = tmp_path_factory.mktemp("extended") / "extended-vocabulary"
    shutil.copytree(tiny_backbone, place)

    def longer(written):
        written["model"]["vocab"] |= {"zq": ROWS, "the": ROWS + 1, "##x1": ROWS + 7}

    return edited(place, longer)


@pytest.fixture(scope="module")
def trained(backbone, reviews, tmp_path_factory) -> Path:
    """An adapter on it."""
    path = tmp_path_factory.mktemp("adapters") / "a"
    lora_bert.train(reviews, backbone=str(backbone), output=path, epochs=1)
    return path


def rows(path: Path, *texts: str) -> Path:
    lines = [f"{'bad' if number % 2 else 'good'},{text}" for number, text in enumerate(texts)]
    path.write_text("\n".join(["label,text", *lines]) + "\n", encoding="utf-8")
    return path


def test_without_such_a_text_it_trains_with_a_warning(backbone, reviews, tmp_path, caplog):
    lora_bert.train(reviews, backbone=str(backbone), output=tmp_path / "a", epochs=1)
    assert "have no row for 2 tokens ('<ORDER>', '<Phone>')" in caplog.text


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_text_with_such_a_token_is_named_before_training(part, backbone, tmp_path):
    plain, broken = ["good", "bad"] * 8, ["good", "bad", "fine", "x <Phone> y", "<ORDER>"]
    given = {name: str(rows(tmp_path / f"{name}.csv", *(broken if name == part else plain)))
             for name in ("train", "validation", "test")}  # fmt: skip
    with pytest.raises(
        DataError, match=rf"{part}\.csv', line 5: the text holds '<Phone>', as 1 o"
    ) as e:
        lora_bert.train(**given, backbone=str(backbone), output=tmp_path / "out", epochs=1)
    assert f"of {ROWS} rows, have none" in str(e.value)
    assert "resize_token_embeddings" in e.value.hint
    assert not (tmp_path / "out").exists()


def test_a_watched_text_with_such_a_token(backbone, reviews, tmp_path):
    with pytest.raises(DataError, match="holds '<ORDER>'"):
        lora_bert.train(
            reviews, backbone=str(backbone), output=tmp_path / "a", epochs=1, watch=["<ORDER> x"]
        )


def test_what_train_wrote_opens_everywhere(trained, reviews, tmp_path):
    assert lora_bert.load(trained).predict(["good"])
    assert lora_bert.evaluate(trained, data=str(reviews))
    found = lora_bert.verify(trained)
    assert found.passed
    said = {check.name: check.said for check in found.checks}
    assert f"{ROWS} rows and none for '<ORDER>', '<Phone>'" in said["tokenizer"]
    lora_bert.merge(trained, tmp_path / "m")
    assert lora_bert.verify(tmp_path / "m").passed


def test_a_vocabulary_that_is_longer_itself(extended, reviews, tmp_path):
    """Texts that ship for comparisons hold such a token: others are compared."""
    lora_bert.train(reviews, backbone=str(extended), output=tmp_path / "a", epochs=1)
    found = lora_bert.verify(tmp_path / "a")
    assert found.passed, found.checks
    assert lora_bert.merge(tmp_path / "a", tmp_path / "m").texts < 64
    with pytest.raises(DataError, match="holds 'the'"):
        lora_bert.load(tmp_path / "m").predict(["the food"])
    with pytest.raises(DataError, match="holds '##x1'"):
        lora_bert.load(tmp_path / "a").predict(["goodx1"])


@pytest.mark.parametrize("engine", ["torch", "merged", "onnx", "openvino"])
def test_every_engine_refuses_such_a_text(engine, trained, tmp_path):
    place = trained
    if engine == "merged":
        place = tmp_path / "m"
        lora_bert.merge(trained, place)
    elif engine != "torch":
        for package in ("onnx", "onnxruntime") if engine == "onnx" else ("onnx", "openvino"):
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"{package} is not installed")
        place = tmp_path / "e"
        lora_bert.export(trained, place, format=engine)
    asked = engine if engine in ("onnx", "openvino") else "auto"
    predictor = lora_bert.load(place, engine=asked)
    assert predictor.predict(["good"])
    for texts in (["good", "<ORDER> late"], ["good"] * 9000 + ["<ORDER> late"]):
        with pytest.raises(DataError, match="The text '<ORDER> late' holds '<ORDER>'") as caught:
            predictor.probabilities(texts)
        assert "resize_token_embeddings" in caught.value.hint


def test_of_a_file_the_line_is_named(trained, tmp_path):
    """The broken text stands in the second file, behind more rows than are computed at once."""
    first, second = tmp_path / "part-1.csv", tmp_path / "part-2.csv"
    rows(first, *["good"] * 8200)
    rows(second, *["bad"] * 8200, "<ORDER> late")
    predictor = lora_bert.load(trained)
    place = r"part-2\.csv', line 8,202: the text '<ORDER> late' holds '<ORDER>'"
    with pytest.raises(DataError, match=place) as caught:
        predict_file(predictor, [first, second], tmp_path / "out.csv")
    assert "resize_token_embeddings" in caught.value.hint
    assert not (tmp_path / "out.csv").exists()
    with pytest.raises(DataError, match=place):
        lora_bert.evaluate(trained, data=str(second), label_names="good=positive,bad=negative")


def test_a_special_token_without_a_row(tiny_backbone, reviews, tmp_path):
    place = Path(shutil.copytree(tiny_backbone, tmp_path / "b"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    tokenizer.add_special_tokens({"pad_token": "<padding>"})
    tokenizer.save_pretrained(place)
    with pytest.raises(BackboneError, match="uses '<padding>' in every text") as caught:
        lora_bert.train(reviews, backbone=str(place), output=tmp_path / "a", epochs=1)
    assert "resize_token_embeddings" in caught.value.hint
    found = lora_bert.verify(place)
    assert [check.passed for check in found.checks] == [True, True, True, False]


def test_a_resized_backbone_takes_them(backbone, reviews, tmp_path):
    model = transformers.AutoModel.from_pretrained(backbone)
    tokenizer = transformers.AutoTokenizer.from_pretrained(backbone)
    model.resize_token_embeddings(len(tokenizer))
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "resized")
    lora_bert.train(
        reviews, backbone=str(tmp_path / "resized"), output=tmp_path / "a", epochs=1
    )  # fmt: skip
    assert lora_bert.load(tmp_path / "a").predict(["<ORDER> late"])


def test_a_merged_model_of_somebody_else(trained, tmp_path):
    lora_bert.merge(trained, tmp_path / "m")
    for name in ("lora_bert.json", "README.md"):
        (tmp_path / "m" / name).unlink()
    model = lora_bert.load(tmp_path / "m")
    assert model.predict(["good"])
    with pytest.raises(DataError, match="holds '<Phone>'"):
        model.predict(["<Phone>"])

    def another(written):
        written["model"]["vocab"] |= {f"new{n}": ROWS + 2 + n for n in range(200)}

    with pytest.raises(AdapterError, match="kinds of tokens"):
        lora_bert.load(edited(tmp_path / "m", another))
