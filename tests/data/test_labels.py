"""What a label cell says: one label, none or several."""

from __future__ import annotations

import json
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_bert.data.examples import examples_from
from lora_bert.data.literals import literal
from lora_bert.data.tables import Table, read_table
from lora_bert.errors import DataError


def labelled(labels, **how):
    rows = len(labels)
    values = {"text": [f"t{row}" for row in range(rows)], "label": list(labels)}
    table = Table(("text", "label"), values, list(range(2, rows + 2)), "a.csv")
    return examples_from(table, **how)


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["['positive']", '["negative"]', "positive", "[]", "{}"], "positive negative positive"),
        (['{"choices": ["a"]}', "{'choices': ['b']}", '{"choices": "c"}'], "a b c"),
        (["[4]", "[27]", "[null]", "[4, 4]"], "4 27 4"),
        (["[1.0]", "[true]"], "1.0 true"),
        (['{"x": 0, "y": 1}', '{"x": true, "y": false}', '{"x": 0, "y": 0}'], "y x"),
        (["[0, 1, 0]", "[1, 0, 0]", "[0, 0, 0]"], "1 0"),
        (["[0 0 1]", "[1 0 0]"], "2 0"),
        (["[0. 1.]", "[1. 0.]"], "1 0"),
        (['{"label": "POS", "score": 0.9}', '{"name": "NEG"}'], "POS NEG"),
        (["{'a'}", "['it\\'s']"], "a it's"),
        (['[["a"]]'], "a"),
        (["array(['a'], dtype=object)", "array(['b'],\n      dtype='<U1')", "np.array([])"], "a b"),
        (["[np.str_('a')]", "[np.int64(4)]", "array([2])"], "a 4 2"),
        (["array([0., 1.])", "array([1., 0.])"], "1 0"),
    ],
)
def test_one_label_is_taken_out(cells, labels, caplog):
    with caplog.at_level(logging.INFO):
        assert list(labelled(cells).labels) == labels.split()
    assert sum("labels of 'a.csv'" in record.message.lower() for record in caplog.records) == 1


@pytest.mark.parametrize(
    "cells",
    [
        ["New York, NY", "Portland, OR", "Portland, ME", "OR"],
        ["red,green", "blue"],
        ["1", "2", "5", "0", "1,5", "2,5", "2,0"],
        ["1", "3", "3,3", "3,1"],
        ["1", "5", "10", "4,5", "9,5"],
        ["[SPAM]", "[unknown]", "(a, b)", "[a", "{x}", "[]x"],
        ["[20, 30)", "[30, 40]"],
        ["[0, 18]", "[19, 35]", "[36, 60]"],
        ["C", "C#", "F#", "C++", "a/", "a"],
        ["order", "status", "order status", "card"],
        ["pop", "rock", "pop/rock"],
        ["1", "2", "1/2"],
        ["array", "array(a)", "array(['a'", "array(['a'])s", "an array(['a'])"],
        ['"quoted"', "NA", "null", "None", "0", "-1"],
    ],
)
def test_one_label_stays_to_the_letter(cells):
    assert list(labelled(cells).labels) == cells


