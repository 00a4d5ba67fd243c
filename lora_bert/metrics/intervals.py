"""How far a figure could have fallen otherwise: 95 % percentile bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    true: Indices, predicted: Indices, statistic: Statistic, *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """95 % interval of a statistic over rows drawn anew with replacement.

    Neither statistic sees more of a row than its cell of the confusion matrix, and drawing rows
    with replacement draws the cells' counts from a multinomial: this is the bootstrap of the rows,
    at a cost that does not grow with their number. Where every row is right (or wrong) every
    resample is too, and the interval is a point: that says nothing about rows not seen.

    Truth and predictions are class indices, [rows]. With one seed the same rows give the same
    interval.

    Raises:
        ValueError: There are no rows.

    References:
        B. Efron (1979). Bootstrap methods: another look at the jackknife. The Annals of Statistics
        7(1), 1-26.
    """
    if len(true) == 0:
        raise ValueError("no rows to draw from")
    rng, rows = np.random.default_rng(seed), len(true)
    if statistic == "accuracy":  # rows right of a fixed number are binomial
        right = int((true == predicted).sum())
        return ends(rng.binomial(rows, right / rows, size=resamples) / rows)
    if statistic != "macro_f1":
        raise ValueError(f"no bootstrap of {statistic!r}: there are accuracy and macro_f1")
    classes = int(max(true.max(), predicted.max())) + 1
    confusion = count_confusions(true, predicted, classes)
    of_true, of_predicted = np.nonzero(confusion)
    figure = _macro_f1_of(of_true, of_predicted, classes)
    drawn = redrawn(confusion[of_true, of_predicted], classes, rng, resamples)
    return ends(np.concatenate([figure(counts) for counts in drawn]))


def paired_macro_f1(true: Indices, ours: Indices, theirs: Indices, *, seed: int = 0) -> Interval:
    """95 % interval of our macro-F1 less theirs, each drawn row judging both classifiers.

    All three are class indices, [rows], of at least one row: the truth and the two's answers.
    """
    classes = int(max(true.max(), ours.max(), theirs.max())) + 1
    triples = (np.asarray(true, np.int64) * classes + ours) * classes + theirs
    cells, counts = np.unique(triples, return_counts=True)
    of_true, of_ours, of_theirs = cells // classes**2, cells // classes % classes, cells % classes
    we, they = (_macro_f1_of(of_true, answers, classes) for answers in (of_ours, of_theirs))
    drawn = redrawn(counts, classes, np.random.default_rng(seed))
    return ends(np.concatenate([we(counts) - they(counts) for counts in drawn]))


def mean_interval(figures: Floats, *, seed: int = 0) -> Interval:
    """95 % interval of a mean over rows, [rows]: of a figure, or of two classifiers' differences.

    Beyond a few thousand rows those with nearly the same figure are drawn as one cell.
    """
    cells = np.array_split(np.sort(figures), min(len(figures), _CELLS_OF_A_MEAN))
    sizes = np.array([len(cell) for cell in cells])
    means = np.array([cell.mean() for cell in cells])
    drawn = redrawn(sizes, 1, np.random.default_rng(seed))
    return ends(np.concatenate([counts @ means for counts in drawn]) / len(figures))


def ratio(parts: Indices, wholes: Indices, *, seed: int = 0) -> Interval:
    """95 % interval of ``sum(parts) / sum(wholes)`` over rows drawn anew; both are ``[rows]``."""
    cells, counts = np.unique(np.stack([parts, wholes]), axis=1, return_counts=True)
    drawn = redrawn(counts, 1, np.random.default_rng(seed))
    return ends(np.concatenate([_quotients(counts, *cells) for counts in drawn]))


def paired_ratio(
    ours: tuple[Indices, Indices], theirs: tuple[Indices, Indices], *, seed: int = 0
) -> Interval:
    """95 % interval of our :func:`ratio` less theirs, each drawn row judging both."""
    cells, counts = np.unique(np.stack([*ours, *theirs]), axis=1, return_counts=True)
    drawn = redrawn(counts, 1, np.random.default_rng(seed))
    return ends(np.concatenate([
        _quotients(counts, *cells[:2]) - _quotients(counts, *cells[2:]) for counts in drawn
    ]))  # fmt: skip


def _quotients(counts: Floats, parts: Indices, wholes: Indices) -> Floats:
    """The quotient of each draw of cells, ``[draws, cells]``; 0 where nothing was drawn."""
    below = counts @ wholes
    return np.divide(counts @ parts, below, out=np.zeros(len(counts)), where=below > 0)


def ends(values: Floats) -> Interval:
    """The 95 % interval of a figure, by what it was on rows drawn anew, ``[draws]``."""
    return Interval(*np.quantile(values, [(1 - 0.95) / 2, (1 + 0.95) / 2]).tolist())


def redrawn(
    counts: NDArray[np.int64], classes: int, rng: np.random.Generator, resamples: int = 2000
) -> Iterator[NDArray[np.float64]]:
    """The rows of all cells drawn anew: counts [some of the resamples, cells], batch by batch."""
    rows = int(counts.sum())
    batch = max(1, _COUNTS_AT_ONCE // max(len(counts), classes))
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        yield rng.multinomial(rows, counts / rows, size=size).astype(np.float64)


def _macro_f1_of(
    true: Indices, predicted: Indices, classes: int
) -> Callable[[NDArray[np.float64]], Floats]:
    """Counts of cells [draws, cells] -> macro-F1 [draws]; each cell has two classes.

    Memory grows with cells and classes, not with their product.
    """

    def by_class(counts: Floats, cells: Indices, kinds: Indices) -> Floats:
        order = np.argsort(kinds, kind="stable")
        present, starts = np.unique(kinds[order], return_index=True)
        sums = np.zeros((len(counts), classes))
        sums[:, present] = np.add.reduceat(counts[:, cells[order]], starts, axis=1)
        return sums

    cells = np.arange(len(true))
    right = np.flatnonzero(true == predicted)
    groups = (right, true[right]), (cells, true), (cells, predicted)
    return lambda counts: macro_f1(*(by_class(counts, *group) for group in groups))
