"""Two classifiers on the same rows: who is better, and whether the rows can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lora_bert.metrics.classification import METRICS, Floats, Indices, macro_f1_of
from lora_bert.metrics.intervals import Interval, mean_interval, paired_macro_f1
from lora_bert.metrics.metric import Metric
from lora_bert.wording import shortened

ACCURACY, MACRO_F1, LOG_LOSS = METRICS
_DRAWS = 10_000


class Figure(NamedTuple):
    """A metric of the classifier that is judged, ``ours``, and of the other one, ``theirs``.

    ``interval`` is the 95 % bootstrap interval of ``ours - theirs``, the rows drawn in pairs.
    """

    metric: Metric
    ours: float
    theirs: float
    interval: Interval

    @property
    def name(self) -> str:
        """The metric's."""
        return self.metric.name

    @property
    def difference(self) -> float:
        """Ours less theirs."""
        return self.ours - self.theirs

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, or that the rows cannot tell: the interval holds 0."""
        low, high = self.interval
        if low <= 0 <= high:
            return "the rows cannot tell"
        return "better" if (low > 0) == self.metric.higher_is_better else "worse"


@dataclass(frozen=True)
class Comparison:
    """A classifier against another one, row by row.

    Attributes:
        other: The other one's name.
        metric: What the verdict is about.
        figures: The metrics, that of the verdict first.
        only_ours: Rows that only we have right.
        only_theirs: Rows that only the other one has right.
        p_value: McNemar's exact test: how likely a split of those rows as uneven as this one would
            be if both were equally often right.
        settings: What differs between the two, by name: ours, theirs.
        nearer: Whether those rows are the ones to which only one of the two is nearer: answers that
            are numbers are not right or wrong.
    """

    other: str
    metric: str
    figures: tuple[Figure, ...]
    only_ours: int
    only_theirs: int
    p_value: float
    settings: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    nearer: bool = False

    @property
    def rows_in_words(self) -> str:
        """In how many rows one of the two does better, and whether that may be chance."""
        ours, theirs = f"{self.only_ours:,}", f"{self.only_theirs:,}"
        if self.nearer:
            nearer = f"this one is nearer in {ours}, the other in {theirs}"
            return f"{nearer}; sign test p = {self.p_value:.2g}"
        return (
            f"{ours} only this one has right, {theirs} only the other; McNemar p = "
            f"{self.p_value:.2g}"
        )

    @property
    def accuracy(self) -> float:
        """The other one's accuracy, 0…1."""
        return self["accuracy"].theirs

    @property
    def difference(self) -> float:
        """Our accuracy less its, -1…1."""
        return self["accuracy"].difference

    @property
    def interval(self) -> Interval:
        """95 % bootstrap interval of the difference of the accuracies."""
        return self["accuracy"].interval

    @property
    def verdict(self) -> str:
        """Who is better in ``metric``; and if it is the other way round in the other share."""
        first, *others = self.figures
        known = first.verdict in ("better", "worse")
        said = f"{first.verdict} {'in' if known else 'which has the better'} {first.metric.shown}"
        for other in others:
            if other.metric.share and other.verdict in {"better", "worse"} - {first.verdict}:
                return f"{said}{', but' if known else ';'} {other.verdict} in {other.metric.shown}"
        return said

    def __repr__(self) -> str:
        words = [f"{figure.metric.shown} {figure.ours:.3f} against {figure.theirs:.3f}"
                 for figure in self.figures]  # fmt: skip
        return f"Comparison(with {shortened(self.other)!r}: {self.verdict}; {', '.join(words)})"

    def as_dict(self) -> dict[str, Any]:
        """Everything in it as plain JSON values; what has no prefix is about the accuracy."""
        document: dict[str, Any] = {"other": self.other, "metric": self.metric}
        for figure in self.figures:
            prefix = "" if figure.metric is ACCURACY else f"{figure.name}_"
            document |= {
                figure.name: figure.theirs,
                f"{prefix}difference": figure.difference,
                f"{prefix}interval": list(figure.interval),
            }
        names = ("verdict", "only_ours", "only_theirs", "p_value")
        document |= {name: getattr(self, name) for name in names}
        return document | {"settings": {name: list(pair) for name, pair in self.settings.items()}}

    def __getitem__(self, metric: str) -> Figure:
        """The figure of a metric; KeyError for one that was not compared."""
        return {figure.name: figure for figure in self.figures}[metric]


def compare(
    other: str, ours: Indices, theirs: Indices, true: Indices, *, metric: str = "accuracy",
    losses: tuple[Floats, Floats] | None = None,
    settings: Mapping[str, tuple[Any, Any]] | None = None, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare our answers to rows with those of a classifier called ``other``.

    Answers and truth are class indices, [rows], of at least one row; ``losses`` is what each row
    adds to the log loss of each, [rows], where both have probabilities. Without them a log loss
    cannot be compared, and a verdict that is to be about it is about the accuracy.

    References:
        Q. McNemar (1947). Note on the sampling error of the difference between correlated
        proportions or percentages. Psychometrika 12(2), 153-157.
    """
    we, they = ours == true, theirs == true
    only_ours, only_theirs = int((we & ~they).sum()), int((they & ~we).sum())
    interval = _accuracy_interval(only_ours, only_theirs, len(true), seed)
    f1 = macro_f1_of(ours, true), macro_f1_of(theirs, true)
    figures = [
        Figure(ACCURACY, float(we.mean()), float(they.mean()), interval),
        Figure(MACRO_F1, *f1, paired_macro_f1(true, ours, theirs, seed=seed)),
    ]
    if losses:
        means = float(losses[0].mean()), float(losses[1].mean())
        figures.append(Figure(LOG_LOSS, *means, mean_interval(losses[0] - losses[1], seed=seed)))
    return compared(other, figures, we, they, metric=metric, settings=settings)


def compared(
    other: str, figures: Sequence[Figure], we: NDArray[np.bool_], they: NDArray[np.bool_], *,
    metric: str, settings: Mapping[str, tuple[Any, Any]] | None = None, nearer: bool = False,
) -> Comparison:  # fmt: skip
    """The comparison of these figures, and of the rows that are right with each, bool ``[rows]``.

    The verdict is about ``metric``, or the first figure where that is not among them.
    """
    from scipy.stats import binomtest

    only_ours, only_theirs = int((we & ~they).sum()), int((they & ~we).sum())
    split = only_ours + only_theirs
    ordered = sorted(figures, key=lambda figure: figure.name != metric)
    p_value = float(binomtest(only_ours, split).pvalue) if split else 1.0
    return Comparison(
        other,
        ordered[0].name,
        tuple(ordered),
        only_ours,
        only_theirs,
        p_value,
        settings or {},
        nearer,
    )


def _accuracy_interval(only_ours: int, only_theirs: int, rows: int, seed: int) -> Interval:
    """95 % bootstrap interval of the difference, the rows drawn in pairs."""
    shares = np.array([only_ours, only_theirs, rows - only_ours - only_theirs]) / rows
    drawn = np.random.default_rng(seed).multinomial(rows, shares, size=_DRAWS)
    return Interval(*np.quantile((drawn[:, 0] - drawn[:, 1]) / rows, [0.025, 0.975]).tolist())
