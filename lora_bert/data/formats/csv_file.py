"""Comma-separated files, and what spreadsheets call so: separated by semicolons or tabs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from lora_bert.data.formats.delimited import Record, records, table_rows
from lora_bert.data.opening import open_text
from lora_bert.data.rows import ReadOptions, Rows
from lora_bert.errors import DataError

logger = logging.getLogger(__name__)

_LOOK_AHEAD = 20


def read(path: Path, source: str, codec: str, options: ReadOptions) -> Rows:
    """Open a csv file; quotes are meant, see :mod:`.delimited` for what is refused."""
    delimiter = _delimiter(path, source, codec)
    found = _records(path, source, codec, delimiter)
    return table_rows(found, options, source, delimiter=delimiter)


def _records(path: Path, source: str, codec: str, delimiter: str) -> Iterator[Record]:
    with open_text(path, codec, newline="") as stream:
        yield from records(stream, source, delimiter=delimiter, quoting=True)


def _delimiter(path: Path, source: str, codec: str) -> str:
    """The comma, unless the first line has none and another one makes even rows."""
    with open_text(path, codec, newline="") as stream:
        lines = list(islice((line for line in stream if line.strip()), _LOOK_AHEAD))
    if lines and "," not in lines[0]:
        for delimiter, spoken in (("\t", "tabs"), (";", "semicolons")):
            if _makes_even_rows(lines, source, delimiter):
                logger.info("'%s' is separated by %s.", source, spoken)
                return delimiter
    return ","


def _makes_even_rows(lines: list[str], source: str, delimiter: str) -> bool:
    found = records(lines, source, delimiter=delimiter, quoting=True)
    try:
        widths = {len(cells) for _, cells in found}
    except DataError:
        return False
    return len(widths) == 1 and widths.pop() > 1
