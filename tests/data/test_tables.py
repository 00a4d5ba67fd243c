"""What every format makes of a file: nothing lost, nothing reinterpreted."""

from __future__ import annotations

import json
import logging
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lora_bert.data.tables import ReadOptions, iter_tables, read_table
from lora_bert.errors import ConfigError, DataError, NotFoundError

SPELLINGS = ["NA", "None", "null", "nan", "01", "1.0", "True", "", "-", "1e5"]


def write(path, text, **how):
    path.write_bytes(text.encode(how.get("encoding", "utf-8")))
    return path


def test_spellings_survive_csv(tmp_path):
    body = "".join(f"t{i},{label}\n" for i, label in enumerate(SPELLINGS))
    table = read_table(write(tmp_path / "a.csv", "text,label\n" + body))
    assert table.values["label"] == SPELLINGS
    assert table.lines == list(range(2, 12))
    assert len(table) == 10


def test_json_numbers_keep_their_spelling(tmp_path):
    rows = '{"t": "a", "l": 1.0}\n{"t": "b", "l": 1e5}\n{"t": "c", "l": 007e1}\n'
    path = write(tmp_path / "a.jsonl", rows.replace("007e1", "-0"))
    assert read_table(path).values["l"] == ["1.0", "1e5", "-0"]


def test_json_values(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        '{"l": true}\n\n{"l": false}\n{"l": null}\n{}\n{"l": [1.0, {"a": null, "é": "x"}]}\n'
        '{"l": NaN}\n{"l": "\\ud83d\\ude00"}\n{"l": "half \\ud83d"}\n',
    )
    table = read_table(path)
    assert table.values["l"] == [
        "true",
        "false",
        "",
        "",
        '[1.0, {"a": null, "é": "x"}]',
        "",
        "😀",
        "half \ufffd",
    ]
    assert table.lines == [1, 3, 4, 5, 6, 7, 8, 9]


def test_jsonl_keys_that_come_later_are_columns(tmp_path):
    table = read_table(write(tmp_path / "a.ndjson", '{"a": "1"}\n{"b": "2", "a": "3"}\n'))
    assert table.columns == ("a", "b")
    assert table.values == {"a": ["1", "3"], "b": ["", "2"]}


@pytest.mark.parametrize(
    "text",
    [
        '[\n{"t": "a", "l": 1},\n\n{"t": "b",\n "l": 2}]',
        '{"version": "v1", "n": {"x": [1]},\n"data": [{"t": "a", "l": 1},\n\n{"t": "b", "l": 2}]}',
    ],
)
def test_json_documents(tmp_path, text):
    table = read_table(write(tmp_path / "a.json", text))
    assert table.values == {"t": ["a", "b"], "l": ["1", "2"]}
    assert (table.lines, table.unit) == ([1, 2], "record")


def test_json_lines_in_a_file_called_json(tmp_path):
    table = read_table(write(tmp_path / "a.json", '\n{"t": "a", "l": 1}\n\n{"t": "b", "l": 2}\n'))
    assert table.values == {"t": ["a", "b"], "l": ["1", "2"]}
    assert (table.lines, table.unit) == ([2, 4], "line")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "no rows"),
        ('{"data": []}', "no rows"),
        ('{"a": [{}], "b": [{}], "c": []}', "several lists of rows, 'a', 'b'"),
        ('{"text": ["a"], "label": ["b", "c"]}', "no list of rows"),
        ("3", "neither a list nor an object"),
        ('[{"a": 1},\n 3]', "record 2: not a JSON object"),
        ('[{"a": 1},\n {"a": }]', "line 2, column 8: not JSON"),
        ('[{"a": 1, "a": 2}]', "'a' stands twice"),
        ("[" * 100_000, "recursion"),
        ("  \n", "is empty"),
    ],
)
def test_json_mistakes(tmp_path, text, says):
    with pytest.raises(DataError, match=says):
        read_table(write(tmp_path / "a.json", text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1}\n[1]\n', "line 2: not a JSON object"),
        ('{"a": 1}\n\n{"a": 1\n', "line 3, column"),
        ('{"a": 1, "a": 2}\n', "line 1: the key 'a' stands twice"),
        ('{"a": ' + "[" * 100_000 + "\n", "line 1: .*recursion"),
        ("\n\n", "no rows"),
    ],
)
def test_jsonl_mistakes(tmp_path, text, says):
    with pytest.raises(DataError, match=says):
        read_table(write(tmp_path / "a.jsonl", text))


