"""Rows to look at: wrong answers, and labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np

from lora_bert.metrics.classification import Floats, Indices

Row = TypeVar("Row", bound=tuple[Any, ...])
_AT_ONCE = 1 << 12


class Rows(Sequence[Row]):
    """Rows of columns of numbers, made when they are read: of 100,000 the tuples take 20 MB.

    Args:
        make: The numbers of a row -> the row.
        columns: As long as each other.
    """

    def __init__(self, make: Callable[..., Row], *columns: np.ndarray) -> None:
        self._make, self._columns = make, columns

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if isinstance(at, int):
            return self._make(*(column[at].item() for column in self._columns))
        return list(map(self._make, *(column[at].tolist() for column in self._columns)))

    def __iter__(self) -> Iterator[Row]:
        for begin in range(0, len(self), _AT_ONCE):
            yield from self[begin : begin + _AT_ONCE]


class Suspect(NamedTuple):
    """One row whose label is doubted.

    Attributes:
        row: Its index.
        suggested: Index of the class it more likely is of.
        given: Probability of the class it is labelled with, 0…1.
        other: Probability of the suggested one.
    """

    row: int
    suggested: int
    given: float
    other: float


class Mistake(NamedTuple):
    """One row answered with another class than its own.

    Attributes:
        row: Its index.
        answer: Index of the class that is answered.
        score: The probability of that class, 0…1.
    """

    row: int
    answer: int
    score: float


def mistakes(probabilities: Floats, true: Indices) -> Rows[Mistake]:
    """Rows answered wrongly, the most confident first: those are where wrong labels show.

    Given are the probabilities, [rows, classes], and the labels' indices, [rows].
    """
    answers, scores = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != true)
    wrong = wrong[np.argsort(-scores[wrong], kind="stable")]
    return Rows(Mistake, wrong, answers[wrong], scores[wrong])


def suspects(probabilities: Floats, true: Indices) -> Rows[Suspect]:
    """Rows labelled with a class that is unlikely while another one is as likely as for its own.

    A class is as likely as for its own where its probability reaches the mean that it has over the
    rows labelled with it. The rows should be ones that the classifier was not trained on; the most
    doubtful come first. Given is what :func:`mistakes` takes.

    References:
        C. Northcutt, L. Jiang, I. Chuang (2021). Confident learning: estimating uncertainty in
        dataset labels. Journal of Artificial Intelligence Research 70.
    """
    at = np.arange(len(true))
    given = probabilities[at, true].astype(np.float64)
    rows = np.bincount(true, minlength=probabilities.shape[1])
    totals = np.bincount(true, given, minlength=probabilities.shape[1])
    # A class without rows is never as likely as for its own.
    usual = np.where(rows > 0, totals / np.maximum(rows, 1), np.inf)
    reached = np.where(probabilities >= usual, probabilities, -1.0)
    suggested = reached.argmax(axis=1)
    other = reached[at, suggested]
    doubted = np.flatnonzero((suggested != true) & (other > given))
    order = doubted[np.argsort(given[doubted] - other[doubted], kind="stable")]
    return Rows(Suspect, order, suggested[order], given[order], other[order])
