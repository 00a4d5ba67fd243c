"""The csv of mistakes."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.errors import OutputError
from lora_bert.evaluation import write_wrong_rows


def test_confident_mistakes_first_and_right_rows_left_out(tmp_path):
    path = tmp_path / "wrong.csv"
    written = write_wrong_rows(
        path,
        texts=["right", "unsure", "送错，了\n", "sure too"],
        lines=[2, 3, 4, 6],
        true_labels=["a", "a", "b", "b"],
        predicted_labels=["a", "b", "a", "a"],
        confidence=np.array([1.0, 0.51, 0.98771, 0.98771], dtype=np.float32),
    )
    assert written == 3
    assert path.read_bytes().decode() == (
        '"line","text","label","prediction","score"\n'
        '4,"送错，了\n","b","a",0.9877\n'
        '6,"sure too","b","a",0.9877\n'
        '3,"unsure","a","b",0.51\n'
    )


def test_nothing_wrong_is_a_header(tmp_path):
    path = tmp_path / "wrong.csv"
    assert (
        write_wrong_rows(
            path,
            texts=["x"],
            lines=[2],
            true_labels=["a"],
            predicted_labels=["a"],
            confidence=[0.9],
        )
        == 0
    )
    assert path.read_text(encoding="utf-8") == '"line","text","label","prediction","score"\n'


def test_half_a_surrogate_pair_is_escaped(tmp_path):
    path = tmp_path / "wrong.csv"
    write_wrong_rows(
        path,
        texts=["\ud83d!"],
        lines=[1],
        true_labels=["a"],
        predicted_labels=["b"],
        confidence=[0.9],
    )
    assert path.read_text(encoding="utf-8").splitlines()[1] == r'1,"\ud83d!","a","b",0.9'


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8))
def test_any_text_comes_back_unchanged(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("wrong") / "wrong.csv"
    write_wrong_rows(
        path,
        texts=texts,
        lines=range(len(texts)),
        true_labels=["a"] * len(texts),
        predicted_labels=["b"] * len(texts),
        confidence=[0.5] * len(texts),
    )
    with path.open(encoding="utf-8", newline="") as stream:
        assert [row["text"] for row in csv.DictReader(stream)] == texts


def test_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        write_wrong_rows(
            tmp_path / "file" / "wrong.csv",
            texts=[],
            lines=[],
            true_labels=[],
            predicted_labels=[],
            confidence=[],
        )
