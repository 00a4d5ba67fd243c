"""What the readers of all formats take and give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """How the rows of an adapter's training were read: for files that look like those.

    What a command is told goes before it.

    Attributes:
        header: As in :class:`ReadOptions`.
        columns: Likewise.
        encoding: Likewise; counts for files that are not UTF-8.
        text: What the text column was called.
        label: What the label column was called.
        labels: The labels as the file had them.
    """

    header: bool | None = None
    columns: tuple[str, ...] = ()
    encoding: str = "auto"
    text: str | None = None
    label: str | None = None
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ReadOptions:
    """How to read a data file.

    Attributes:
        header: Whether a csv or tsv file has a header line; ``None`` (default) takes it for granted
            but refuses a first line that looks like data.
        columns: Names for a file without a header, or names to use instead of the file's own.
        encoding: ``"auto"`` (default) or the name of a text encoding.
        known: What an adapter remembers of its training's files, where none of these is told.
    """

    header: bool | None = None
    columns: tuple[str, ...] = ()
    encoding: str = "auto"
    known: Known | None = None


DEFAULT_READ = ReadOptions()


@dataclass(frozen=True)
class Rows:
    """An open file: its column names and its rows, read as they are asked for.

    Attributes:
        columns: The names in the file's order.
        rows: Pairs of a position (from 1) and one string for each column.
        unit: What the positions count: lines, or rows where a file has no lines.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, Sequence[str]]]
    unit: str = "line"
