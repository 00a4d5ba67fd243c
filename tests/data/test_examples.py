"""Rows without a text or a label are dropped, counted and said."""

from __future__ import annotations

import pytest

from lora_bert.data.examples import Examples, examples_from
from lora_bert.data.tables import Table
from lora_bert.errors import DataError


def table_of(texts, labels):
    values = {"text": list(texts), "label": list(labels)}
    return Table(("text", "label"), values, list(range(2, len(texts) + 2)), "a.csv")


def test_rows_are_dropped_and_counted(caplog):
    found = examples_from(table_of(["a ", " ", "b", "c", ""], [" x ", "y", " ", "NA", ""]))
    columns = ("text", "label")
    assert found == Examples(("a ", "c"), ("x", "NA"), (2, 5), "a.csv", columns=columns)
    assert caplog.messages == [
        "Dropped 2 rows with an empty text and 1 row with an empty label from 'a.csv'."
    ]


def test_nothing_to_say(caplog):
    assert len(examples_from(table_of("ab", "xy"))) == 2
    assert caplog.messages == []


def test_names_for_labels(caplog):
    found = examples_from(table_of("abc", "012"), label_names={"0": "neg", "1": "pos"})
    assert found.labels == ("neg", "pos", "2")
    assert caplog.messages == []
    examples_from(table_of("ab", "xy"), label_names={"0": "neg"})
    assert caplog.messages == [
        "None of the labels to rename ('0') stands in 'a.csv'; it has 'x', 'y'."
    ]


def test_nothing_left():
    with pytest.raises(DataError, match="nothing left: 1 row with an empty text and 1 row"):
        examples_from(table_of([" ", "a"], ["x", ""]))


def test_without_labels(caplog):
    found = examples_from(table_of("abc", ["x", "", "y"]), need_labels=False)
    assert (found.texts, found.labels) == (("a", "b", "c"), ())
    assert "Dropped" not in caplog.text
    assert found.take([2]).labels == ()
    plain = Table(("text",), {"text": ["a"]}, [2], "a.csv")
    assert examples_from(plain, need_labels=False).texts == ("a",)


def test_take():
    found = examples_from(table_of("abc", "xyz")).take([2, 0])
    assert (found.texts, found.labels, found.lines) == (("c", "a"), ("z", "x"), (4, 2))
