"""Every warning has its figures and its grammar; a clean set has none."""

from __future__ import annotations

import pytest

from lora_bert.data.checks import warn_about
from lora_bert.data.examples import Examples
from lora_bert.data.sources import Splits, load_splits
from lora_bert.errors import DataError


def part(rows, source="a.csv", unit="line"):
    texts, labels = zip(*rows, strict=True)
    return Examples(texts, labels, tuple(range(2, len(rows) + 2)), source, unit=unit)


CLEAN = [(f"{label}{n}", label) for label in "xy" for n in range(5)]
UNSEEN = part([("unseen", "x")], "c.csv")


def splits(train, validation=UNSEEN, test=None):
    return Splits(train, validation, test, "a", "0", ("text", "label"))


def test_nothing_to_say(caplog):
    assert warn_about(splits(part(CLEAN), part([("new", "x")], "b.csv"))) == []
    assert caplog.messages == []


def test_small_classes(caplog):
    one = "1 class has fewer than 5 training rows: 'z' (4)."
    assert warn_about(splits(part([*CLEAN, *((f"z{n}", "z") for n in range(4))]))) == [one]
    assert caplog.messages == [one]
    many = part([*CLEAN, *((f"m{n}", f"l{n}") for n in range(1200))])
    assert warn_about(splits(many)) == [
        "1,200 classes have fewer than 5 training rows: "
        "'l0' (1), 'l1' (1), 'l2' (1), 'l3' (1), 'l4' (1) and 1,195 more."
    ]


def test_texts_in_two_parts():
    other = part([("x0 ", "x"), ("new", "x"), ("newer", "y"), ("newest", "y")], "b.csv")
    assert warn_about(splits(part(CLEAN), other)) == [
        "1 of 4 validation texts (25.0%) also stands in training."
    ]
    assert warn_about(splits(part(CLEAN), test=part(CLEAN))) == [
        "10 of 10 test texts (100.0%) also stand in training."
    ]


def test_two_labels():
    rows = [*CLEAN, ("x0", "y")]
    assert warn_about(splits(part(rows))) == [
        "1 text carries more than one label, for example 'a.csv', line 2 and 'a.csv', line 12."
    ]
    other = part([("x0", "y"), ("x1", "y")], "b.parquet", "row")
    assert warn_about(splits(part(CLEAN), other))[1] == (
        "2 texts carry more than one label, for example 'a.csv', line 2 and 'b.parquet', row 2."
    )


def test_one_class():
    with pytest.raises(DataError, match="one class only, 'x'"):
        warn_about(splits(part(CLEAN[:5])))


def test_chnsenticorp(data_dir):
    sentences = warn_about(load_splits(str(data_dir / "chnsenticorp")))
    assert "331 of 1,200 test texts (27.6%) also stand in training." in sentences
