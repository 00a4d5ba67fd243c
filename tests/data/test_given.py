"""Rows that a program has in memory say what the same rows in a file say."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import yaml

import lora_bert
from lora_bert.data.given import Given, given_rows
from lora_bert.data.tables import read_table
from lora_bert.errors import ConfigError, DataError

ROWS = [{"text": f"{'good' if n % 2 else 'bad'} {n}", "label": "pos" if n % 2 else "neg"}
        for n in range(40)]  # fmt: skip
PAIRS = [(row["text"], row["label"]) for row in ROWS]
COLUMNS = {"text": [text for text, _ in PAIRS], "label": [label for _, label in PAIRS]}


def table(value: object):
    return read_table(given_rows(value, "data"))


def frame(value: object):
    return pytest.importorskip("pandas").DataFrame(value)


def dataset(value: object, **more):
    return pytest.importorskip("datasets").Dataset.from_list(value, **more)


FORMS = {
    "dicts": lambda: ROWS,
    "generator": lambda: (dict(row) for row in ROWS),
    "ordered": lambda: [OrderedDict(row) for row in ROWS],
    "pairs": lambda: PAIRS,
    "lists": lambda: [list(pair) for pair in PAIRS],
    "zip": lambda: zip(*COLUMNS.values(), strict=True),
    "columns": lambda: COLUMNS,
    "arrays": lambda: {name: np.array(cells) for name, cells in COLUMNS.items()},
    "frame": lambda: frame(ROWS),
    "dataset": lambda: dataset(ROWS),
    "streamed": lambda: dataset(ROWS).to_iterable_dataset(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_table(form):
    found = table(FORMS[form]())
    assert found.values == COLUMNS
    assert (found.lines[0], found.lines[-1], found.unit) == (1, 40, "row")


@pytest.mark.parametrize("form", ["dicts", "frame", "dataset"])
def test_an_adapter_keeps_the_name_of_the_rows_and_not_the_rows(form, tiny_backbone, tmp_path):
    rows = FORMS[form]()
    out = tmp_path / "out"
    options = {"epochs": 1, "head_start": "random"}
    result = lora_bert.train(rows, backbone=tiny_backbone, output=out, **options)
    assert result.labels == ("neg", "pos")
    settings = yaml.safe_load((out / "run.yaml").read_text())
    written = json.loads((out / "lora_bert.json").read_text())["data"]
    name = {"dicts": "list", "frame": "DataFrame", "dataset": "Dataset"}[form]
    assert settings["data"] == written["name"] == name
    assert "good 1" not in "".join(
        path.read_text() for path in (out / "run.yaml", out / "lora_bert.json", out / "README.md")
    )
    with pytest.raises(ConfigError, match=f"given from Python, as '{name}'") as caught:
        lora_bert.evaluate(out)
    assert "with data=…" in caught.value.hint
    part = lora_bert.evaluate(out, rows, part="validation")
    assert part.scores.rows == 8
    assert part.scores.accuracy == result.accuracy
    assert part.overlap is not None
    assert part.overlap.rows == 0
    assert lora_bert.evaluate(out, rows, baseline=True).overlap.rows == 32
    assert lora_bert.evaluate(out, PAIRS[:5]).overlap is None
    same = lora_bert.evaluate(out, FORMS[form](), train=FORMS[form]())
    assert same.overlap is not None
    assert same.overlap.rows == 40


def test_the_same_as_from_a_file(tiny_backbone, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    one, other = (
        lora_bert.train(data, backbone=tiny_backbone, output=tmp_path / str(n), epochs=1)
        for n, data in enumerate((path, frame(ROWS)))
    )
    weights = [(result.path / "adapter_model.safetensors").read_bytes() for result in (one, other)]
    assert weights[0] == weights[1]


def test_each_part_may_be_given(tiny_backbone, tmp_path):
    result = lora_bert.train(
        train=frame(ROWS), validation=ROWS[:10], test=PAIRS[:6],
        backbone=tiny_backbone, output=tmp_path / "out", epochs=1,
    )  # fmt: skip
    assert result.evaluations["validation"].scores.rows == 10
    assert result.evaluations["test"].scores.rows == 6
    path = tmp_path / "valid.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:7]))
    result = lora_bert.train(
        ROWS, validation=path, backbone=tiny_backbone, output=tmp_path / "o2", epochs=1
    )
    assert result.evaluations["validation"].scores.rows == 7


def test_a_dataset_dict_with_class_labels(tiny_backbone, tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["bad one", "good one"])
    )
    rows = [{"text": text, "label": int(label == "pos")} for text, label in PAIRS]
    parts = datasets.DatasetDict(
        train=dataset(rows, features=features), val=dataset(rows[:8], features=features),
        test=dataset(rows[:6], features=features),
    )  # fmt: skip
    result = lora_bert.train(parts, backbone=tiny_backbone, output=tmp_path / "out", epochs=1)
    assert result.labels == ("bad one", "good one")
    rows = {part: found.scores.rows for part, found in result.evaluations.items()}
    assert rows == {"validation": 8, "test": 6}
    assert lora_bert.evaluate(result.path, parts).scores.rows == 6
    assert lora_bert.evaluate(result.path, parts, part="train").scores.rows == 40


def test_scoring_the_training_rows_is_warned_of(tiny_backbone, tmp_path, caplog):
    lora_bert.train(ROWS, backbone=tiny_backbone, output=tmp_path / "out", epochs=1)
    lora_bert.evaluate(tmp_path / "out", ROWS)
    assert "The adapter was trained on rows of 'list'" in caplog.text


def test_other_rows_are_not_taken_for_the_same(tiny_backbone, tmp_path):
    from lora_bert.data.digests import fingerprint

    shapes = ([("a", "bc")], [("ab", "c")], [("a", "b"), ("c", "d")], [("a", "b"), ("d", "c")],
              [{"text": "a", "y": "bc"}])  # fmt: skip
    assert len({fingerprint([given_rows(rows, "data")]) for rows in shapes}) == len(shapes)


def test_values_are_texts_as_in_files():
    rows = [{"text": value, "label": 1} for value in
            ("NA", "", None, float("nan"), 1, 1.5, True, "01", "null", b"\xc3\xa9t\xc3\xa9",
             np.int64(3), np.str_("x"), [1, "a"], "\ud83d")]  # fmt: skip
    assert table(rows).values["text"] == [
        "NA", "", "", "", "1", "1.5", "true", "01", "null", "été", "3", "x", '[1, "a"]', "\ufffd"
    ]  # fmt: skip
    assert table(rows).values["label"] == ["1"] * len(rows)
    pandas = pytest.importorskip("pandas")
    odd = pandas.DataFrame({"text": ["a", None, pandas.NA, math.nan, pandas.NaT],
                            "label": pandas.Categorical(["x", "y", "x", None, "x"])})  # fmt: skip
    assert table(odd).values == {"text": ["a", "", "", "", ""], "label": ["x", "y", "x", "", "x"]}


def test_keys_that_a_row_lacks_are_empty():
    assert table([{"text": "a"}, {"label": "x", "text": "b"}]).values == {
        "text": ["a", "b"], "label": ["", "x"]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "'list' holds no rows"),
        ({"text": []}, "'dict' holds no rows"),
        ([1, 2], "data: row 1 is neither a dict nor a (text, label) pair"),
        ([("a", "b"), ("c",)], "data: row 2 is neither"),
        ([{"text": "a"}, "b"], "data: row 1 is neither"),
        ({"text": ["a"], "label": ["x", "y"]}, "columns of different lengths: 'text' 1, 'label' 2"),
        ({"text": "a", "label": "x"}, "'text' is no column but str"),
        (5, "data: int is neither the name of a file nor rows"),
        (b"rows.csv", "data: bytes is neither"),
        ({"train": 5}, "train: int is neither"),
        ({"train": "a.csv"}, "data['train']: str is neither"),
        ({"train": ROWS, "training": ROWS}, "'dict' holds more than one part for train"),
        ([(b"\xff", "x")], "'list', row 1: column 'text' holds bytes that are no UTF-8"),
    ],
)
def test_what_is_no_rows(value, says):
    with pytest.raises(DataError) as caught:
        given_rows(value, "data")
    assert says in str(caught.value)


def test_columns_of_one_name():
    twice = frame([["a", "b"]])
    twice.columns = ["text", "text"]
    with pytest.raises(DataError, match="more than one column of the same name: 'text'"):
        given_rows(twice, "data")


def test_a_list_of_files_stays_one():
    assert given_rows(["a.csv", Path("b.csv")], "train") == ["a.csv", Path("b.csv")]


def test_mistakes_in_rows_say_the_row(tiny_backbone, tmp_path):
    rows = [*PAIRS, ("fine", "new")]
    with pytest.raises(DataError, match=r"'list', row 41: the label 'new' is not one"):
        out = lora_bert.train(ROWS, backbone=tiny_backbone, output=tmp_path / "o", epochs=1).path
        lora_bert.evaluate(out, rows)


def test_rows_are_copied_with_no_configuration():
    from copy import deepcopy

    made = given_rows(ROWS, "data")
    assert isinstance(made, Given)
    assert deepcopy(made) is made


def test_merge_and_export_compare_on_given_rows(adapter, tmp_path):
    rows = [{"text": text, "label": "positive"} for text, _ in PAIRS]
    assert lora_bert.merge(adapter, tmp_path / "m", data=rows).texts == 40
    pytest.importorskip("onnxruntime")
    made = lora_bert.export(adapter, tmp_path / "e", data=frame(rows), format="onnx")
    assert made.accuracy is not None
