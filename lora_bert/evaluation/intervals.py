"""How far a figure could have fallen otherwise: percentile bootstrap intervals."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lora_bert.evaluation.metrics import Indices, count_confusions, macro_f1

Statistic = Literal["accuracy", "macro_f1"]
_COUNTS_AT_ONCE = 4_000_000  # 32 MB: what a batch of resampled confusion matrices may take


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
    if statistic == "accuracy":
        values = _accuracies(confusion, resamples, rng)
    elif statistic == "macro_f1":
        values = _macro_f1s(confusion, resamples, rng)
    else:
        raise ValueError(f"no bootstrap of {statistic!r}: there are accuracy and macro_f1")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _accuracies(
    confusion: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Resampled accuracies, [resamples]: rows right of a fixed number are binomial."""
    rows = int(confusion.sum())
    return rng.binomial(rows, confusion.trace() / rows, size=resamples) / rows


def _macro_f1s(
    confusion: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Resampled macro-F1s, [resamples]."""
    true, predicted = np.nonzero(confusion)
    counts = confusion[true, predicted]
    classes = np.arange(len(confusion))
    # Indicators [cells, classes]: a product with them sums a matrix's rows, columns, diagonal.
    of_true = (true[:, None] == classes).astype(np.float64)
    of_predicted = (predicted[:, None] == classes).astype(np.float64)
    of_right = of_true * of_predicted

    rows = int(counts.sum())
    batch = max(1, _COUNTS_AT_ONCE // len(counts))
    values = []
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        drawn = rng.multinomial(rows, counts / rows, size=size).astype(np.float64)
        values.append(macro_f1(drawn @ of_right, drawn @ of_true, drawn @ of_predicted))
    return np.concatenate(values)
