"""Parts whose labels are kept back: left out of training with a warning, and predicted."""

from __future__ import annotations

import json
import re

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from lora_bert.data.data_options import DataOptions
from lora_bert.data.rows import ReadOptions, TrainingFormat
from lora_bert.data.sources import load_rows, load_splits
from lora_bert.errors import DataError

TEXTS = [f"text {n}" for n in range(20)]
LABELS = ["01"[n % 2] for n in range(20)]
SAMPLE = ["a", "b", "c"]


def write(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        lines = [columns, *(map(str, row.values()) for row in rows)]
        path.write_text("".join(",".join(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def pair(place, suffix, test, part="test"):
    """A directory of training rows and another part."""
    write(place / f"train{suffix}", {"text": TEXTS, "label": LABELS})
    write(place / f"{part}{suffix}", test)
    return str(place)


HIDDEN = {
    "no column": {"text": SAMPLE},
    "minus one": {"text": SAMPLE, "label": ["-1"] * 3},
    "empty": {"text": SAMPLE, "label": [""] * 3},
    "question marks": {"text": SAMPLE, "label": ["?"] * 3},
    "some empty, some nan": {"text": SAMPLE, "label": ["nan", "", "nan"]},
}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("test", HIDDEN.values(), ids=list(HIDDEN))
def test_a_test_part_without_labels_is_left_out(tmp_path, caplog, suffix, test):
    data = pair(tmp_path / "set", suffix, test)
    splits = load_splits(data)
    assert [len(splits.train), len(splits.validation), splits.test] == [18, 2, None]
    said = next(text for text in caplog.messages if "left out" in text)
    assert said.startswith(f"The test part is left out: '{data}/test{suffix}' has no label")
    assert f"--input {data}/test{suffix}" in said
    named_singly = load_splits(None, train=f"{data}/train{suffix}", test=f"{data}/test{suffix}")
    assert (named_singly.test, named_singly.sha256) == (None, splits.sha256)
    assert splits.sha256 == load_rows(f"{data}/train{suffix}")[2]


def test_numbers_in_parquet(tmp_path):
    columns = {"text": TEXTS, "label": [n % 2 for n in range(20)]}
    write(tmp_path / "train.parquet", columns)
    write(tmp_path / "test.parquet", {"text": SAMPLE, "label": [-1] * 3})
    assert load_splits(str(tmp_path)).test is None
    write(tmp_path / "test.parquet", {"text": SAMPLE, "label": [-1.0] * 3})
    assert load_splits(str(tmp_path)).test is None


def test_validation_rows_without_labels_are_split_off_training(tmp_path, caplog):
    data = pair(tmp_path, ".csv", HIDDEN["no column"], part="validation")
    splits = load_splits(data)
    assert [len(splits.train), len(splits.validation)] == [18, 2]
    assert "The validation part is left out" in caplog.text
    for part in ("train", "validation"):
        assert load_rows(data, part=part)[0].texts == getattr(splits, part).texts


def test_saved_datasets_with_hidden_labels(tmp_path):
    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["neg", "pos"])
    )

    def saved(labels):
        columns = {"text": [f"t {n}" for n in range(len(labels))], "label": labels}
        return datasets.Dataset.from_dict(columns, features=features)

    parts = {"train": saved([0, 1] * 5), "validation": saved([0, 1]), "test": saved([-1] * 4)}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    splits = load_splits(str(tmp_path / "saved"))
    assert [len(splits.train), len(splits.validation), splits.test] == [10, 2, None]


def test_minus_one_is_a_label_where_training_has_it(tmp_path):
    write(tmp_path / "train.csv", {"text": TEXTS, "label": ["-1", "1"] * 10})
    write(tmp_path / "test.csv", {"text": SAMPLE, "label": ["-1"] * 3})
    splits = load_splits(str(tmp_path))
    assert splits.test.labels == ("-1",) * 3
    assert load_rows(str(tmp_path))[0].labels == ("-1",) * 3
    named = DataOptions(label_names={"-1": "bad", "1": "good"})
    assert load_splits(str(tmp_path), options=named).test.labels == ("bad",) * 3


@pytest.mark.parametrize("cell", ["-1", "-1.0", "?"])
def test_a_file_whose_labels_are_kept_back_is_not_scored(cell, tmp_path):
    """GLUE's test rows of numbers: the score would be one of -1."""
    write(tmp_path / "test.csv", {"text": SAMPLE, "score": [cell] * 3})
    trained = TrainingFormat(text_column="text", label_column="score")
    options = DataOptions(read=ReadOptions(training=trained))
    with pytest.raises(DataError, match=f"has no labels, only '{re.escape(cell)}'"):
        load_rows(str(tmp_path / "test.csv"), options=options)
    write(tmp_path / "test.csv", {"text": SAMPLE, "score": [cell, "2.5", "3"]})
    assert len(load_rows(str(tmp_path / "test.csv"), options=options)[0]) == 3


def test_rows_of_which_some_have_no_label(tmp_path, caplog):
    data = pair(tmp_path, ".csv", {"text": SAMPLE, "label": ["1", "", "0"]})
    assert load_splits(data).test.labels == ("1", "0")
    assert "Dropped 1 row with an empty label" in caplog.text
    write(tmp_path / "test.csv", {"text": SAMPLE, "label": ["1", "-1", "0"]})
    with pytest.raises(DataError, match="line 3: the label '-1' stands in no training row"):
        load_splits(data)


def test_a_feature_that_is_called_like_a_label_is_none(tmp_path, caplog):
    topics = ["t1", "t2"] * 10
    write(tmp_path / "train.csv", {"text": TEXTS, "topic": topics, "target": LABELS})
    write(tmp_path / "test.csv", {"text": SAMPLE, "topic": ["t1"] * 3})
    assert load_splits(str(tmp_path)).test is None
    asked = DataOptions(label_column="target")
    assert load_splits(str(tmp_path), options=asked).test is None
    remembered = DataOptions(
        read=ReadOptions(training=TrainingFormat(text_column="text", label_column="target"))
    )
    rows, _, _ = load_rows(str(tmp_path), options=remembered)
    assert len(rows) == 20
    assert "are not scored: " in caplog.text


def test_another_name_of_the_label_column_is_a_label(tmp_path):
    write(tmp_path / "train.csv", {"text": TEXTS, "label": LABELS})
    write(tmp_path / "test.csv", {"review": SAMPLE, "category": ["0", "1", "0"]})
    assert load_splits(str(tmp_path)).test.labels == ("0", "1", "0")


def test_what_is_judged_then(tmp_path, caplog):
    caplog.set_level("INFO")
    data = pair(tmp_path, ".csv", HIDDEN["minus one"])
    rows, _, digest = load_rows(data)
    assert len(rows) == 20
    assert digest == load_splits(data).sha256
    assert f"The test rows of '{data}' are not scored" in caplog.text
    assert f"Using the train rows of '{data}'." in caplog.messages
    write(tmp_path / "dev.csv", {"text": SAMPLE, "label": ["0", "1", "0"]})
    assert len(load_rows(data)[0]) == 3
    with pytest.raises(DataError, match=r"The test rows cannot be judged: .*only '-1'") as caught:
        load_rows(data, part="test")
    assert "lora-bert infer" in caught.value.hint


def test_held_out_rows_take_the_place_of_a_test_part_without_labels(tmp_path):
    data = pair(tmp_path, ".csv", HIDDEN["no column"])
    options = DataOptions(test_fraction=0.2)
    splits = load_splits(data, options=options)
    assert len(splits.test) == 4
    assert load_rows(data, options=options, part="test")[0] == splits.test


def test_a_test_part_whose_text_column_is_lacking_is_an_error(tmp_path):
    data = pair(tmp_path, ".csv", {"id": SAMPLE, "label": ["-1"] * 3})
    with pytest.raises(DataError, match="is called like a text"):
        load_splits(data)


def test_what_training_took_for_one_label_is_one_in_other_parts_too(tmp_path):
    """Of the test rows alone, the label would look like two of the others."""
    rows = ["red;x", "green;x", "red,green;x", "x,y;x", "z,w;x", "p,q;x", "m,n;x"]
    (tmp_path / "train.csv").write_text("label;text\n" + "\n".join(rows * 3) + "\n")
    (tmp_path / "test.csv").write_text('label;text\nred;a\ngreen;b\n"red,green";c\n')
    found = load_splits(str(tmp_path))
    assert "red,green" in found.train.labels
    assert found.test.labels == ("red", "green", "red,green")
    alone, _, _ = load_rows(
        str(tmp_path / "test.csv"),
        options=DataOptions(
            read=ReadOptions(training=TrainingFormat(labels=frozenset(found.train.labels)))
        ),
    )
    assert alone.labels == found.test.labels
    with pytest.raises(DataError, match="several labels in one row"):
        load_rows(str(tmp_path / "test.csv"))
