"""Any supported file as a table of strings.

Nothing is missing by its spelling: ``NA``, ``None``, ``01`` and ``1.0`` stay what they are; only an
absent value or a null is the empty string.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from lora_bert.data.encoding import detect
from lora_bert.data.formats import (
    arrow_file,
    conll_file,
    delimited,
    fasttext_file,
    folder_file,
    json_file,
    xlsx_file,
)
from lora_bert.data.given import Given
from lora_bert.data.header import check_count
from lora_bert.data.opening import PACKINGS, SHEETS, SUFFIXES, data_suffix, packing
from lora_bert.data.rows import DEFAULT_READ, Files, OpenTable, Positioned, ReadOptions
from lora_bert.data.sniffing import kind_of, may_be_text, table_kind, true_suffix
from lora_bert.data.stored import FEW, GrowingStrings
from lora_bert.errors import ConfigError, DataError, missing
from lora_bert.mapped import GrowingArray
from lora_bert.wording import counted, listed, repeated

logger = logging.getLogger(__name__)

Source = str | Path | Sequence[str | Path]
"""A file, a saved dataset, a folder of texts; or several that are read as one."""

_JSON = (".json", ".jsonl", ".ndjson")
_ROWS_AT_ONCE = 2048
"""Rows that are in memory while all are read: texts may be long."""


@dataclass(frozen=True)
class Table(Positioned):
    """Columns of strings, all of one length.

    Attributes:
        columns: The names in the file's order; a column without one is called ``column_3`` or so.
        values: The values of each column; "" for an absent value or a null.
        lines: For each row its position in the file, from 1; ``unit`` and ``files`` as in
            :class:`OpenTable`.
        source: How to name the table in messages: the path as given.
    """

    columns: tuple[str, ...]
    values: Mapping[str, Sequence[str]]
    lines: Sequence[int] | np.ndarray
    source: str
    unit: str = "line"
    files: Files | None = None

    def __len__(self) -> int:
        return len(self.lines)


def read_table(path: Source, options: ReadOptions = DEFAULT_READ) -> Table:
    """Read a whole file, or several as one; see :func:`iter_tables`.

    Strings and numbers of many rows lie in files.

    Raises:
        OutputError: There is no room for them.
    """
    pieces = iter_tables(path, options, rows=_ROWS_AT_ONCE)
    table, second = next(pieces), next(pieces, None)
    if second is None:
        return table
    values = {name: GrowingStrings() for name in table.columns}
    lines, sources = GrowingArray(np.int64), dict[str, None]()
    for piece in chain((table, second), pieces):
        sources[piece.source] = None
        lines.add(np.asarray(piece.lines))
        for name, growing in values.items():
            growing.add(piece.values[name])
    few = lines.size <= FEW
    cells = {name: list(growing.whole()) if few else growing.whole()
             for name, growing in values.items()}  # fmt: skip
    numbers = lines.whole().tolist() if few else lines.whole()
    more = f" (and {len(sources) - 1:,} more)" if len(sources) > 1 else ""
    return replace(table, values=cells, lines=numbers, source=f"{table.source}{more}")


def iter_tables(
    path: Source, options: ReadOptions = DEFAULT_READ, *, rows: int = FEW
) -> Iterator[Table]:
    """Read a file piece by piece, with memory that does not grow with it.

    Args:
        path: A csv, tsv (also txt), json, jsonl (also ndjson), fastText, parquet or xlsx file (of a
            text file its content decides), also packed (gz, zst, zip, bz2, xz); a directory that
            ``datasets.Dataset.save_to_disk`` wrote; a directory of text files, or of a directory of
            them for each class; or several such, whose columns are the same. A json document (not
            JSON lines) and a workbook are read whole.
        options: How to read it.
        rows: The most rows of a piece.

    Yields:
        Tables of at least one row and of one file, all with the same columns. A byte order mark
        that a value starts or ends with is not part of it.

    Raises:
        NotFoundError: There is no such file.
        DataError: It is of no known kind, empty, malformed (with the line), has two columns of
            one name, or several files differ in their columns.
        ConfigError: An option does not fit the format.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    pieces = _pieces(paths[0], options, rows) if len(paths) == 1 else _of_all(paths, options, rows)
    first = next(pieces, None)
    if first is None:
        raise DataError(f"'{paths[0]}' holds no rows.")
    yield first
    yield from pieces


