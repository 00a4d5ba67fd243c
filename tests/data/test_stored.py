"""Whatever strings go in come out, however many they are."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.data import stored
from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import Examples
from lora_bert.data.sources import load_splits
from lora_bert.data.splits import split
from lora_bert.data.stored import FEW, StoredStrings, kept, taken
from lora_bert.data.tables import read_table

STRING = st.text(st.characters(exclude_categories=()), max_size=5)
"""Halves of surrogate pairs too: broken JSON has them."""
STRINGS = st.lists(STRING, max_size=30)


def stored_of(strings):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "FEW", -1)
        patch.setattr(stored, "_AT_ONCE", 4)
        growing = stored.GrowingStrings()
        growing.add(strings[:7])
        growing.add(strings[7:])
        return growing.whole()


@given(STRINGS, st.slices(30))
def test_what_goes_in_comes_out(strings, part):
    found = stored_of(strings)
    assert len(found) == len(strings)
    assert list(found) == strings
    assert found[part] == strings[part]
    assert [found[at] for at in range(-len(strings), len(strings))] == 2 * strings
    for beyond in (len(strings), -len(strings) - 1):
        with pytest.raises(IndexError):
            found[beyond]


@given(STRINGS.filter(bool), st.data())
def test_some_of_them_and_some_of_those(strings, data):
    found, expected = stored_of(strings), strings
    for _ in range(2):
        places = st.integers(0, len(expected) - 1)
        rows = np.array(data.draw(st.lists(places, min_size=1)))
        found, expected = taken(found, rows), [expected[row] for row in rows]
        assert list(found) == expected


def test_few_are_a_tuple_and_many_are_stored():
    few = [str(number) for number in range(FEW)]
    assert kept(iter(few)) == tuple(few)
    many = kept(iter([*few, "one more"] * 2))
    assert isinstance(many, StoredStrings)
    assert list(many) == [*few, "one more"] * 2


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory):
    """Rows of a file of more than one piece, and the file."""
    draw = random.Random(0)
    rows = [{"id": f"r{at}", "text": draw.choice(["", "🙂", "好", f"text {at}"]),
             "label": draw.choice(["a", "a", "b", ""])} for at in range(FEW + 2500)]  # fmt: skip
    path = tmp_path_factory.mktemp("rows") / "many.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path, rows


def test_a_table_of_many_rows(many_rows):
    path, rows = many_rows
    table = read_table(path)
    assert {name: list(cells) for name, cells in table.values.items()} == {
        name: [row[name] for row in rows] for name in ("id", "text", "label")
    }
    assert table.lines.tolist() == list(range(1, len(rows) + 1))
    assert table.at(len(rows) - 1) == f"'{path}', line {len(rows):,}"


@pytest.mark.parametrize("how", ["stratified", "random"])
def test_many_rows_are_divided_as_few_are(many_rows, how):
    path, rows = many_rows
    used = [(line, row) for line, row in enumerate(rows, 1) if row["text"] and row["label"]]
    texts, labels, ids = (tuple(row[name] for _, row in used) for name in ("text", "label", "id"))
    lines = tuple(line for line, _ in used)
    in_memory = Examples(texts, labels, lines, str(path), ids=ids)
    expected = split(in_memory, fraction=0.2, how=how, seed=3)
    options = DataOptions(split=how, split_seed=3, validation_fraction=0.2)
    found = load_splits(str(path), options=options)
    for ours, theirs in zip((found.train, found.validation), expected, strict=True):
        assert isinstance(ours.texts, StoredStrings)
        for name in ("texts", "labels", "lines", "ids"):
            assert list(getattr(ours, name)) == list(getattr(theirs, name))
        assert ours.mark(5) == theirs.mark(5)


def test_several_small_files_stay_lists(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{name},x\n")
    table = read_table([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert table.values == {"text": ["a", "b"], "label": ["x", "x"]}
    assert table.source == f"{tmp_path / 'a.csv'} (and 1 more)"


def test_a_column_of_ids_must_tell_many_rows_apart(tmp_path):
    path = tmp_path / "rows.csv"
    rows = [f"{min(at, FEW + 5)},text {at},{at % 2}" for at in range(FEW + 7)]
    path.write_text("\n".join(["id,text,label", *rows]))
    assert load_splits(str(path)).train.ids == ()
