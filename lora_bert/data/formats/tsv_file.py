"""Tab-separated files, with quotes that are meant or that belong to the text.

A file without a tab in its first line may be separated by something else, as csv files are. Commas
stand in every text: they are taken if the first line then holds a usual column name, or several
columns were named.

Both kinds exist: what pandas writes has quoted cells, what people collect has sentences with stray
quotes. Quotes are meant only if the whole file parses strictly with them.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from lora_bert.data.formats.delimited import open_table
from lora_bert.data.formats.dialect import (
    SPACES_LEFT_OUT,
    SPOKEN,
    Dialect,
    holds_quote_after_space,
    names_separator,
    sniff,
)
from lora_bert.data.header import holds_usual_name
from lora_bert.data.opening import open_text
from lora_bert.data.rows import HEAD_ROWS, OpenTable, ReadOptions


def read(path: Path, source: str, codec: str, options: ReadOptions) -> OpenTable:
    """Open a tsv file; says so (log) where its quotes are taken as plain characters."""
    dialect = _other_separator(path, codec, options) or _quotes(path, codec)
    return open_table(path, source, codec, options, dialect)


def _quotes(path: Path, codec: str) -> Dialect:
    """What the quotes of a file mean."""
    plain, after_space = (
        Dialect("\t"),
        Dialect("\t", skip_space=True, notes=(f": {SPACES_LEFT_OUT}",)),
    )
    quotes, spaced = _has_quotes(path, codec)
    for dialect in (after_space,) * spaced + (plain,) * quotes:
        if dialect.fits_file(path, codec, rows_in_cells=False):
            return dialect
    if quotes or _starts_with_single_quote(path, codec):
        sniffed = sniff(path, codec, "\t")
        if sniffed.delimiter == "\t" and sniffed != plain:
            return sniffed
    unbalanced = ": its quotes do not balance and are read as plain characters"
    return Dialect("\t", quote=None, notes=(unbalanced,) * quotes)


def _other_separator(path: Path, codec: str, options: ReadOptions) -> Dialect | None:
    """The dialect of a file that has no tab in its first line but is a table all the same."""
    with open_text(path, codec, newline="") as stream:
        first = next((line for line in stream if line.strip()), "")
    if names_separator(first):
        return sniff(path, codec, "\t")
    if "\t" in first:
        return None
    commas = len(options.columns) > 1 or (options.header is not False and holds_usual_name(first))
    if not commas and not any(mark in first for mark in SPOKEN if mark != ","):
        return None
    dialect = sniff(path, codec, "\t")
    if dialect.delimiter == "\t" or (dialect.delimiter == "," and not commas):
        return None
    return dialect


def _has_quotes(path: Path, codec: str) -> tuple[bool, bool]:
    """Whether there are quotes, and whether at the file's beginning one stands behind spaces.

    The whole file is read only where its beginning has none.
    """
    with open_text(path, codec) as stream:
        quoted = [line for line in islice(stream, HEAD_ROWS) if '"' in line]
        spaced = any(holds_quote_after_space(line, "\t") for line in quoted)
        return bool(quoted) or any('"' in line for line in stream), spaced


def _starts_with_single_quote(path: Path, codec: str) -> bool:
    with open_text(path, codec) as stream:
        return stream.readline().lstrip().startswith("'")
