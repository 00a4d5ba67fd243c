"""Any supported file as a table of strings.

Nothing is missing by its spelling: ``NA``, ``None``, ``01`` and ``1.0`` stay what they are; only an
absent value or a null is the empty string.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from lora_bert.data.encoding import detect
from lora_bert.data.formats import (
    csv_file,
    json_file,
    jsonl_file,
    parquet_file,
    saved_file,
    tsv_file,
)
from lora_bert.data.given import Given
from lora_bert.data.header import check_count
from lora_bert.data.rows import DEFAULT_READ, ReadOptions, Rows
from lora_bert.data.wording import listed
from lora_bert.errors import ConfigError, DataError, missing

__all__ = ["SUFFIXES", "ReadOptions", "Table", "iter_tables", "read_table"]

logger = logging.getLogger(__name__)

_TEXT_FORMATS: dict[str, Callable[[Path, str, str, ReadOptions], Rows]] = {
    ".csv": csv_file.read,
    ".tsv": tsv_file.read,
    ".txt": tsv_file.read,
    ".json": lambda path, source, codec, _: json_file.read(path, source, codec),
    ".jsonl": lambda path, source, codec, _: jsonl_file.read(path, source, codec),
    ".ndjson": lambda path, source, codec, _: jsonl_file.read(path, source, codec),
}
_DELIMITED = (".csv", ".tsv", ".txt")
SUFFIXES = (*_TEXT_FORMATS, ".parquet")
"""The suffixes of the files that can be read."""


@dataclass(frozen=True)
class Table:
    """Columns of strings, all of one length.

    Attributes:
        columns: The names in the file's order.
        values: The values of each column; "" for an absent value or a null.
        lines: For each row its position in the file, from 1: see ``unit``.
        source: How to name the table in messages: the path as given.
        unit: What the positions count: lines, or rows where a file has no lines.
    """

    columns: tuple[str, ...]
    values: dict[str, list[str]]
    lines: list[int]
    source: str
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)


def read_table(path: str | Path, options: ReadOptions = DEFAULT_READ) -> Table:
    """Read a whole file; see :func:`iter_tables`."""
    parts = iter_tables(path, options)
    table = next(parts)
    for part in parts:
        table.lines.extend(part.lines)
        for name, values in part.values.items():
            table.values[name].extend(values)
    return table


def iter_tables(
    path: str | Path, options: ReadOptions = DEFAULT_READ, *, rows: int = 10_000
) -> Iterator[Table]:
    """Read a file piece by piece, with memory that does not grow with it.

    Args:
        path: A csv, tsv (also txt), json, jsonl (also ndjson) or parquet file, or a directory that
            ``datasets.Dataset.save_to_disk`` wrote. A json document (not JSON lines) is read whole.
        options: How to read it.
        rows: The most rows of a piece.

    Yields:
        Tables of at least one row, all with the same columns. A byte order mark that a value starts
        or ends with is not part of it.

    Raises:
        NotFoundError: There is no such file.
        DataError: It is of no known kind, empty, malformed (with the line), or has two columns of
            one name.
        ConfigError: An option does not fit the format.
    """
    source = str(path)
    if isinstance(path, Given):
        yield from _given(path, options, rows)
        return
    try:
        opened = _open(Path(path), source, options)
        columns = _checked_columns(opened.columns, source)
        empty = True
        while piece := list(islice(opened.rows, rows)):
            empty = False
            yield _table(columns, piece, source, opened.unit)
    except OSError as error:
        raise DataError(f"Cannot read '{source}': {error.strerror or error}.") from error
    if empty:
        raise DataError(f"'{source}' holds no rows.")


def _given(given: Given, options: ReadOptions, rows: int) -> Iterator[Table]:
    """Rows that are in memory already, as pieces of a table."""
    walking = enumerate(zip(*given.cells.values(), strict=True), start=1)
    opened = _renamed(Rows(given.columns, walking, "row"), options, str(given))
    columns = _checked_columns(opened.columns, str(given))
    while piece := list(islice(opened.rows, rows)):
        yield _table(columns, piece, str(given), opened.unit)


def _open(path: Path, source: str, options: ReadOptions) -> Rows:
    if not path.exists():
        raise missing(path, "data file")
    if saved_file.is_saved(path):
        return _renamed(saved_file.read(path, source), options, source)
    if path.is_dir():
        raise DataError(f"'{source}' is a directory; a data file is needed.")
    if not path.is_file():
        raise DataError(f"'{source}' is not a regular file.", hint="Write it to a file first.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"'{source}' is of no known kind: its name ends in '{path.suffix}'."
            if suffix
            else f"'{source}' is of no known kind: its name has no suffix.",
            hint=f"Known are {', '.join(SUFFIXES)}.",
        )
    if path.stat().st_size == 0:
        raise DataError(f"'{source}' is empty.")
    if suffix == ".parquet":
        return _renamed(parquet_file.read(path, source), options, source)
    codec = codec_of(path, source, options)
    opened = _TEXT_FORMATS[suffix](path, source, codec, options)
    return opened if suffix in _DELIMITED else _renamed(opened, options, source)


def codec_of(path: Path, source: str, options: ReadOptions, *, quiet: bool = False) -> str:
    """The encoding of a file: as told, else UTF-8, else as the adapter's training was told.

    Raises:
        DataError: It has none of them, nor one that can be detected.
        ConfigError: The one that was told is no text encoding.
    """
    known = options.known.encoding if options.known else "auto"
    if options.encoding != "auto" or known == "auto":
        return detect(path, source, options.encoding, quiet=quiet)
    with suppress(DataError):
        if (codec := detect(path, source, quiet=True)).startswith("utf"):
            return codec
    with suppress(DataError, ConfigError):
        codec = detect(path, source, known, quiet=True)
        if not quiet:
            logger.info("Reading '%s' as %s, as the adapter's training was told.", source, known)
        return codec
    return detect(path, source, quiet=quiet)


def _renamed(opened: Rows, options: ReadOptions, source: str) -> Rows:
    """Apply the options to a format that names its columns itself."""
    if options.header is False:
        raise ConfigError(f"--no-header is for csv and tsv files, and '{source}' is none.")
    if not options.columns:
        return opened
    check_count(options.columns, len(opened.columns), source)
    return replace(opened, columns=options.columns)


def _checked_columns(columns: Sequence[str], source: str) -> tuple[str, ...]:
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    if twice:
        raise DataError(
            f"'{source}' has more than one column of the same name: {listed(twice)}.",
            hint="Name all columns in their order with --columns.",
        )
    return tuple(columns)


def _table(
    columns: tuple[str, ...], piece: list[tuple[int, Sequence[str]]], source: str, unit: str
) -> Table:
    by_column = zip(*(cells for _, cells in piece), strict=True)
    values = {
        name: _shared([value.strip("\ufeff") for value in cells])
        for name, cells in zip(columns, by_column, strict=True)
    }
    return Table(columns, values, [line for line, _ in piece], source, unit)


def _shared(values: list[str]) -> list[str]:
    """The same values, equal ones as one object: labels are few, and each would take 50 bytes."""
    first = {value: value for value in values}
    return [first[value] for value in values]
