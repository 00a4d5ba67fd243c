"""The csv files of single rows."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.errors import OutputError
from lora_bert.evaluation.row_tables import SuspectRow, WrongRow, with_ids, write_rows


def test_rows_as_they_come(tmp_path):
    path = tmp_path / "wrong.csv"
    rows = [WrongRow(4, "送错，了\n", "b", "a", 0.98771), WrongRow(3, "unsure", "a", "b", 0.51)]
    write_rows(path, *with_ids(rows, WrongRow, unit="line", ids=False))
    assert path.read_bytes().decode() == (
        '"line","text","label","prediction","score"\n'
        '4,"送错，了\n","b","a",0.9877\n'
        '3,"unsure","a","b",0.51\n'
    )


def test_ids_stand_behind_the_position(tmp_path):
    path = tmp_path / "wrong.csv"
    rows = [WrongRow(4, "x", "b", "a", 0.5, "r4")]
    write_rows(path, *with_ids(rows, WrongRow, unit="record", ids=True))
    assert path.read_text("utf-8").splitlines() == [
        '"record","id","text","label","prediction","score"',
        '4,"r4","x","b","a",0.5',
    ]
    columns, none = with_ids([], SuspectRow, unit="row", ids=True)
    assert (columns[:3], none) == (["row", "id", "text"], [])


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