@pytest.mark.parametrize(
    ("cells", "line", "says"),
    [
        (["[]", '["a"]', '["a", "b"]', '["b", "a"]'], 4, "'a', 'b'; 2 of 4 rows have several"),
        (["[0, 1, 1]", "[0, 1, 0]"], 2, "'1', '2'; 1 of 2 rows has several"),
        (["['a' 'b']"], 2, "'a', 'b'"),
        (["[4, 27]", "[3]"], 2, "'4', '27'"),
        (["4", "27", "4,27", ""], 4, "'4', '27'; 1 of 3 rows has several"),
        (["a", "b", "a|b"], 4, "'a', 'b'"),
        (["a", "b", "b#a"], 4, "'b', 'a'"),
        (["a", "b", "a; b"], 4, "'a', 'b'"),
        (["a", "b", "a\nb"], 4, "'a', 'b'"),
        (["喜", "怒", "喜、怒"], 4, "'喜', '怒'"),
        (["4", "27", "4 27"], 4, "'4', '27'"),
        (["a", '["b"]', "a,b"], 4, "'a', 'b'"),
        (["0", "1", "7", "9", "0,1", "7,12", "9,27", "1,30"], 6, "'0', '1'; 1 of 8"),
        (['{"choices": ["a", "b"]}', "a"], 2, "'a', 'b'"),
        (['{"a": 1, "b": 1}'], 2, "'a', 'b'"),
        (["a", "b", "c", "d", "a b", "b c", "c d", "a c", "a b d"], 6, "'a', 'b'"),
    ],
)
def test_several_labels_are_refused_with_their_line(cells, line, says):
    with pytest.raises(DataError, match="several labels in one row") as found:
        labelled(cells)
    assert f"'a.csv', line {line}: " in str(found.value)
    assert says in str(found.value)
    assert "Keep the rows of one label" in found.value.hint


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ('[[0, 5, "PER"]]', "marks parts of the text"),
        ("[(0, 5, 'PER')]", "marks parts of the text"),
        ('[{"start": 0, "end": 5, "labels": ["PER"]}]', "marks parts of the text"),
        ('["O", "B-PER", "I-PER"]', "marks parts of the text"),
        ("[0.2, 0.8]", "is made of numbers"),
        ('{"pos": 0.8, "neg": 0.2}', "is made of numbers"),
        ('{"pos": {"x": "y"}}', "no label can be taken from"),
        ('{"id": 3, "text": "a"}', "no label can be taken from"),
        ('[["a"], ["b"]]', "no label can be taken from"),
    ],
)
def test_what_is_no_label_is_refused(cell, says):
    with pytest.raises(DataError, match=says) as found:
        labelled(["[]", cell])
    assert "'a.csv', line 3: " in str(found.value)


def test_a_combination_that_is_named_is_a_class():
    cells = ["red", "green", "red,green", "[0, 1]"]
    names = {"red,green": "both", "[0, 1]": "range"}
    assert labelled(cells, label_names=names).labels == ("red", "green", "both", "range")


def test_names_of_what_lists_hold(caplog):
    assert labelled(["[0]", "1"], label_names={"0": "bad", "1": "good"}).labels == ("bad", "good")
    assert "None of the labels to rename" not in caplog.text


@pytest.mark.parametrize(
    "cells",
    [
        ["a,b", "b,c", "a,c"],
        ["a", "a,b"],
        ["a", "b", "c", "a b", "b c"],
        ["3", "7", "2", "4", "3,7", "7,2"],
    ],
)
def test_combinations_that_may_be_classes_are_warned_of(cells, caplog):
    assert list(labelled(cells).labels) == cells
    example = next(cell for cell in cells if len(cell) == 3)
    assert f"such as '{example}' look like several labels in one cell" in caplog.text


@pytest.mark.parametrize(
    "value", [["a"], ["it's", 'x "y"'], [1, 0], {"a": True}, [], [None, "é\n"]]
)
def test_literals_of_json_and_python(value):
    def plain(value):
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return str(value) if type(value) is int else value

    assert literal(json.dumps(value)) == literal(repr(value)) == plain(value)


def test_literals_of_numpy():
    assert literal(str(np.array([0, 1, 1]))) == ["0", "1", "1"]
    assert literal(str(np.array(["a", "b c"], dtype=object))) == ["a", "b c"]
    assert literal(str(np.arange(60))) == [str(number) for number in range(60)]


NO_LITERALS = ["", "[", "[a]", "[1-5]", "[1", "{1: 2", "[,]", '["a]', "[1]]", "{a: 1}"]


@pytest.mark.parametrize("text", [*NO_LITERALS, "[" * 99 + "]" * 99])
def test_what_is_no_literal(text):
    assert literal(text) is None


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_in_brackets_can_be_looked_at(text):
    for cell in (text, f"[{text}]", f"{{{text}}}", f'["{text}"]'):
        literal(cell)


words = st.text(st.characters(categories=("L", "N"), include_characters=" -'\""), min_size=1)
words = words.map(str.strip).filter(bool)


@settings(deadline=None)
@given(st.lists(words, min_size=1, max_size=6))
def test_a_list_of_one_is_its_element_however_it_is_written(labels):
    for write in (lambda x: json.dumps([x]), lambda x: repr([x]), lambda x: repr({"choices": [x]})):
        assert list(labelled([write(label) for label in labels]).labels) == labels


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_one_hot_vectors_are_positions(classes):
    vectors = np.eye(5, dtype=int)[classes]
    for write in (lambda row: str(row.tolist()), str, lambda row: str(row.astype(float))):
        found = labelled([write(row) for row in vectors])
        assert [int(label) for label in found.labels] == classes


