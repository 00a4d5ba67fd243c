"""Where classified rows go: csv, tsv, JSON lines or parquet, a piece at a time."""

from __future__ import annotations

import csv
import json
import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from lora_bert.data.opening import data_suffix
from lora_bert.data.originals import holds_objects, iter_batches, iter_objects
from lora_bert.data.rows import ReadOptions
from lora_bert.data.tables import Table
from lora_bert.errors import DataError
from lora_bert.json_files import plain

log = logging.getLogger(__name__)

# What is no number and yet begins as a formula does.
_FORMULA = re.compile(r"[=@]|[+-](?![\d.,]*$)")

Columns = Mapping[str, Sequence[Any]]
"""What is added to a piece: a column of values by name."""


class Sink(Protocol):
    """Takes one piece of the input and the columns to add to it.

    Attributes:
        formulas: Cells so far that a spreadsheet would compute.
    """

    formulas: int

    def write(self, piece: Table, added: Columns, like: Mapping[str, Any]) -> None:
        """Write the piece's rows, its own columns first.

        ``like`` has a cell of added columns whose type their values may not show.
        """


def typed_rows(
    source: Sequence[Path], suffix: str, options: ReadOptions, rows: int
) -> Iterator[Any] | None:
    """The rows of ``source`` in their own types, at most ``rows`` of one file at a time.

    None where they are strings: the format to write, ``suffix``, is another one.
    """
    if options.columns:
        return None
    if suffix == ".parquet":
        typed = all(path.is_file() and data_suffix(path) == suffix for path in source)
        return iter_batches(source, rows=rows) if typed else None
    typed = suffix == ".jsonl" and all(holds_objects(path, options) for path in source)
    return iter_objects(source, options, rows=rows) if typed else None


@contextmanager
def open_sink(target: Path, suffix: str, originals: Iterator[Any] | None) -> Iterator[Sink]:
    """A sink that writes the format ``suffix``.

    ``originals`` are those of :func:`typed_rows`, in step with the pieces that will be written.
    """
    if suffix == ".parquet":
        sink = _Parquet(target, originals)
        try:
            yield sink
        finally:
            if sink.writer is not None:
                sink.writer.close()
        return
    with target.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        if suffix == ".jsonl":
            yield _JsonLines(stream, originals)
        else:
            yield Delimited(stream, "\t" if suffix == ".tsv" else ",")


@dataclass
class Delimited:
    """Comma or tab separated text with a header line."""

    stream: IO[str]
    delimiter: str = ","
    started: bool = False
    formulas: int = 0

    def write(self, piece: Table, added: Columns, like: Mapping[str, Any] = {}) -> None:
        """Write the rows, before the first ones the header."""
        # Only where rows end in CR LF does every Python's csv quote a lone CR, which, left bare,
        # ends the row for readers.
        writer = csv.writer(
            _LineFeeds(self.stream), delimiter=self.delimiter, lineterminator="\r\n"
        )
        if not self.started:
            writer.writerow([*piece.columns, *added])
            self.started = True
        kept = [piece.values[name] for name in piece.columns]
        self.formulas += sum(bool(_FORMULA.match(text)) for texts in kept for text in texts)
        more = [list(map(_cell, values)) for values in added.values()]
        writer.writerows(zip(*kept, *more, strict=True))


def _cell(value: Any) -> Any:
    """A value as one cell: lists and objects as their JSON text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def join_files(parts: Iterable[Path], target: Path, suffix: str) -> None:
    """Make one file of several that sinks have written: the one that one sink would have written.

    Raises:
        DataError: The columns of parquet files are of different types.
    """
    if suffix == ".parquet":
        _join_parquet(parts, target)
        return
    with target.open("wb") as whole:
        for number, path in enumerate(parts):
            with path.open("rb") as part:
                header = b""
                while suffix != ".jsonl" and number and (not header or header.count(b'"') % 2):
                    header += part.readline()  # a name with a line break in it stands in quotes
                shutil.copyfileobj(part, whole, 1 << 20)


def _join_parquet(parts: Iterable[Path], target: Path) -> None:
    from pyarrow import parquet

    writer = None
    try:
        for path in parts:
            with parquet.ParquetFile(path) as part:
                writer = writer or parquet.ParquetWriter(target, part.schema_arrow)
                for group in range(part.num_row_groups):
                    writer.write_table(in_schema(part.read_row_group(group), writer.schema))
    finally:
        if writer is not None:
            writer.close()


def warn_of_formulas(cells: int) -> None:
    """Say so where cells were written that a spreadsheet would compute."""
    if cells:
        log.warning(
            "%s with =, +, - or @, which a spreadsheet takes for a formula: import the columns "
            "as text.",
            "1 cell begins" if cells == 1 else f"{cells:,} cells begin",
        )


@dataclass(frozen=True)
class _LineFeeds:
    """Takes rows that end in CR LF and ends them with a line feed."""

    stream: IO[str]

    def write(self, row: str) -> int:
        return self.stream.write(row.removesuffix("\r\n") + "\n")


@dataclass
class _JsonLines:
    stream: IO[str]
    originals: Iterator[list[dict[str, Any]]] | None
    formulas = 0

    def write(self, piece: Table, added: Columns, like: Mapping[str, Any]) -> None:
        if self.originals is not None:
            objects = next(self.originals)
        else:
            kept = [piece.values[name] for name in piece.columns]
            lines = zip(*kept, strict=True)
            objects = [dict(zip(piece.columns, line, strict=True)) for line in lines]
        for original, more in zip(objects, zip(*added.values(), strict=True), strict=True):
            row = original | dict(zip(added, more, strict=True))
            self.stream.write(json.dumps(row, ensure_ascii=False, default=plain) + "\n")


@dataclass
class _Parquet:
    target: Path
    originals: Iterator[Any] | None
    writer: Any = None
    formulas = 0

    def write(self, piece: Table, added: Columns, like: Mapping[str, Any]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        if self.originals is not None:
            table = next(self.originals)
        else:
            table = pa.table({name: piece.values[name] for name in piece.columns})
        for name, values in added.items():
            kind = pa.array([like[name]]).type if name in like else None
            table = table.append_column(name, pa.array(values, kind))
        if self.writer is None:
            self.writer = parquet.ParquetWriter(self.target, table.schema)
        elif table.schema != self.writer.schema:
            table = in_schema(table, self.writer.schema)
        self.writer.write_table(table)


def in_schema(table: Any, schema: Any) -> Any:
    """The rows of a further file as the first one has them: in its order, of its types."""
    import pyarrow as pa

    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(
            f"The files' columns are of different types, which one parquet file cannot hold "
            f"({str(error).splitlines()[0].rstrip('.')}).",
            hint="Write csv or jsonl, or predict the files one by one.",
        ) from None
