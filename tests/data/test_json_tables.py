"""The shapes in which a JSON document holds a table."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_bert.data.examples import examples_from
from lora_bert.data.tables import ReadOptions, read_table
from lora_bert.errors import ConfigError, DataError

ORIENTS = ["records", "split", "index", "columns", "table"]
FRAME = pd.DataFrame({"text": ["very good", "bad", "so so"], "label": ["pos", "neg", "7"]})


def written(tmp_path, document):
    path = tmp_path / "a.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize("orient", ORIENTS)
@pytest.mark.parametrize("index", [None, [10, 7, 3], ["x", "y", "z"]])
def test_what_pandas_writes(tmp_path, orient, index):
    frame = FRAME if index is None else FRAME.set_index(pd.Index(index))
    table = read_table(written(tmp_path, frame.to_json(orient=orient)))
    assert table.values["text"] == list(FRAME["text"])
    assert table.values["label"] == list(FRAME["label"])
    assert (table.lines, table.unit) == ([1, 2, 3], "record")
    if index and orient != "records":
        assert examples_from(table).ids == tuple(map(str, index))


def test_pandas_json_lines_in_a_file_called_json(tmp_path):
    table = read_table(written(tmp_path, FRAME.to_json(orient="records", lines=True)))
    assert (table.columns, table.unit) == (("text", "label"), "line")


def test_values_have_no_names(tmp_path):
    rows = [*FRAME.to_numpy().tolist(), ["fine, I think.", "pos"]]
    path = written(tmp_path, rows)
    options = ReadOptions(columns=("text", "label"))
    assert read_table(path, options).values["label"] == ["pos", "neg", "7", "pos"]
    assert read_table(path, ReadOptions(header=False)).columns == ("column_1", "column_2")
    with pytest.raises(DataError, match="seems to have no header") as found:
        read_table(path)
    assert "--columns" in found.value.hint
    path = written(tmp_path, [["text", "label"], *rows])
    assert read_table(path).columns == ("text", "label")
    assert read_table(path, ReadOptions(columns=("a", "b"))).values["b"] == [
        "pos",
        "neg",
        "7",
        "pos",
    ]
    with pytest.raises(DataError, match=r"record 2: 1 value where the first record has 2"):
        read_table(written(tmp_path, [["a", "b"], ["c"]]))


def test_lists_under_their_names(tmp_path):
    table = read_table(written(tmp_path, FRAME.to_dict("list")))
    assert table.values == FRAME.to_dict("list")


def test_empty_lists_beside_the_rows_do_not_count(tmp_path):
    rows = FRAME.to_dict("records")
    document = {"version": "1", "errors": [], "data": rows, "notes": []}
    assert read_table(written(tmp_path, document)).values["label"] == ["pos", "neg", "7"]
    document["more"] = rows
    with pytest.raises(DataError, match="several lists of rows, 'data', 'more'"):
        read_table(written(tmp_path, document))


def test_rows_are_numbered_whatever_lines_they_stand_on(tmp_path):
    path = written(tmp_path, '[{"text": "a", "label": ["x"]}, {"text": "b", "label": ["x", "y"]}]')
    with pytest.raises(DataError, match=r"a.json', record 2: several labels"):
        examples_from(read_table(path))


def test_split_with_a_name_twice(tmp_path):
    with pytest.raises(DataError, match="more than one column of the same name: 'a'"):
        read_table(written(tmp_path, {"columns": ["a", "a"], "data": [["x", "y"]]}))


def test_no_header_is_for_tables_without_names(tmp_path):
    with pytest.raises(ConfigError, match="--no-header is for csv"):
        read_table(written(tmp_path, FRAME.to_json()), ReadOptions(header=False))


def test_numbers_keep_their_spelling(tmp_path):
    text = '{"text": {"0": "a", "1": "b"}, "label": {"0": 1.0, "1": 1e5}}'
    assert read_table(written(tmp_path, text)).values["label"] == ["1.0", "1e5"]


# A file that is full of controls is no text: pandas does not escape all of them.
strings = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
cells = strings.filter(lambda text: text == text.strip("\ufeff"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8), st.sampled_from(ORIENTS))
def test_any_frame_comes_back(rows, orient):
    frame = pd.DataFrame(rows, columns=["text", "label"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        frame.to_json(path, orient=orient)
        table = read_table(path)
    assert list(zip(table.values["text"], table.values["label"], strict=True)) == rows
