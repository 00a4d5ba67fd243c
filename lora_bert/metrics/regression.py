"""How good numbers are: whether they rise together with the true ones, and how far they are off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lora_bert.errors import AdapterError, DataError
from lora_bert.metrics.classification import Floats
from lora_bert.metrics.comparison import Comparison, Figure, compared
from lora_bert.metrics.intervals import Interval, ends, redrawn
from lora_bert.metrics.metric import Metric
from lora_bert.metrics.suspects import Rows

METRICS = (
    Metric("spearman", "Spearman's ρ", share=False, means="correlation of the ranks"),
    Metric("pearson", "Pearson's r", share=False, means="correlation of the numbers"),
    Metric("rmse", "RMSE", False, share=False, means="root of the mean squared error"),
    Metric("mae", "MAE", False, share=False, means="mean absolute error"),
)
"""The figures that are shown and can pick the best epoch."""
DISTANCES = METRICS[2:]
"""Those that numbers have which do not vary, too."""
_DRAWS, _MOST_DRAWN = 2000, 20_000_000
"""Draws of a bootstrap; of many rows fewer, 200 at least."""
_SHARES = (0.5, 0.9)


class Residual(NamedTuple):
    """One row with an answer that is far off.

    Attributes:
        row: Its index.
        prediction: The number that is answered.
        error: That less the true one.
    """

    row: int
    prediction: float
    error: float


@dataclass(frozen=True)
class NumberScores:
    """What labelled rows say about a model that answers with a number.

    Attributes:
        spearman: Pearson's correlation of the ranks, -1…1; equal numbers share their mean rank.
            0 where all answers, or all true numbers, are equal.
        pearson: Pearson's correlation of the numbers, -1…1; likewise.
        rmse: Root of the mean squared error, in the unit of the numbers.
        mae: Mean absolute error, in that unit.
        rows: Number of rows scored.
    """

    spearman: float
    pearson: float
    rmse: float
    mae: float
    rows: int

    def __repr__(self) -> str:
        return (
            f"NumberScores(Spearman {self.spearman:.4f}, Pearson {self.pearson:.4f}, "
            f"RMSE {self.rmse:.4g}, MAE {self.mae:.4g}, {self.rows:,} rows)"
        )

    @property
    def figures(self) -> dict[str, float]:
        """The figures by name."""
        return {metric.name: float(getattr(self, metric.name)) for metric in METRICS}


@dataclass(frozen=True, eq=False)
class Errors:
    """How far answers are off, and the answers themselves.

    Attributes:
        predicted: The answers, ``[rows]``.
        true: The true numbers, ``[rows]``.
        bias: Mean of the answers less the true numbers: more than 0 is too high.
        within: Of half of the rows, and of nine in ten, how far the answer is off at most.
    """

    predicted: Floats
    true: Floats
    bias: float
    within: tuple[float, float]

    @classmethod
    def of(cls, predicted: Floats, true: Floats) -> Errors:
        """Those of answered rows."""
        off = predicted - true
        half, most = np.quantile(np.abs(off), _SHARES).tolist()
        return cls(predicted, true, float(off.mean()), (half, most))

    def residuals(self) -> Rows[Residual]:
        """The rows, those first whose answer is off most."""
        off = self.predicted - self.true
        order = np.argsort(-np.abs(off), kind="stable")
        return Rows(Residual, order, self.predicted[order], off[order])


def score_numbers(predicted: Floats, true: Floats) -> NumberScores:
    """Score answered numbers, ``[rows]`` both.

    Raises:
        DataError: There are no rows.
        AdapterError: An answer is not a finite number.

    References:
        C. Spearman (1904). The proof and measurement of association between two things. The
        American Journal of Psychology 15(1), 72-101.
    """
    if len(true) == 0:
        raise DataError("There are no rows to score.")
    if not np.isfinite(predicted).all():
        raise AdapterError(
            f"The model's answers are not numbers for {int((~np.isfinite(predicted)).sum()):,} of "
            f"{len(true):,} rows.",
            hint="Its training has probably diverged: train again with a lower --learning-rate.",
        )
    every = {name: float(value[0]) for name, value in _figures([predicted], true)(
        np.ones((1, len(true))))[0].items()}  # fmt: skip
    return NumberScores(**every, rows=len(true))


def bootstrap_numbers(
    answers: Sequence[Floats], true: Floats, *, seed: int = 0
) -> dict[str, Interval]:
    """95 % bootstrap intervals of the figures, rows drawn anew, by the name of the figure.

    Of one model's ``answers`` they are those of its figures; of two models' those of the first's
    less the second's, each drawn row judging both. Ranks are those among all rows, in every draw.
    """
    draws = int(min(_DRAWS, max(200, _MOST_DRAWN / len(true))))
    figures = _figures(answers, true)
    drawn: dict[str, list[Floats]] = {metric.name: [] for metric in METRICS}
    each = np.ones(len(true), dtype=np.int64)
    for weights in redrawn(each, 1, np.random.default_rng(seed), draws):
        own = figures(weights)
        for name, values in drawn.items():
            values.append(own[0][name] - own[1][name] if len(own) > 1 else own[0][name])
    return {name: ends(np.concatenate(values)) for name, values in drawn.items()}


def compare_numbers(
    other: str, ours: Floats, theirs: Floats, true: Floats, *, metric: str,
    settings: Mapping[str, tuple[Any, Any]] | None = None, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare our answers with those of a model called ``other``, ``[rows]`` all.

    A row counts as right with the one whose answer is nearer to the true number.
    """
    apart = bootstrap_numbers([ours, theirs], true, seed=seed)
    both = [score_numbers(answers, true).figures for answers in (ours, theirs)]
    figures = [
        Figure(each, both[0][each.name], both[1][each.name], apart[each.name]) for each in METRICS
    ]
    we, they = np.abs(ours - true), np.abs(theirs - true)
    return compared(
        other, figures, we < they, they < we, metric=metric, settings=settings, nearer=True
    )