def test_parquet_values(tmp_path):
    columns = {
        "text": pa.array(["a", None, "NA"]),
        "int": pa.array([1, None, -3]),
        "float": pa.array([1.0, None, 0.1]),
        "single": pa.array([1.0, None, 0.1], pa.float32()),
        "bool": pa.array([True, None, False]),
        "dict": pa.array(["x", None, "y"]).dictionary_encode(),
        "list": pa.array([["é", None], None, []]),
        "date": pa.array([0, None, 1], pa.date32()),
        "bytes": pa.array([b"ok", None, b"\xe4\xbd\xa0"]),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.columns == tuple(columns)
    assert table.values == {
        "text": ["a", "", "NA"],
        "int": ["1", "", "-3"],
        "float": ["1.0", "", "0.1"],
        "single": ["1.0", "", "0.1"],
        "bool": ["true", "", "false"],
        "dict": ["x", "", "y"],
        "list": ['["é", null]', "", "[]"],
        "date": ["1970-01-01", "", "1970-01-02"],
        "bytes": ["ok", "", "你"],
    }
    assert table.lines == [1, 2, 3]


def labelled(path, ids, names):
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": names, "_type": "ClassLabel"},
    }
    table = pa.table({"text": ["a"] * len(ids), "label": pa.array(ids, pa.int64())})
    table = table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pq.write_table(table, path)
    return path


def test_parquet_class_label_names(tmp_path):
    path = labelled(tmp_path / "a.parquet", [1, 0, -1, None], ["neg", "pos"])
    assert read_table(path).values["label"] == ["pos", "neg", "", ""]


def test_parquet_label_without_a_name(tmp_path):
    with pytest.raises(DataError, match="label 2 in column 'label' has no name"):
        read_table(labelled(tmp_path / "a.parquet", [2], ["neg", "pos"]))


