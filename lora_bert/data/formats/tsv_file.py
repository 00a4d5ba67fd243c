"""Tab-separated files, with quotes that are meant or that belong to the text.

A file without a tab in its first line may be separated by something else, as csv files are. Commas
stand in every text: they are taken if the first line then holds a usual column name, or several
columns were named.

Both kinds exist: what pandas writes has quoted cells, what people collect has sentences with stray
quotes. Quotes are meant only if the whole file parses strictly with them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from lora_bert.data.formats import csv_file
from lora_bert.data.formats.delimited import Record, is_blank, records, table_rows
from lora_bert.data.formats.dialect import AFTER_SPACE, MEANT, SPOKEN, Dialect, sniff
from lora_bert.data.header import holds_known_name
from lora_bert.data.opening import open_text
from lora_bert.data.rows import ReadOptions, Rows
from lora_bert.errors import DataError

logger = logging.getLogger(__name__)

_LOOK_AHEAD = 1000
_SPACED_QUOTE = re.compile(r'\t +"')


def read(path: Path, source: str, codec: str, options: ReadOptions) -> Rows:
    """Open a tsv file; says so (log) where its quotes are taken as plain characters."""
    if other := _other_separator(path, source, codec, options):
        return csv_file.read_as(other, path, source, codec, options)
    dialect = _quotes(path, source, codec)
    return table_rows(_records(path, source, codec, dialect), options, source, dialect)


def _quotes(path: Path, source: str, codec: str) -> Dialect:
    """What the quotes of a file mean; says so (log) where that is not plain."""
    quotes, spaced = _has_quotes(path, codec)
    after_space = Dialect("\t", skip_space=True)
    if spaced and _parses(path, source, codec, after_space):
        logger.info("'%s': %s.", source, MEANT)
        return after_space
    if quotes and _parses(path, source, codec, Dialect("\t")):
        return Dialect("\t")
    if quotes or _starts_with_single_quote(path, codec):
        found = sniff(path, source, codec, "\t", quiet=True)
        if found.delimiter == "\t" and found != Dialect("\t"):
            return sniff(path, source, codec, "\t")
    if quotes:
        logger.info("'%s': its quotes do not balance and are read as plain characters.", source)
    return Dialect("\t", quote=None)


def _other_separator(path: Path, source: str, codec: str, options: ReadOptions) -> Dialect | None:
    """The dialect of a file that has no tab in its first line but is a table all the same."""
    with open_text(path, codec, newline="") as stream:
        first = next((line for line in stream if line.strip()), "")
    if "\t" in first:
        return None
    if first.startswith(("sep=", '"sep=')):
        return sniff(path, source, codec, "\t")
    commas = len(options.columns) > 1 or (options.header is not False and holds_known_name(first))
    if not commas and not any(mark in first for mark in SPOKEN if mark != ","):
        return None
    dialect = sniff(path, source, codec, "\t", quiet=True)
    if dialect.delimiter == "\t" or (dialect.delimiter == "," and not commas):
        return None
    return sniff(path, source, codec, "\t")


def _records(path: Path, source: str, codec: str, dialect: Dialect) -> Iterator[Record]:
    with open_text(path, codec, newline="") as stream:
        yield from records(stream, source, dialect)


def _has_quotes(path: Path, codec: str) -> tuple[bool, bool]:
    """Whether there are quotes, and whether at the file's beginning one stands behind spaces.

    The whole file is read only where its beginning has none.
    """
    with open_text(path, codec) as stream:
        quoted = [line for line in islice(stream, _LOOK_AHEAD) if '"' in line]
        spaced = any(AFTER_SPACE.match(line) or _SPACED_QUOTE.search(line) for line in quoted)
        return bool(quoted) or any('"' in line for line in stream), spaced


def _starts_with_single_quote(path: Path, codec: str) -> bool:
    with open_text(path, codec) as stream:
        return stream.readline().lstrip().startswith("'")


def _parses(path: Path, source: str, codec: str, dialect: Dialect) -> bool:
    """Whether every row has the first one's width and no quoted cell swallows another row.

    Empty cells at the end may be more.
    """
    width = 0
    try:
        for _, cells in _records(path, source, codec, dialect):
            width = width or len(cells)
            spare = cells[width:]
            if (len(cells) < width and not is_blank(cells, width)) or any(map(str.strip, spare)):
                return False
            if any("\t" in cell and ("\n" in cell or "\r" in cell) for cell in cells):
                return False
    except DataError:
        return False
    return True