def iter_pieces(
    path: Path, options: ReadOptions, *, rows: int, columns: tuple[str, ...] = (), first: str = ""
) -> Iterator[Table]:
    """As :func:`iter_tables` of one file out of several, which may hold no rows.

    ``columns`` are those of the ``first`` one, unless it is this one.
    """
    for piece in _pieces(path, options, rows):
        if columns:
            values = _same_columns(piece, columns, first)
            yield replace(piece, columns=columns, values=values)
        else:
            yield piece


def _of_all(paths: Sequence[str | Path], options: ReadOptions, rows: int) -> Iterator[Table]:
    """The pieces of several files, their positions running on from file to file."""
    columns: tuple[str, ...] = ()
    files = Files()
    last = 0
    for path in paths:
        start = last
        for piece in _pieces(path, options, rows):
            columns = columns or piece.columns
            if last == start:
                files.add(piece.files or Files([(0, piece.source, piece.unit)]), start)
            last = start + piece.lines[-1]
            yield replace(
                piece,
                columns=columns,
                values=_same_columns(piece, columns, str(paths[0])),
                lines=[start + line for line in piece.lines],
                files=files,
            )


def _same_columns(piece: Table, columns: tuple[str, ...], first: str) -> dict[str, Sequence[str]]:
    """The values in the order of ``columns``; what a JSON object may lack is empty."""
    more = [name for name in piece.columns if name not in columns]
    less = [name for name in columns if name not in piece.columns]
    if more or (less and data_suffix(Path(piece.source)) not in _JSON):
        differ = listed(more or less)
        raise DataError(
            f"'{piece.source}' has other columns than '{first}': {differ} "
            f"{'stands' if len(more or less) == 1 else 'stand'} in only one of the two.",
            hint="Files that are read as one need the same columns, in any order.",
        )
    return {name: piece.values.get(name) or [""] * len(piece) for name in columns}


def _pieces(path: str | Path, options: ReadOptions, rows: int) -> Iterator[Table]:
    source = str(path)
    try:
        if isinstance(path, Given):
            cells = enumerate(zip(*path.cells.values(), strict=True), start=1)
            opened = OpenTable(tuple(path.cells), cells, "row")
        else:
            opened = _open(Path(path), source, options)
        opened = _renamed(opened, options, source)
        columns = _checked_columns(opened.columns, source)
        while piece := list(islice(opened.rows, rows)):
            yield _table(columns, piece, source, opened)
    except OSError as error:
        raise DataError(f"Cannot read '{source}': {error.strerror or error}.") from error


def _open(path: Path, source: str, options: ReadOptions) -> OpenTable:
    if not path.exists():
        raise missing(path, "data file")
    if arrow_file.is_saved(path):
        return arrow_file.read_saved(path, source)
    if folder_file.is_folder(path):
        return folder_file.read(path, source, options.encoding)
    if path.is_dir():
        raise DataError(f"'{source}' is a directory; a data file is needed.")
    if not path.is_file():
        raise DataError(f"'{source}' is not a regular file.", hint="Write it to a file first.")
    if path.stat().st_size == 0:
        raise DataError(f"'{source}' is empty.")
    named = data_suffix(path)
    suffix = true_suffix(path, named, source)
    if suffix not in SUFFIXES and not may_be_text(path):
        raise _unknown(source, named)
    _say_packing(path, source)
    if suffix == ".parquet":
        return arrow_file.read_parquet(path, source)
    if suffix in SHEETS:
        return xlsx_file.read(path, source, options)
    return _open_text(path, source, options, suffix)