def test_parquet_bytes_that_are_no_text(tmp_path):
    pq.write_table(pa.table({"text": [b"\xff\xfe"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column 'text' of type binary"):
        read_table(tmp_path / "a.parquet")


def test_damaged_parquet(tmp_path):
    path = labelled(tmp_path / "a.parquet", [0] * 50, ["a"])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.parquet' is not a readable parquet file"):
        read_table(path)


def test_empty_parquet(tmp_path):
    with pytest.raises(DataError, match="no rows"):
        read_table(labelled(tmp_path / "a.parquet", [], ["a"]))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_blank_lines(tmp_path, end):
    text = end.join(["text,label", "", '"two', 'lines",x', "   ", "b,y", ""])
    table = read_table(write(tmp_path / "a.csv", text))
    assert table.values == {"text": [f"two{end}lines", "b"], "label": ["x", "y"]}
    assert table.lines == [3, 6]


def test_an_empty_cell_of_the_only_column_is_a_row(tmp_path):
    assert read_table(write(tmp_path / "a.csv", 'text\na\n""\nb\n')).values["text"] == [
        "a",
        "",
        "b",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("text,label\na,x\nb\nc,y\n", "line 3: 1 cell where there are 2 columns, too few"),
        ("text,label\na,x\n\nb,c,y\n", "line 4: 3 cells where there are 2 columns, too many"),
        ('text,label\na,x\n"b,y\nc,z\n', "line 3: a quote opened .* never closed"),
        ('text,label\n"a\nb",x\nc,y\n"d,y\n', "line 5: a quote opened .* never closed"),
        ('text,label\n"b,y\nc,z\n"d",z\n', "line 2: .* in the middle of a cell on line 4"),
        ('text,label\n"b"c,y\n', "line 2: .* in the middle of a cell on line 2"),
        ('text,label\na,x\n"' + "long " * 4_000_000, "line 3: .* never closed"),
        ("text,label\n", "a header and no rows"),
        ("text,label", "a header and no rows"),
        ("", "is empty"),
        ("\n \n\n", "is empty|no rows"),
        ("text,label,text\na,b,c\n", "more than one column of the same name: 'text'"),
    ],
)
def test_csv_mistakes(tmp_path, text, says):
    with pytest.raises(DataError, match=says):
        read_table(write(tmp_path / "a.csv", text))


def test_rows_behind_the_first_piece_are_checked(tmp_path):
    lines = [f"text {i},x{i % 2}" for i in range(3000)] + ["short"]
    path = write(tmp_path / "a.csv", "\n".join(["text,label", *lines]))
    with pytest.raises(DataError, match="line 3,002"):
        read_table(path)


def test_two_stray_quotes_that_swallow_rows_are_warned_of(tmp_path, caplog):
    text = 'label,text\n0,fine\n1,"open\n0,swallowed\n1,close"\n0,fine\n'
    table = read_table(write(tmp_path / "a.csv", text))
    assert len(table) == 3
    assert "line 3: a quoted cell runs over several lines that look like rows" in caplog.text


def test_an_ordinary_text_of_several_lines_is_not_warned_of(tmp_path, caplog):
    text = 'label,text\n0,"Dear all,\n\nthanks, and goodbye\n"\n1,"a\nb, c"\n'
    read_table(write(tmp_path / "a.csv", text))
    assert caplog.text == ""


@pytest.mark.parametrize(("mark", "spoken"), [(";", "semicolons"), ("\t", "tabs")])
def test_csv_of_another_separator(tmp_path, caplog, mark, spoken):
    caplog.set_level(logging.INFO)
    text = "text;label\na, b;x\nc;y\n".replace(";", mark)
    assert read_table(write(tmp_path / "a.csv", text)).values == {
        "text": ["a, b", "c"],
        "label": ["x", "y"],
    }
    assert f"separated by {spoken}" in caplog.text


def test_tsv_with_quotes_that_are_meant(tmp_path, caplog):
    text = 'text\tlabel\n"say ""hi"""\tx\n"two\nlines"\ty\n'
    table = read_table(write(tmp_path / "a.tsv", text))
    assert table.values["text"] == ['say "hi"', "two\nlines"]
    assert caplog.text == ""


@pytest.mark.parametrize(
    "cells",
    [
        ['"oops', "fine"],  # never closed
        ['"oops', 'ends"'],  # would swallow a row
        ['"Great" film', "fine"],  # closed within the cell
    ],
)
def test_tsv_with_quotes_that_do_not_balance(tmp_path, caplog, cells):
    caplog.set_level(logging.INFO)
    body = "".join(f"{cell}\tx\n" for cell in cells)
    table = read_table(write(tmp_path / "a.tsv", "text\tlabel\n" + body))
    assert table.values["text"] == cells
    assert "read as plain characters" in caplog.text


def test_txt_is_separated_by_tabs(tmp_path):
    assert read_table(write(tmp_path / "a.txt", "text\tlabel\na\tx\n")).columns == ("text", "label")


def test_a_mark_inside_the_first_value_is_no_part_of_it(tmp_path):
    table = read_table(write(tmp_path / "a.csv", "label,text\n1,\ufeffhello\n"))
    assert table.values["text"] == ["hello"]


def test_pieces(tmp_path):
    path = write(tmp_path / "a.csv", "text\n" + "".join(f"t{i}\n" for i in range(25)))
    pieces = list(iter_tables(path, rows=10))
    assert [len(piece) for piece in pieces] == [10, 10, 5]
    assert pieces[2].values["text"][-1] == "t24"
    assert pieces[2].lines[-1] == 26
    assert pieces[0].source == str(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, suffix):
    path, cell = tmp_path / f"a{suffix}", "word " * 200
    if suffix == ".parquet":
        pq.write_table(pa.table({"text": [cell + str(i) for i in range(8000)]}), path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": cell + str(i)}) + "\n" for i in range(8000)))
    else:
        path.write_text("text\n" + "".join(f'"{cell}{i}"\n' for i in range(8000)))
    next(iter_tables(path, rows=10))  # imports are not counted
    tracemalloc.start()
    rows = sum(len(piece) for piece in iter_tables(path, rows=50))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 8000
    assert peak < 6_000_000  # the values are 8 MB


def test_names_for_columns(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = write(tmp_path / "a.csv", "x,y\na,b\n")
    assert read_table(path, ReadOptions(columns=("text", "label"))).values == {
        "text": ["a"],
        "label": ["b"],
    }
    assert "The header of" in caplog.text
    plain = read_table(path, ReadOptions(header=False))
    assert plain.columns == ("column_1", "column_2")
    assert plain.values["column_1"] == ["x", "a"]
    named = read_table(path, ReadOptions(header=False, columns=("text", "label")))
    assert named.values["text"] == ["x", "a"]
    with pytest.raises(DataError, match=r"--columns names 1 column, but .* has 2"):
        read_table(path, ReadOptions(header=False, columns=("text",)))


def test_names_for_columns_of_json(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"x": 1, "y": 2}\n')
    assert read_table(path, ReadOptions(columns=("text", "label"))).columns == ("text", "label")
    with pytest.raises(ConfigError, match="--no-header"):
        read_table(path, ReadOptions(header=False))


def test_no_such_file(tmp_path):
    write(tmp_path / "reviews.csv", "a")
    with pytest.raises(NotFoundError, match="No such data file") as caught:
        read_table(tmp_path / "review.csv")
    assert "reviews.csv" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "says"),
    [("a.docx", r"ends in '\.docx'"), ("a", "no suffix"), ("a.pdf.gz", r"ends in '\.pdf'")],
)
def test_unknown_kinds(tmp_path, name, says):
    with pytest.raises(DataError, match=says) as caught:
        read_table(write(tmp_path / name, "text\na\n"))
    assert ".csv, .tsv, .txt, .json, .jsonl, .ndjson, .parquet" in caught.value.hint


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(DataError, match="is a directory"):
        read_table(tmp_path)


def test_a_suffix_in_capitals(tmp_path):
    assert read_table(write(tmp_path / "A.CSV", "text\na\n")).columns == ("text",)