def test_the_same_from_jsonl_parquet_and_csv(tmp_path, caplog):
    rows = [["a"], ["b"], [], ["a"]]
    texts = ["w", "x", "y", "z"]
    pq.write_table(pa.table({"text": texts, "label": rows}), tmp_path / "a.parquet")
    lines = [json.dumps({"text": t, "label": r}) for t, r in zip(texts, rows, strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    lines = [f'{t},"{r}"' for t, r in zip(texts, rows, strict=True)]
    (tmp_path / "a.csv").write_text("text,label\n" + "\n".join(lines))
    for name in ("a.parquet", "a.jsonl", "a.csv"):
        found = examples_from(read_table(tmp_path / name))
        assert found.labels == ("a", "b", "a")
        assert f"Dropped 1 row with an empty label from '{tmp_path / name}'" in caplog.text


def test_lists_of_class_labels_come_as_names(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        text=datasets.Value("string"),
        labels=datasets.List(datasets.ClassLabel(names=["joy", "anger"])),
    )
    made = datasets.Dataset.from_dict(
        {"text": ["x", "y", "z"], "labels": [[1], [0], []]}, features=features
    )
    made.save_to_disk(tmp_path / "saved")
    made.to_parquet(tmp_path / "a.parquet")
    for name in ("saved", "a.parquet"):
        assert examples_from(read_table(tmp_path / name)).labels == ("anger", "joy")


# One column a label


def spread(rows, **how):
    names = ("text", "praise", "insult", "other, rude")
    values = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    table = Table(names, values, list(range(1, len(rows) + 1)), "a.parquet", "row")
    return examples_from(table, label_column='praise,insult,"other, rude"', **how)


def test_columns_of_0_and_1(caplog):
    rows = [
        ("x", "1", "0", "0"),
        ("y", "0.0", "1.0", ""),
        ("z", "0", "0", "0"),
        ("w", "false", "False", "TRUE"),
    ]
    found = spread(rows, label_names={"insult": "rude"})
    assert found.labels == ("praise", "rude", "other, rude")
    assert found.lines == (1, 2, 4)
    assert "Dropped 1 row with an empty label" in caplog.text


def test_columns_of_which_several_hold_1():
    with pytest.raises(DataError, match="row 2: several labels in one row, 'praise', 'insult'; 1"):
        spread([("x", "1", "0", "0"), ("y", "1", "1", "0")])


def test_columns_of_something_else():
    with pytest.raises(DataError, match="row 1: column 'insult' holds 'x'"):
        spread([("x", "1", "x", "0")])


def test_a_column_whose_name_has_commas_goes_first():
    table = Table(("text", "a,b"), {"text": ["x"], "a,b": ["yes"]}, [1], "a.csv")
    assert examples_from(table, label_column="a,b").labels == ("yes",)


def test_a_column_of_several_that_is_not_there_is_named():
    table = Table(("text", "a", "b"), {"text": ["x"], "a": ["1"], "b": ["0"]}, [1], "a.csv")
    with pytest.raises(DataError, match="has no column 'c'"):
        examples_from(table, label_column="a,c")


def test_columns_of_0_and_1_are_proposed():
    values = {"text": ["x", "y"], "toxic": ["0", "1"], "rude": ["1", "0"], "size": ["3", "0"]}
    table = Table(tuple(values), values, [1, 2], "a.csv")
    with pytest.raises(DataError, match="called like a label") as found:
        examples_from(table)
    assert "--label-column toxic,rude." in found.value.hint


# Ids


def test_ids_are_kept_beside_and_taken_along():
    values = {"ID": ["r1", "r2", "r3"], "text": ["x", "", "z"], "label": ["a", "b", "c"]}
    table = Table(tuple(values), values, [1, 2, 3], "a.csv")
    found = examples_from(table)
    assert found.ids == ("r1", "r3")
    assert found.take([1]).ids == ("r3",)


@pytest.mark.parametrize("ids", [["1", "1"], ["1", ""]])
def test_ids_that_do_not_tell_rows_apart_are_none(ids):
    values = {"id": ids, "text": ["x", "y"], "label": ["a", "b"]}
    assert examples_from(Table(tuple(values), values, [1, 2], "a.csv")).ids == ()
    values = {"id": ["x", "y"], "label": ["a", "b"]}
    assert examples_from(Table(tuple(values), values, [1, 2], "a.csv"), text_column="id").ids == ()
