"""What the readers of all formats take and give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """How to read a data file.

    Attributes:
        header: Whether a csv or tsv file has a header line; ``None`` (default) takes it for granted
            but refuses a first line that looks like data.
        columns: Names for a file without a header, or names to use instead of the file's own.
        encoding: ``"auto"`` (default) or the name of a text encoding.
    """

    header: bool | None = None
    columns: tuple[str, ...] = ()
    encoding: str = "auto"


DEFAULT_READ = ReadOptions()


@dataclass(frozen=True)
class Rows:
    """An open file: its column names and its rows, read as they are asked for.

    Attributes:
        columns: The names in the file's order.
        rows: Pairs of a position (from 1) and one string for each column.
        unit: What the positions count: lines, or rows or records where a file has no lines.
        told: Whether ``columns`` are as :class:`ReadOptions` say already.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, Sequence[str]]]
    unit: str = "line"
    told: bool = False
