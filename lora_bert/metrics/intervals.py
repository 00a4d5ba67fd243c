"""How far a figure could have fallen otherwise: percentile bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lora_bert.metrics.classification import Floats, Indices, count_confusions, macro_f1

Statistic = Literal["accuracy", "macro_f1"]
_COUNTS_AT_ONCE = 4_000_000  # 32 MB: what a batch of resampled confusion matrices may take
_CELLS_OF_A_MEAN = 4_000


class Interval(NamedTuple):
    """The two ends of an interval, shares in 0…1."""

    low: float
    high: float


def bootstrap(
    true: Indices,
    predicted: Indices,
    statistic: Statistic,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a statistic over rows drawn anew with replacement.

    Args:
        true: [rows], class indices.
        predicted: [rows], class indices.
        statistic: ``"accuracy"`` or ``"macro_f1"``.
        resamples: How many times the rows are drawn anew.
        level: Share of the resampled values that lie inside, 0…1.
        seed: Of the draws: the same rows give the same interval.

    Raises:
        ValueError: There are no rows.

    Where every row is right (or wrong) every resample is too, and the interval is a point: that
    says nothing about rows not seen.

    References:
        B. Efron (1979). Bootstrap methods: another look at the jackknife. The Annals of Statistics
        7(1), 1-26.
    """
    if len(true) == 0:
        raise ValueError("no rows to draw from")
    classes = int(max(true.max(), predicted.max())) + 1
    return bootstrap_confusion(
        count_confusions(true, predicted, classes),
        statistic,
        resamples=resamples,
        level=level,
        seed=seed,
    )


def bootstrap_confusion(
    confusion: NDArray[np.int64],
    statistic: Statistic,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The same from a confusion matrix [true class, predicted class] with at least one row.

    Neither statistic sees more of a row than its cell, and drawing rows with replacement draws the
    cells' counts from a multinomial: this is the bootstrap of the rows, at a cost that does not
    grow with their number.
    """
    rng = np.random.default_rng(seed)
    values: Floats
    if statistic == "accuracy":
        values = _accuracies(confusion, resamples, rng)
    elif statistic == "macro_f1":
        values = _macro_f1s(confusion, resamples, rng)
    else:
        raise ValueError(f"no bootstrap of {statistic!r}: there are accuracy and macro_f1")
    return _ends(values, level)


def _accuracies(
    confusion: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Resampled accuracies, [resamples]: rows right of a fixed number are binomial."""
    rows = int(confusion.sum())
    return rng.binomial(rows, confusion.trace() / rows, size=resamples) / rows


def _macro_f1s(confusion: NDArray[np.int64], resamples: int, rng: np.random.Generator) -> Floats:
    """Resampled macro-F1s, [resamples]."""
    true, predicted = np.nonzero(confusion)
    figure = _MacroF1(true, predicted, len(confusion))
    drawn = _redrawn(confusion[true, predicted], len(confusion), resamples, rng)
    return np.concatenate([figure.of(counts) for counts in drawn])


def paired_macro_f1(
    true: Indices,
    ours: Indices,
    theirs: Indices,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of our macro-F1 less theirs, each drawn row judging both classifiers.

    Args:
        true: [rows], class indices; at least one row.
        ours: [rows], what one classifier answers.
        theirs: [rows], what the other one does.
        resamples: How many times the rows are drawn anew.
        level: Share of the resampled differences that lie inside, 0…1.
        seed: Of the draws.
    """
    classes = int(max(true.max(), ours.max(), theirs.max())) + 1
    triples = (np.asarray(true, np.int64) * classes + ours) * classes + theirs
    cells, counts = np.unique(triples, return_counts=True)
    of_true, of_ours, of_theirs = cells // classes**2, cells // classes % classes, cells % classes
    we, they = _MacroF1(of_true, of_ours, classes), _MacroF1(of_true, of_theirs, classes)
    drawn = _redrawn(counts, classes, resamples, np.random.default_rng(seed))
    return _ends(np.concatenate([we.of(counts) - they.of(counts) for counts in drawn]), level)


def paired_mean(
    differences: Floats, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Bootstrap interval of the mean of the rows' differences, for instance of their losses.

    Beyond a few thousand rows those with nearly the same difference are drawn as one cell.

    Args:
        differences: [rows], at least one.
        resamples: How many times the rows are drawn anew.
        level: Share of the resampled means that lie inside, 0…1.
        seed: Of the draws.
    """
    cells = np.array_split(np.sort(differences), min(len(differences), _CELLS_OF_A_MEAN))
    sizes = np.array([len(cell) for cell in cells])
    means = np.array([cell.mean() for cell in cells])
    drawn = _redrawn(sizes, 1, resamples, np.random.default_rng(seed))
    return _ends(np.concatenate([counts @ means for counts in drawn]) / len(differences), level)


def _ends(values: Floats, level: float) -> Interval:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _redrawn(
    counts: NDArray[np.int64], classes: int, resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """The rows of all cells drawn anew: counts [some of the resamples, cells], batch by batch."""
    rows = int(counts.sum())
    batch = max(1, _COUNTS_AT_ONCE // max(len(counts), classes))
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        yield rng.multinomial(rows, counts / rows, size=size).astype(np.float64)


class _MacroF1:
    """Macro-F1 out of counts of cells, of which each has a true and a predicted class.

    Args:
        true: [cells].
        predicted: [cells].
        classes: How many there are.
    """

    def __init__(self, true: Indices, predicted: Indices, classes: int) -> None:
        right = np.flatnonzero(true == predicted)
        self._true = _Sums(np.arange(len(true)), true, classes)
        self._predicted = _Sums(np.arange(len(true)), predicted, classes)
        self._right = _Sums(right, true[right], classes)

    def of(self, counts: NDArray[np.float64]) -> Floats:
        """Of counts [draws, cells], [draws]."""
        return macro_f1(self._right.of(counts), self._true.of(counts), self._predicted.of(counts))


class _Sums:
    """Sums of cells by their class; memory grows with cells and classes, not with their product.

    Args:
        cells: Which cells, [n].
        kinds: The class of each, [n].
        classes: How many there are.
    """

    def __init__(self, cells: NDArray[np.intp], kinds: Indices, classes: int) -> None:
        order = np.argsort(kinds, kind="stable")
        self._cells, self._classes = cells[order], classes
        self._there, self._starts = np.unique(kinds[order], return_index=True)

    def of(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Counts [draws, cells] -> sums [draws, classes]."""
        sums = np.zeros((len(counts), self._classes))
        if len(self._cells):
            sums[:, self._there] = np.add.reduceat(counts[:, self._cells], self._starts, axis=1)
        return sums
