"""Files as people reported them, whole: what each says, or what is said of it."""

from __future__ import annotations

from collections import Counter

import pytest

from lora_bert.data.columns import find_columns
from lora_bert.data.data_checks import warn_about
from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import examples_from
from lora_bert.data.sources import load_splits
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


@pytest.mark.parametrize(
    ("name", "codec", "columns", "first"),
    [
        ("korean_cp949.csv", "cp949", ("text", "label"),
         ("배달이 빠르고 음식이 정말 맛있어요 0", "긍정")),
        ("traditional_big5.csv", "cp950", ("text", "label"), ("外送很快，東西也很好吃 0", "正面")),
        ("sep_line.csv", "utf-8", ("text", "label"), ("never again, awful 4", "negative")),
        ("pipes.csv", "utf-8", ("text", "label"), ("never again, awful 4", "negative")),
        ("trailing_comma.csv", "utf-8", ("text", "Label"), ("never again, awful 4", "0.0")),
        ("space_after_comma.csv", "utf-8", ("transcript", "category"),
         ("never again, awful 4", "negative")),
        ("unnamed_columns.csv", "utf-8", ("text", "label"), ("never again, awful 4", "negative")),
    ],
)  # fmt: skip
def test_cells_as_they_were_meant(reports, name, codec, columns, first):
    table = read_table(reports / name)
    assert find_columns(table.columns, text=None, label=None, cells=table.values, source=name) == (
        columns
    )
    found = examples_from(table)
    assert (found.texts[0], found.labels[0]) == first
    assert len(set(found.labels)) == 2
    assert (reports / name).read_text(encoding=codec).count(first[1]) > 1


def test_a_latin_1_file_is_named_as_what_it_is(reports, caplog):
    caplog.set_level("INFO", "lora_bert")
    table = read_table(reports / "spam_v1_v2_latin1.csv")
    assert "is read as latin-1 (ISO-8859-1)." in caplog.text
    assert table.columns == ("v1", "v2", "column_3", "column_4", "column_5")
    assert table.values["v2"][0] == "never again, awful 4 £5 each tonight´s"
    with pytest.raises(DataError, match="called like a text") as found:
        examples_from(table)
    assert "--text-column v2 --label-column v1" in found.value.hint
