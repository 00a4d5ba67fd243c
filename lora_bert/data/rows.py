"""What the readers of all formats take and give."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np

from lora_bert.data.tag_schemes import Tagging
from lora_bert.wording import position

HEAD_ROWS = 1000
"""Rows at the beginning of a file by which its columns, its header and its quotes are judged."""


@dataclass(frozen=True)
class TrainingFormat:
    """How the files of an adapter's training were read, for other files that look like them.

    The options of a command go before it; what is not said here is as in :class:`ReadOptions`.

    Attributes:
        encoding: Counts for files that are not UTF-8.
        text_column: What the text column was called; ``pair_column``, of second texts, and
            ``label_column`` likewise.
        inputs: How many texts a row has; 0: not known, the columns' names decide.
        labels: The labels as the files had them: each is one label, whatever it looks like.
        tagging: How its words were tagged, where labels are tags.
        finds_answers: Whether its rows are questions about contexts.
    """

    header: bool | None = None
    columns: tuple[str, ...] = ()
    encoding: str = "auto"
    text_column: str | None = None
    pair_column: str | None = None
    label_column: str | None = None
    inputs: int = 0
    labels: frozenset[str] = frozenset()
    tagging: Tagging | None = None
    finds_answers: bool = False


NO_TRAINING = TrainingFormat()


@dataclass(frozen=True)
class ReadOptions:
    """How to read a data file.

    Attributes:
        header: Whether a csv or tsv file has a header line; ``None`` (default) takes it for granted
            but refuses a first line that looks like data.
        columns: Names for a file without a header, or names to use instead of the file's own.
        encoding: ``"auto"`` (default) or the name of a text encoding.
        training: What an adapter remembers of its training's files, where the others are not set.
    """

    header: bool | None = None
    columns: tuple[str, ...] = ()
    encoding: str = "auto"
    training: TrainingFormat = NO_TRAINING


DEFAULT_READ = ReadOptions()


@dataclass(frozen=True)
class Files:
    """Several files read as one: their positions run on from each file to the next.

    Attributes:
        entries: For each file the last position of the file before it, rising from 0; its name;
            what a position within it counts, "file" where it is one row.
    """

    entries: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, others: Files, last: int) -> None:
        """Put others behind these, which end at the position ``last``."""
        self.entries.extend((last + start, name, unit) for start, name, unit in others.entries)

    def at(self, number: int) -> str:
        """Where a position is, as messages say it: ``"'b.csv', line 3"``."""
        name, number, unit = self._find(number)
        return f"'{name}'" if unit == "file" else position(name, number, unit)

    def mark(self, number: int) -> str:
        """The same in a table's cell: ``"b.csv:3"``."""
        name, number, unit = self._find(number)
        path = PurePath(name)
        return "/".join(path.parts[-2:]) if unit == "file" else f"{path.name}:{number}"

    def _find(self, number: int) -> tuple[str, int, str]:
        at = bisect_left(self.entries, number, key=lambda entry: entry[0]) - 1
        start, name, unit = self.entries[at]
        return name, number - start, unit


class Positioned:
    """Rows that know their ``lines``, which ``unit`` counts: in ``source``, or in several files."""

    lines: Sequence[int] | np.ndarray
    source: str
    unit: str
    files: Files | None

    def at(self, row: int) -> str:
        """Where a row stands, as messages say it: ``"'a.csv', line 3"``."""
        line = int(self.lines[row])
        return self.files.at(line) if self.files else position(self.source, line, self.unit)


@dataclass(frozen=True)
class OpenTable:
    """An open file: its column names and its rows, read as they are asked for.

    Attributes:
        rows: Pairs of a position (from 1) and one string for each column.
        unit: What the positions count: lines, or rows or records where a file has no lines.
        renamed: Whether ``columns`` are already those that :class:`ReadOptions` name.
        files: The files that the rows stand in, where each is a file of its own.
        exact: Whether a byte order mark in a cell is the text's own. In files that were joined it
            is none.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, Sequence[str]]]
    unit: str = "line"
    renamed: bool = False
    files: Files | None = None
    exact: bool = False
