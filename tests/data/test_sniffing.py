"""Of a text file the content decides, where it is certain."""

from __future__ import annotations

import json
import logging

import pytest

from lora_bert.data.examples import examples_from
from lora_bert.data.tables import ReadOptions, read_table
from lora_bert.errors import DataError

ROWS = [{"text": "送得快", "label": "good"}, {"text": "bad [x]", "label": "bad"}]
ARRAY = json.dumps(ROWS, ensure_ascii=False)
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
PRETTY = json.dumps({"data": ROWS}, indent=1)
FASTTEXT = "__label__good 送得快\n\n__label__bad bad [x]\n"
CSV = "text,label\n送得快,good\nbad [x],bad\n"


def file(tmp_path, name, text, encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv", ".json", ".jsonl", ".data", ""])
@pytest.mark.parametrize("text", [ARRAY, LINES, PRETTY, " \n" + ARRAY])
def test_json_whatever_its_name(tmp_path, suffix, text):
    found = examples_from(read_table(file(tmp_path, "a" + suffix, text)))
    assert found.texts == ("送得快", "bad [x]")
    assert found.labels == ("good", "bad")


@pytest.mark.parametrize("suffix", [".txt", ".tsv", ".csv", ".ft", ".train", ".valid", ""])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_fasttext_whatever_its_name(tmp_path, suffix, encoding):
    table = read_table(file(tmp_path, "a" + suffix, FASTTEXT, encoding))
    assert table.columns == ("label", "text")
    assert table.values == {"label": ["good", "bad"], "text": ["送得快", "bad [x]"]}
    assert (table.lines, table.unit) == ([1, 3], "line")


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("sign", [",", "\t"])
def test_separated_cells_called_json(tmp_path, suffix, sign):
    table = read_table(file(tmp_path, "a" + suffix, CSV.replace(",", sign)))
    assert table.values["label"] == ["good", "bad"]


def test_a_note_says_what_a_file_holds(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        read_table(file(tmp_path, "a.txt", ARRAY))
        assert caplog.text.count("a.txt' is read as what it holds, a JSON document.") == 1
        caplog.clear()
        read_table(file(tmp_path, "b.csv", CSV))
        read_table(file(tmp_path, "b.json", LINES))
        assert "what it holds" not in caplog.text


@pytest.mark.parametrize(
    ("suffix", "text", "first"),
    [
        (".csv", "[SPAM] win,label\nx,y\n", "[SPAM] win"),
        (".csv", '"[{""a"": 1}]",label\nx,y\n', '[{"a": 1}]'),
        (".csv", "{name} hello,label\nx,y\n", "{name} hello"),
        (".csv", '{"a": 1},label\nx,y\n', '{"a": 1}'),
        (".tsv", '[{"a": 1}] is json\tlabel\nx\ty\n', '[{"a": 1}] is json'),
        (".txt", "[[1]] x\tlabel\nx\ty\n", "[[1]] x"),
        (".csv", "__label__,text\nx,y\n", "__label__"),
        (".csv", "__label__a,text\n__label__b,y\n", "__label__a"),
        (".tsv", "__label__a\ttext\tmore\nx\ty\tz\n", "__label__a"),
    ],
)
def test_cells_that_only_look_so(tmp_path, suffix, text, first):
    path = file(tmp_path, "a" + suffix, text)
    assert read_table(path, ReadOptions(header=True)).columns[0] == first


@pytest.mark.parametrize("name", ["a.txt", "a.json", "a.jsonl"])
def test_broken_json_is_answered_as_json(tmp_path, name):
    with pytest.raises(DataError, match=r"line \d, column \d+: not JSON"):
        read_table(file(tmp_path, name, ARRAY[:-20]))


def test_fasttext_of_labels_behind_and_of_none(tmp_path):
    table = read_table(file(tmp_path, "a.txt", "so good __label__a\nbad __label__b\n"))
    assert table.columns == ("text", "label")
    assert table.values == {"text": ["so good", "bad"], "label": ["a", "b"]}
    text = "__label__a\tx  y\n__label__b\n__label__[c] z\n"
    table = read_table(file(tmp_path, "b.txt", text), ReadOptions(header=False))
    assert table.values == {"label": ["a", "b", "[c]"], "text": ["x  y", "", "z"]}


def test_fasttext_of_several_labels(tmp_path):
    path = file(tmp_path, "a.txt", "__label__a x\n__label__a __label__b y\n")
    with pytest.raises(DataError, match=r"a.txt', line 2: several labels in one row, 'a', 'b'"):
        examples_from(read_table(path))


@pytest.mark.parametrize("text", ["", "plain words\n", "label,text\n", "{x\n", "__label__ x\n"])
def test_other_endings_stay_unknown(tmp_path, text):
    with pytest.raises(DataError, match=r"is of no known kind|is empty"):
        read_table(file(tmp_path, "a.dat", text))
