"""Strings of many rows in flat files: a million of Python's own would take 100 MB and more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

import numpy as np

from lora_bert.mapped import GrowingArray, mapped

FEW = 10_000
"""The most rows whose strings are ordinary lists or tuples."""
_AT_ONCE = 1 << 12


class StoredStrings(Sequence[str]):
    """Strings that are read where and when they are needed.

    Args:
        written: All of them as UTF-8, one behind the other; half a surrogate pair is written too.
        starts: Where each begins, int64 ``[strings + 1]``; the last one is the end.
        rows: Which of them these are, int64 ``[rows]``; None for all.
    """

    def __init__(
        self, written: np.ndarray, starts: np.ndarray, rows: np.ndarray | None = None
    ) -> None:
        self._written, self._starts, self._rows = written, starts, rows

    def __len__(self) -> int:
        return len(self._starts) - 1 if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        chosen = range(len(self))[at]
        if isinstance(chosen, int):
            return self._read(np.array([chosen]))[0]
        return self._read(np.arange(chosen.start, chosen.stop, chosen.step))

    def __iter__(self) -> Iterator[str]:
        for begin in range(0, len(self), _AT_ONCE):
            yield from self[begin : begin + _AT_ONCE]

    def take(self, rows: np.ndarray) -> StoredStrings:
        """The strings at ``rows``, in that order."""
        chosen = rows if self._rows is None else self._rows[rows]
        return StoredStrings(self._written, self._starts, mapped(chosen))

    def _read(self, rows: np.ndarray) -> list[str]:
        rows = rows if self._rows is None else self._rows[rows]
        written = self._written.data
        places = zip(self._starts[rows].tolist(), self._starts[rows + 1].tolist(), strict=True)
        return [str(written[begin:end], "utf-8", "surrogatepass") for begin, end in places]


class GrowingStrings:
    """Strings that are stored piece by piece.

    Raises:
        OutputError: While they are added: there is no room on the disk, or no place to write to.
    """

    def __init__(self) -> None:
        self._written, self._starts = GrowingArray(np.uint8), GrowingArray(np.int64)
        self._starts.add(np.zeros(1))

    def add(self, strings: Iterable[str]) -> None:
        """Put strings behind those that are there."""
        written = [string.encode("utf-8", "surrogatepass") for string in strings]
        ends = np.cumsum([len(string) for string in written], dtype=np.int64)
        self._starts.add(self._written.size + ends)
        self._written.add(np.frombuffer(b"".join(written), np.uint8))

    def whole(self) -> StoredStrings:
        """All of them."""
        return StoredStrings(self._written.whole(), self._starts.whole())


def kept(strings: Iterable[str]) -> Sequence[str]:
    """Strings as a tuple; of many, stored."""
    rest = iter(strings)
    first = tuple(islice(rest, FEW + 1))
    if len(first) <= FEW:
        return first
    growing = GrowingStrings()
    while first:
        growing.add(first)
        first = tuple(islice(rest, FEW))
    return growing.whole()


def taken(strings: Sequence[str], rows: np.ndarray) -> Sequence[str]:
    """The strings at ``rows``, in that order."""
    if isinstance(strings, StoredStrings):
        return strings.take(rows)
    return tuple([strings[at] for at in rows.tolist()])


def numbers_at(numbers: Sequence[int] | np.ndarray, rows: np.ndarray) -> Sequence[int] | np.ndarray:
    """The numbers at ``rows``, in that order."""
    if isinstance(numbers, np.ndarray):
        return mapped(numbers[rows])
    return tuple([numbers[at] for at in rows.tolist()])


def numbered(hashed: np.ndarray) -> np.ndarray:
    """Equal numbers -> the same one, from 0 in the order in which they come first, int64."""
    _, first, which = np.unique(hashed, return_index=True, return_inverse=True)
    order: np.ndarray = np.argsort(np.argsort(first))
    return order[which]


def hashes(strings: Iterable[str | tuple[str, ...]], count: int) -> np.ndarray:
    """A number for each of ``count`` strings by which equal ones are found, int64 ``[count]``.

    Several strings in a tuple are as one.

    They hold in this process alone; :func:`numbered` makes the same of them in every one. That two
    of a million different strings have the same one is a chance of 1 in 30 million.

    Several strings in a tuple are as one.
    """
    return np.fromiter(map(hash, strings), np.int64, count)
