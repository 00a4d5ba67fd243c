"""Whatever is written with other tools comes back as it was."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_bert.data.tables import SUFFIXES, ReadOptions, read_table
from lora_bert.errors import LoraBertError

HEADER = ReadOptions(header=True)
# Control characters mark a file as binary; a byte order mark at an end is not part of a value.
values = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\r\t"), max_size=30
).filter(lambda text: text == text.strip("\ufeff"))
one_line = values.map(lambda text: " ".join(text.split("\n")).replace("\r", " ").replace("\t", " "))
rows = st.lists(st.tuples(values, values), min_size=1, max_size=8)
quick = settings(max_examples=60, deadline=None)


def back(suffix, write):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a" + suffix)
        write(path)
        return read_table(path, HEADER if suffix in (".csv", ".tsv") else ReadOptions())


def delimited(cells, encoding, **how):
    def write(path):
        with path.open("w", newline="", encoding=encoding) as stream:
            csv.writer(stream, **how).writerows([("text", "label"), *cells])

    return write


@quick
@given(rows, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from(["\n", "\r\n"]))
def test_csv(cells, encoding, end):
    # With "\n" as its line end Python 3.11 leaves a lone "\r" unquoted: that is no csv any more.
    quoting = csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL
    table = back(".csv", delimited(cells, encoding, lineterminator=end, quoting=quoting))
    assert list(zip(*table.values.values(), strict=True)) == cells


@quick
@given(st.lists(values.filter(lambda text: text != ""), min_size=1, max_size=8))
def test_csv_of_one_column(cells):
    def write(path):
        with path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([cell] for cell in ("text", *cells))

    assert back(".csv", write).values["text"] == cells


def swallows(text):
    return "\t" in text and ("\n" in text or "\r" in text)


@quick
@given(st.lists(st.tuples(*[values.filter(lambda t: not swallows(t))] * 2), min_size=1, max_size=8))
def test_tsv_with_quotes(cells):
    table = back(".tsv", delimited(cells, "utf-8", delimiter="\t"))
    assert list(zip(*table.values.values(), strict=True)) == cells


@quick
@given(st.lists(st.tuples(one_line, one_line), min_size=1, max_size=8))
def test_tsv_with_quotes_in_the_text(cells):
    cells = [('"never closed', "x"), *cells]

    def write(path):
        lines = ["text\tlabel", *("\t".join(row) for row in cells)]
        path.write_bytes("\n".join(lines).encode() + b"\n")

    table = back(".tsv", write)
    assert list(zip(*table.values.values(), strict=True)) == cells


scalars = st.one_of(values, st.none(), st.booleans(), st.integers(), st.floats())
objects = st.lists(st.fixed_dictionaries({"text": values, "x": scalars}), min_size=1, max_size=8)


def as_cell(value):
    if isinstance(value, str):
        return value
    missing = value is None or value != value  # noqa: PLR0124 - NaN, which pandas writes for it
    return "" if missing else json.dumps(value)


@quick
@given(objects, st.booleans(), st.sampled_from([None, 1]))
def test_json(found, ascii_only, indent):
    def write(path):
        path.write_text(json.dumps(found, ensure_ascii=ascii_only, indent=indent), encoding="utf-8")

    table = back(".json", write)
    assert table.values["text"] == [row["text"] for row in found]
    assert table.values["x"] == [as_cell(row["x"]) for row in found]


@quick
@given(objects, st.booleans())
def test_jsonl(found, ascii_only):
    def write(path):
        lines = [json.dumps(row, ensure_ascii=ascii_only) for row in found]
        path.write_bytes("\n".join(lines).encode())

    table = back(".jsonl", write)
    assert table.values["text"] == [row["text"] for row in found]
    assert table.values["x"] == [as_cell(row["x"]) for row in found]
    assert table.lines == list(range(1, len(found) + 1))


@quick
@given(
    st.lists(
        st.tuples(
            st.none() | values,
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(),
            st.none() | st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_parquet(cells):
    kinds = (pa.string(), pa.int64(), pa.float64(), pa.bool_())
    arrays = [
        pa.array(column, kind) for column, kind in zip(zip(*cells, strict=True), kinds, strict=True)
    ]
    table = back(".parquet", lambda path: pq.write_table(pa.table(arrays, list("sifb")), path))
    texts, integers, floats, booleans = zip(*cells, strict=True)
    assert table.values["s"] == [text or "" for text in texts]
    assert table.values["i"] == ["" if n is None else str(n) for n in integers]
    assert table.values["f"] == ["" if x is None else repr(x) for x in floats]
    assert table.values["b"] == ["" if b is None else str(b).lower() for b in booleans]


marks = [b"\xff\xfe", b"\xef\xbb\xbf", b"PAR1", b"\0", "好".encode(), "好".encode("gbk")]
pieces = st.sampled_from([*(bytes([c]) for c in b'",\t\n\r1{}[]:;'), b"text", b"label", *marks])


@settings(max_examples=400, deadline=None)
@given(
    st.binary(max_size=60) | st.lists(pieces, max_size=25).map(b"".join),
    st.sampled_from(SUFFIXES),
)
def test_whatever_the_bytes_there_is_a_table_or_a_sentence(data, suffix):
    try:
        table = back(suffix, lambda path: path.write_bytes(data))
    except LoraBertError as error:
        assert str(error).endswith((".", ")."))
    else:
        assert len(table) > 0
        assert all(len(table.values[name]) == len(table) for name in table.columns)
