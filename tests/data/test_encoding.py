"""Encodings are found out, said, and never guessed past a bad byte."""

from __future__ import annotations

import logging
import random

import pytest

from lora_bert.data.encoding import detect
from lora_bert.data.tables import ReadOptions, read_table
from lora_bert.errors import ConfigError, DataError

TEXT = "label,review\n" + "".join(
    f'{i % 2},"第{i}份，一开始味道很好；送餐员态度不错！"\n' for i in range(200)
)


def table_of(tmp_path, data, encoding="auto"):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    return read_table(path, ReadOptions(encoding=encoding))


@pytest.mark.parametrize(
    ("codec", "mark", "says"),
    [
        ("utf-8", b"", None),
        ("utf-8", b"\xef\xbb\xbf", "is read as UTF-8 with a byte order mark"),
        ("utf-16-le", b"\xff\xfe", "is read as UTF-16 LE with a byte order mark"),
        ("utf-16-be", b"\xfe\xff", "is read as UTF-16 BE with a byte order mark"),
        ("utf-16-le", b"", "is read as UTF-16 LE."),
        ("utf-16-be", b"", "is read as UTF-16 BE."),
        ("utf-32-le", b"\xff\xfe\0\0", "is read as UTF-32 LE"),
        ("gb18030", b"", "is read as GB18030"),
        ("gbk", b"", "is read as GB18030"),
    ],
)
def test_encodings(tmp_path, caplog, codec, mark, says):
    caplog.set_level(logging.INFO)
    table = table_of(tmp_path, mark + TEXT.encode(codec))
    assert table.columns == ("label", "review")
    assert table.values["review"][7] == "第7份，一开始味道很好；送餐员态度不错！"
    assert len(table) == 200
    assert (says in caplog.text) if says else caplog.text == ""


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_ascii_in_utf16_without_mark(tmp_path, codec):
    table = table_of(tmp_path, b"text,label\ngood stuff,yes\n".decode().encode(codec))
    assert table.values == {"text": ["good stuff"], "label": ["yes"]}


def test_long_chinese_texts_in_utf16_without_mark(tmp_path):
    body = "text,label\n" + "".join("一开始还可以　" * 100 + f",{i}\n" for i in range(100))
    assert len(table_of(tmp_path, body.encode("utf-16-le"))) == 100


def test_jsonl_and_tsv_in_other_encodings(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"text": "很好"}\n'.encode("gb18030") * 3)
    assert read_table(path).values["text"] == ["很好"] * 3
    path = tmp_path / "a.tsv"
    path.write_bytes('text\tlabel\n"很好\tx\n'.encode("utf-16"))
    assert read_table(path).values["text"] == ['"很好']


def test_a_character_on_the_border_of_two_blocks(tmp_path):
    for shift in range(4):
        data = "text\n" + "x" * shift + "好" * 600_000 + "\nend\n"
        assert len(table_of(tmp_path, data.encode())) == 2
        assert len(table_of(tmp_path, data.encode("gb18030"))) == 2


@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
def test_one_bad_byte_is_named(tmp_path, codec):
    good = TEXT.encode(codec)
    at = good.index(b"\n", 5000) + 1
    line = good[:at].count(b"\n") + 1
    with pytest.raises(DataError) as caught:
        table_of(tmp_path, good[:at] + b"\xff" + good[at:])
    assert f"up to byte {at:,} on line {line:,}" in str(caught.value)
    assert codec.upper() in str(caught.value)
    damaged, unsure = "mend that line", "Name its encoding with --encoding"
    assert (damaged if codec == "utf-8" else unsure) in caught.value.hint


def test_a_bad_byte_behind_the_first_block(tmp_path):
    good = b"text\n" + b"abcdefg\n" * 300_000
    with pytest.raises(DataError, match=r"byte 2,400,005 on line 300,002"):
        table_of(tmp_path, good + b"\xff\n")


def test_western_text_is_not_taken_for_chinese(tmp_path):
    # Every accented letter stands before a lower-case one: all of it decodes as GB18030.
    data = "text,label\nrésumé élégant, préféré\n".replace("é ", "e ").replace("é,", "e,")
    data = data.replace("é\n", "e\n").encode("latin-1")
    data.decode("gb18030")
    assert table_of(tmp_path, data).values["text"] == ["résume élégant"]
    assert table_of(tmp_path, data, "latin-1").values["text"] == ["résume élégant"]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("size", [64, 1000, 100_000])
def test_binary_garbage(tmp_path, seed, size):
    with pytest.raises(DataError, match=r"not text|cannot be decoded"):
        table_of(tmp_path, random.Random(seed).randbytes(size))


def test_binary_formats(tmp_path):
    for data in (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(32)) * 9, b"PK\x03\x04\0\0" * 99):
        with pytest.raises(DataError, match="not text"):
            table_of(tmp_path, data)


def test_a_few_controls_are_still_text(tmp_path):
    data = TEXT + "1,odd \x00 and \x01\n"
    assert table_of(tmp_path, data.encode()).values["review"][-1] == "odd \x00 and \x01"


def test_encoding_that_is_told(tmp_path):
    data = TEXT.encode("big5", "ignore")
    assert len(table_of(tmp_path, data, "big5")) == 200
    with pytest.raises(DataError, match="is not ascii: byte 16 on line 2"):
        table_of(tmp_path, TEXT.encode(), "ascii")
    assert table_of(tmp_path, b"\xef\xbb\xbf" + TEXT.encode(), "utf-8").columns[0] == "label"
    assert len(table_of(tmp_path, TEXT.encode("utf-16"), "utf-16")) == 200


@pytest.mark.parametrize("name", ["utf-9", "base64", "rot13", "", "undefined", "idna", "x\0y"])
def test_no_such_encoding(tmp_path, name):
    with pytest.raises(ConfigError, match="no text encoding"):
        table_of(tmp_path, TEXT.encode(), name)


def test_detect_says_the_codec_unless_quiet(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / "a"
    path.write_bytes(TEXT.encode("gb18030"))
    assert detect(path, "a") == "gb18030"
    assert caplog.messages == ["'a' is read as GB18030."]
    assert detect(path, "a", quiet=True) == "gb18030"
    assert len(caplog.messages) == 1
