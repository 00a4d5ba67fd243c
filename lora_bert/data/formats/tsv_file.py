"""Tab-separated files, with quotes that are meant or that belong to the text.

Both kinds exist: what pandas writes has quoted cells, what people collect has sentences with stray
quotes. Quotes are meant only if the whole file parses strictly with them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from lora_bert.data.formats.delimited import Record, is_blank, records, table_rows
from lora_bert.data.opening import open_text
from lora_bert.data.rows import ReadOptions, Rows
from lora_bert.errors import DataError

logger = logging.getLogger(__name__)


def read(path: Path, source: str, codec: str, options: ReadOptions) -> Rows:
    """Open a tsv file; says so (log) where its quotes are taken as plain characters."""
    quoting = False
    if _has_quotes(path, codec):
        quoting = _parses_with_quotes(path, source, codec)
        if not quoting:
            logger.info("'%s': its quotes do not balance and are read as plain characters.", source)
    found = _records(path, source, codec, quoting=quoting)
    return table_rows(found, options, source, delimiter="\t")


def _records(path: Path, source: str, codec: str, *, quoting: bool) -> Iterator[Record]:
    with open_text(path, codec, newline="") as stream:
        yield from records(stream, source, delimiter="\t", quoting=quoting)


def _has_quotes(path: Path, codec: str) -> bool:
    with open_text(path, codec) as stream:
        return any('"' in line for line in stream)


def _parses_with_quotes(path: Path, source: str, codec: str) -> bool:
    """Whether every row has the first one's width and no quoted cell swallows another row."""
    width = 0
    try:
        for _, cells in _records(path, source, codec, quoting=True):
            width = width or len(cells)
            if len(cells) != width and not is_blank(cells, width):
                return False
            if any("\t" in cell and ("\n" in cell or "\r" in cell) for cell in cells):
                return False
    except DataError:
        return False
    return True