def _open_text(path: Path, source: str, options: ReadOptions, suffix: str) -> OpenTable:
    codec = codec_of(path, source, options)
    if conll_file.is_conll(path, codec, suffix):
        return conll_file.read(path, source, codec)
    kind = kind_of(path, codec, source, suffix)
    if kind == "json":
        return json_file.read(path, source, codec, options)
    if kind == "jsonl":
        return json_file.read_lines(path, source, codec)
    if kind == "fasttext":
        return _renamed(fasttext_file.read(path, codec), replace(options, header=None), source)
    if suffix not in SUFFIXES:
        kind = table_kind(path, codec, source)
    if not kind:
        raise _unknown(source, data_suffix(path))
    return delimited.read(path, source, codec, options, kind)


def _unknown(source: str, suffix: str) -> DataError:
    ending = f"ends in '{suffix}'" if suffix else "has no suffix"
    return DataError(
        f"'{source}' is of no known kind: its name {ending}.",
        hint=f"Known are {', '.join(SUFFIXES)}; each may be packed ({', '.join(PACKINGS)}).",
    )


def _say_packing(path: Path, source: str) -> None:
    """Say so where the name and the bytes disagree about whether a file is packed."""
    packed, by_name = packing(path), PACKINGS.get(path.suffix.lower())
    if packed and packed.kind != by_name:
        logger.info("'%s' is packed with %s, whatever its name says.", source, packed.kind)
    elif by_name and not packed:
        logger.info("'%s' is not packed, whatever its name says.", source)


def codec_of(path: Path, source: str, options: ReadOptions, *, quiet: bool = False) -> str:
    """The encoding of a file: the option's, else UTF-8, else that of the adapter's training.

    Raises:
        DataError: It has none of them, nor one that can be detected.
        ConfigError: The option names no text encoding.
    """
    trained = options.training.encoding
    if options.encoding != "auto" or trained == "auto":
        return detect(path, source, options.encoding, quiet=quiet)
    with suppress(DataError):
        if (codec := detect(path, source, quiet=True)).startswith("utf"):
            return codec
    with suppress(DataError, ConfigError):
        codec = detect(path, source, trained, quiet=True)
        if not quiet:
            logger.info("Reading '%s' as %s, as the adapter's training was told.", source, trained)
        return codec
    return detect(path, source, quiet=quiet)


def _renamed(opened: OpenTable, options: ReadOptions, source: str) -> OpenTable:
    """Apply the options to a format that names its columns itself."""
    if opened.renamed:
        return opened
    if options.header is False:
        raise ConfigError(f"--no-header is for csv and tsv files, and '{source}' is none.")
    if options.columns:
        check_count(options.columns, len(opened.columns), source)
    return replace(opened, columns=options.columns or opened.columns, renamed=True)


def _checked_columns(columns: Sequence[str], source: str) -> tuple[str, ...]:
    """The names, with one for every column that has none; two of one name are refused."""
    if twice := repeated([name for name in columns if name.strip()]):
        raise DataError(
            f"'{source}' has more than one column of the same name: {listed(twice)}.",
            hint="Name all columns in their order with --columns.",
        )
    names = list(columns)
    nameless = [at for at, name in enumerate(columns) if not name.strip()]
    for at in nameless:
        names[at] = f"column_{at + 1}"
        while names.count(names[at]) > 1:
            names[at] += "_"
    if nameless:
        added = listed(names[at] for at in nameless)
        logger.info("'%s': %s without a name: %s.", source, counted(len(nameless), "column"), added)
    return tuple(names)


def _table(
    columns: tuple[str, ...], piece: list[tuple[int, Sequence[str]]], source: str, opened: OpenTable
) -> Table:
    lines, rows = zip(*piece, strict=True)
    values = {}
    for name, cells in zip(columns, zip(*rows, strict=True), strict=True):
        stripped = list(cells) if opened.exact else [value.strip("\ufeff") for value in cells]
        # Equal values as one object: labels are few, and each would take 50 bytes.
        first = {value: value for value in stripped}
        values[name] = [first[value] for value in stripped]
    return Table(columns, values, list(lines), source, opened.unit, opened.files)
