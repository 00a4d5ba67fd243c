"""Comma-separated files, and what is called so: other separators, other quotes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lora_bert.data.formats.delimited import Record, records, table_rows
from lora_bert.data.formats.dialect import Dialect, sniff
from lora_bert.data.opening import open_text
from lora_bert.data.rows import ReadOptions, Rows


def read(path: Path, source: str, codec: str, options: ReadOptions) -> Rows:
    """Open a csv file; quotes are meant, see :mod:`.delimited` for what is refused."""
    dialect = sniff(path, source, codec, ",")
    return read_as(dialect, path, source, codec, options)


def read_as(dialect: Dialect, path: Path, source: str, codec: str, options: ReadOptions) -> Rows:
    """Open a file whose dialect is known."""
    return table_rows(_records(path, source, codec, dialect), options, source, dialect)


def _records(path: Path, source: str, codec: str, dialect: Dialect) -> Iterator[Record]:
    with open_text(path, codec, newline="") as stream:
        for _ in range(dialect.skip):
            stream.readline()
        yield from records(stream, source, dialect)