def _figures(answers: Sequence[Floats], true: Floats) -> Any:
    """A function of weights ``[draws, rows]``: of each model the figures by name, ``[draws]``."""
    truth, ranks = true.astype(np.float64), mean_ranks(true)
    models = [(each.astype(np.float64), mean_ranks(each)) for each in answers]

    def of(weights: Floats) -> list[dict[str, Floats]]:
        total = weights.sum(axis=1)
        found = []
        for values, ranked in models:
            off = values - truth
            found.append({
                "spearman": _correlation(weights, ranked, ranks),
                "pearson": _correlation(weights, values, truth),
                "rmse": np.sqrt(weights @ np.square(off) / total),
                "mae": weights @ np.abs(off) / total,
            })  # fmt: skip
        return found

    return of


def _correlation(weights: Floats, one: Floats, other: Floats) -> Floats:
    """Weighted Pearson correlations, ``[draws]``; 0 where one of the two does not vary."""
    total = weights.sum(axis=1)
    one, other = one - one.mean(), other - other.mean()
    means = weights @ one / total, weights @ other / total
    shared = weights @ (one * other) / total - means[0] * means[1]
    spread = [weights @ np.square(each) / total - np.square(mean)
              for each, mean in zip((one, other), means, strict=True)]  # fmt: skip
    least = [1e-14 * max(float(np.square(each).mean()), 1e-300) for each in (one, other)]
    varies = (spread[0] > least[0]) & (spread[1] > least[1])
    whole = np.sqrt(np.where(varies, spread[0] * spread[1], 1.0))
    return np.where(varies, np.clip(shared / whole, -1.0, 1.0), 0.0)


def mean_ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing their mean, ``[rows]``."""
    _, inverse, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    ranks: Floats = (last - (sizes - 1) / 2)[inverse]
    return ranks
