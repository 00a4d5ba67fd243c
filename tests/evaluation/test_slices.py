"""Into which parts rows are cut, and what is wrong with a column to cut them by."""

from __future__ import annotations

import csv
import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import lora_bert
from lora_bert.cli.app import cli
from lora_bert.errors import DataError
from lora_bert.evaluation.slices import _by_cell, _by_number


def parts(cells: list[str]) -> dict[str, list[int]]:
    return {name: rows.tolist() for name, rows in _by_cell(cells)}


def test_a_column_is_cut_by_its_values_the_most_frequent_first():
    assert parts(["b", "a ", "b", "", "a", "b"]) == {"b": [0, 2, 5], "a": [1, 4], "(empty)": [3]}


def test_of_many_values_the_rarest_stand_together():
    cells = [f"shop {at % 30}" for at in range(120)] + ["shop 7"]
    found = parts(cells)
    assert len(found) == 20
    assert next(iter(found)) == "shop 7"
    assert len(found["(11 others)"]) == 44


def test_many_numbers_are_cut_in_four():
    found = parts([str(at / 10) for at in range(100)])
    assert list(found) == ["0 to 2.4", "2.5 to 4.9", "5 to 7.4", "7.5 to 9.9"]
    few = parts(["5", "4", "5", "1"])
    assert few == {"5": [0, 2], "4": [1], "1": [3]}


def test_rows_without_a_number_stand_apart():
    found = parts(["", *(str(at) for at in range(40)), "nan", "1e400"])
    assert list(found) == ["0 to 9", "10 to 19", "20 to 29", "30 to 39", "(no number)"]
    assert found["(no number)"] == [0, 41, 42]
    days = parts([f"202401{day:02}" for day in range(1, 29)])
    assert next(iter(days)) == "20240101 to 20240107"
    assert len(parts([f"{at}_5" for at in range(40)])) == 20


@given(st.lists(st.text(max_size=3), min_size=1, max_size=60))
def test_every_row_is_in_one_part(cells):
    found = np.concatenate([rows for _, rows in _by_cell(cells)])
    assert sorted(found.tolist()) == list(range(len(cells)))


@given(st.lists(st.integers(0, 50) | st.floats(-1e6, 1e6), min_size=1, max_size=80))
def test_equal_numbers_are_in_one_part(numbers):
    found = list(_by_number(np.array(numbers, dtype=float)))
    assert sorted(np.concatenate([rows for _, rows in found]).tolist()) == list(range(len(numbers)))
    kinds = [{float(numbers[row]) for row in rows} for _, rows in found]
    assert all(max(one) < min(two) for one, two in pairwise(kinds))
    assert 1 <= len(found) <= 4


@pytest.fixture
def scored(reviews: Path, tmp_path: Path) -> Path:
    """The rows of ``reviews`` with a shop, and a number that is another one in each row."""
    with reviews.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    path = tmp_path / "scored.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["id", "label", "review", "shop", "date"])
        writer.writeheader()
        for at, row in enumerate(rows):
            shop = "mad" if at % 4 else ""
            writer.writerow({**row, "id": at, "shop": shop, "date": f"day {at}"})
    return path


def test_the_command_says_it_and_writes_it(adapter, scored, tmp_path):
    words = ["evaluate", str(adapter), "--data", str(scored), "--by", "shop", "--by", "length"]
    outcome = CliRunner().invoke(cli, [*words, "--output", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    assert "mad        45" in outcome.output
    assert "(empty)    15" in outcome.output
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert [each["value"] for each in document["slices"]][:2] == ["mad", "(empty)"]
    assert "slices" not in lora_bert.evaluate(adapter, scored).as_dict()


def test_of_drawn_rows_each_keeps_its_cell(adapter, scored):
    found = lora_bert.evaluate(adapter, scored, by=["label"], limit=20)
    assert sum(each.rows for each in found.slices) == 20
    for each in found.slices:
        recall = next(entry for entry in found.by_class.per_class if entry.label == each.value)
        assert each.figures["accuracy"] == pytest.approx(recall.recall)
        assert each.rows == recall.rows


def test_the_rows_of_the_training_are_sliced_too(tiny_backbone, scored, tmp_path):
    lora_bert.train(scored, backbone=tiny_backbone, output=tmp_path / "a", epochs=1)
    found = lora_bert.evaluate(tmp_path / "a", by=["shop", "shop"])
    assert [each.value for each in found.slices] == ["mad", "(empty)"]


def test_what_is_wrong_is_a_sentence(adapter, scored):
    with pytest.raises(DataError, match=r"scored.csv' has no column 'Shop'; its columns") as raised:
        lora_bert.evaluate(adapter, scored, by="Shop")
    assert "Did you mean 'shop'?" in raised.value.hint
    with pytest.raises(DataError, match="'date' says 60 different things of 60 rows"):
        lora_bert.evaluate(adapter, scored, by="shop,date")
    with pytest.raises(DataError, match="'id' says 60 different things"):
        lora_bert.evaluate(adapter, scored, by="id")


def test_a_notebook_shows_them(adapter, scored):
    found = lora_bert.evaluate(adapter, scored, by="shop,label")
    assert [each.by for each in found.slices] == ["shop", "shop", "label", "label"]
    assert "<td>mad</td>" in found._repr_html_()


def test_of_rows_that_come_out_alike_there_is_no_interval(adapter, scored):
    found = lora_bert.evaluate(adapter, scored, by="label,review", limit=15)
    alone = [each for each in found.slices if each.rows == 1]
    assert alone
    assert re.search(rf"{alone[0].value}  +1 +(100|0)\.0 +–", found.text())
