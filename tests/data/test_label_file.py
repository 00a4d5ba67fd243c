"""Names of labels that are numbers, in the files that data sets come with."""

from __future__ import annotations

import json

import pytest

from lora_bert.config.shared import LabelledFileOptions
from lora_bert.data.label_file import read_label_file, renaming, separator
from lora_bert.errors import ConfigError, DataError, NotFoundError

NAMES = {"0": "joy", "1": "anger, mild", "2": "喜"}


@pytest.mark.parametrize(
    "text",
    [
        "joy\nanger, mild\n喜\n",
        "\ufeffjoy\r\nanger, mild\r\n喜",
        "0\tjoy\n1\tanger, mild\n2\t喜\n",
        "0: joy\n1: anger, mild\n2: 喜\n",
        "0,joy\n1,anger, mild\n2,喜\n",
        json.dumps(list(NAMES.values())),
        json.dumps(NAMES),
        json.dumps({name: int(number) for number, name in NAMES.items()}),
        json.dumps({"id2label": NAMES, "model_type": "bert"}),
    ],
)
def test_every_shape(text, tmp_path):
    (tmp_path / "labels").write_text(text, encoding="utf-8", newline="")
    assert read_label_file(tmp_path / "labels") == NAMES


def test_what_the_option_says_goes_first(tmp_path):
    (tmp_path / "labels.txt").write_text("a\nb\n")
    options = LabelledFileOptions(label_file=str(tmp_path / "labels.txt"), label_names="1=good")
    assert renaming(options) == {"0": "a", "1": "good"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no label"),
        ("a\n\nb", "has no name for 1"),
        ("a\nb\na\n", "gives the name 'a' twice"),
        ("{", "is not valid JSON"),
        ('{"a": "b"}', "does not name labels"),
        ("[1, 2]", "does not name labels"),
    ],
)
def test_what_names_no_labels(text, says, tmp_path):
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(DataError, match=says):
        read_label_file(tmp_path / "labels.txt")


def test_no_file_and_no_utf8(tmp_path):
    with pytest.raises(NotFoundError):
        read_label_file(tmp_path / "absent.txt")
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not UTF-8"):
        read_label_file(tmp_path / "labels.txt")


def test_separators():
    assert [separator(each) for each in (None, "|", r"\t", r"\n")] == [None, "|", "\t", "\n"]
    with pytest.raises(ConfigError, match="is empty"):
        separator("")
