"""The csv files of single rows."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.data.examples import Examples
from lora_bert.errors import OutputError
from lora_bert.evaluation.row_tables import table_columns, table_rows, write_rows
from lora_bert.tasks.single_label import SingleLabel

SURE, UNSURE = [0.98771, 0.01229], [0.51, 0.49]


def judged(labels, values, **more):
    """A judgement of rows that are all of the class b but for "a" in ``labels``, and the rows."""
    texts = ("送错，了\n", "unsure", "good")[: len(labels)]
    rows = Examples(texts, tuple(labels), (4, 3, 9)[: len(labels)], "rows.csv", **more)
    task = SingleLabel(("a", "b"))
    targets = np.array([task.labels.index(label) for label in labels])
    return task.judge(np.array(values), targets), rows


def test_the_most_confident_mistakes_stand_first(tmp_path):
    path = tmp_path / "wrong.csv"
    found, rows = judged(["b", "a", "a"], [SURE, UNSURE[::-1], SURE])
    lines = (row.values() for row in table_rows(found, "wrong", rows))
    write_rows(path, table_columns("wrong", rows), lines)
    assert path.read_bytes().decode() == (
        '"line","text","label","prediction","score"\n'
        '4,"送错，了\n","b","a",0.9877\n'
        '3,"unsure","a","b",0.51\n'
    )


def test_ids_stand_behind_the_position():
    found, rows = judged(["b"], [SURE], unit="record", ids=("r4",))
    assert table_columns("wrong", rows) == [
        "record", "id", "text", "label", "prediction", "score",
    ]  # fmt: skip
    assert [list(row.values()) for row in table_rows(found, "wrong", rows)] == [
        [4, "r4", "送错，了\n", "b", "a", 0.98771]
    ]
    assert table_columns("suspects", rows)[3:] == [
        "label", "suggestion", "label_score", "suggestion_score",
    ]  # fmt: skip
    assert table_rows(found, "suspects", rows) == []


def test_no_row_is_a_header(tmp_path):
    write_rows(tmp_path / "none.csv", ("a", "b"), [])
    assert (tmp_path / "none.csv").read_text(encoding="utf-8") == '"a","b"\n'


def test_half_a_surrogate_pair_is_escaped(tmp_path):
    path = tmp_path / "wrong.csv"
    write_rows(path, ("text",), [("\ud83d!",)])
    assert path.read_text(encoding="utf-8").splitlines()[1] == r'"\ud83d!"'


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8))
def test_any_text_comes_back_unchanged(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    write_rows(path, ("line", "text"), enumerate(texts))
    with path.open(encoding="utf-8", newline="") as stream:
        assert [row["text"] for row in csv.DictReader(stream)] == texts


def test_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        write_rows(tmp_path / "file" / "wrong.csv", (), [])
