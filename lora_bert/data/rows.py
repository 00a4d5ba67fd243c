"""What the readers of all formats take and give."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from lora_bert.wording import position


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
class Files:
    """Several files read as one: their positions run on from each file to the next.

    Attributes:
        starts: For each file the last position of the file before it, rising from 0.
        names: Their names.
        units: What a position within each counts; "file" where a file is one row.
    """

    starts: Sequence[int]
    names: Sequence[str]
    units: Sequence[str]

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
        file = bisect_left(self.starts, number) - 1
        return self.names[file], number - self.starts[file], self.units[file]


def where(source: str, number: int, unit: str, files: Files | None) -> str:
    """Where a position is, as messages say it: in ``source``, or in the file of several."""
    return position(source, number, unit) if files is None else files.at(number)


def joined(files: Iterable[Files]) -> Files:
    """Files whose positions already run on, as one list of them."""
    found = list(files)
    return Files(
        [start for one in found for start in one.starts],
        [name for one in found for name in one.names],
        [unit for one in found for unit in one.units],
    )


@dataclass(frozen=True)
class Rows:
    """An open file: its column names and its rows, read as they are asked for.

    Attributes:
        columns: The names in the file's order.
        rows: Pairs of a position (from 1) and one string for each column.
        unit: What the positions count: lines, or rows or records where a file has no lines.
        told: Whether ``columns`` are as :class:`ReadOptions` say already.
        files: The files that the rows stand in, where each is a file of its own.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, Sequence[str]]]
    unit: str = "line"
    told: bool = False
    files: Files | None = None
