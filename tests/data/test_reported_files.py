"""Files as people reported them, whole: what each says, or what is said of it."""

from __future__ import annotations

from collections import Counter

import pytest

from lora_bert.data.checks import warn_about
from lora_bert.data.examples import examples_from
from lora_bert.data.sources import DataOptions, load_splits
from lora_bert.data.tables import read_table
from lora_bert.errors import DataError
from tests.conftest import real


@pytest.fixture(scope="module")
def reports():
    return real("LORA_BERT_FIELD_REPORTS", "field_reports")


@pytest.mark.parametrize(
    ("name", "rows", "first", "unit"),
    [
        ("pandas_to_json.json", 128, "negative", "record"),
        ("data_and_empty_list.json", 128, "negative", "record"),
        ("json_array.txt", 6, "happy", "record"),
        ("fasttext.txt", 128, "negative", "line"),
    ],
)
def test_one_label_a_row(reports, name, rows, first, unit):
    found = examples_from(read_table(reports / name))
    assert (len(found), found.labels[0], found.unit) == (rows, first, unit)
    assert len(set(found.labels)) == len(Counter(found.labels)) in (2, 3)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("labels_as_lists.jsonl", "line 16: several labels in one row, 'positive', 'urgent'; 6 of"),
        ("label_studio_min.json", "record 1: several labels in one row, 'negative', 'urgent'; 13"),
    ],
)
def test_several_labels_a_row(reports, name, says):
    with pytest.raises(DataError) as found:
        examples_from(read_table(reports / name))
    assert says in str(found.value)


def test_spellings(reports):
    splits = load_splits(str(reports / "label_spellings.csv"), options=DataOptions())
    assert len(set(splits.train.labels)) == 8
    assert any("only in case, width or invisible characters" in line for line in warn_about(splits))
