"""Rows that belong to none of the classes: whether their answers are less sure than the others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from lora_bert.metrics.classification import Floats, Indices
from lora_bert.metrics.coverage import coverage
from lora_bert.metrics.intervals import Interval


@dataclass(frozen=True)
class ScopeLine:
    """What answering only from ``min_score`` on does to both kinds of rows; shares in 0…1.

    Attributes:
        min_score: As ``infer --min-score`` takes it.
        answered: Share of the in-scope rows that are answered.
        accuracy: Share of the in-scope rows that are answered, and rightly.
        recall: Share of the out-of-scope rows that are not answered.
        right: Share of all rows that are treated rightly.
    """

    min_score: float
    answered: float
    accuracy: float
    recall: float
    right: float


@dataclass(frozen=True)
class OutOfScope:
    """How well the probability of the answer tells rows in scope from those out of it.

    Attributes:
        labels: The labels of the rows out of scope.
        rows: How many those are.
        auroc: How often an in-scope row is answered with a higher probability than an out-of-scope
            one, ties counted half; 0.5 is chance.
        auroc_interval: Its 95 % interval, after DeLong.
        fpr_at_95_tpr: Share of the out-of-scope rows that are answered where 95 % of the in-scope
            rows are.
        lines: From answering everything to answering half of the in-scope rows.
    """

    labels: tuple[str, ...]
    rows: int
    auroc: float
    auroc_interval: Interval
    fpr_at_95_tpr: float
    lines: tuple[ScopeLine, ...] = field(repr=False)


def out_of_scope(
    labels: Iterable[str], outside: Floats, probabilities: Floats, true: Indices, *,
    also_at: Iterable[float] = (),
) -> OutOfScope:  # fmt: skip
    """Score the separation of rows out of scope, ``outside``, from those in scope.

    Of both, at least one, the probabilities are given, [rows, classes]; of those in scope also the
    true class, [rows]; ``labels`` are those out of scope. ``also_at`` are more probabilities to
    show a line for.

    References:
        D. Hendrycks, K. Gimpel (2017). A baseline for detecting misclassified and
        out-of-distribution examples in neural networks. ICLR 2017.
        E. DeLong, D. DeLong, D. Clarke-Pearson (1988). Comparing the areas under two or more
        correlated receiver operating characteristic curves. Biometrics 44(3), 837-845.
    """
    strangers = outside.max(axis=1).astype(np.float64)
    scores = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == true
    auroc, interval = _auroc(scores, strangers)
    usual = np.sort(scores)[::-1][math.ceil(0.95 * len(scores)) - 1]
    places = {line.min_score for line in coverage(probabilities, true)} | set(also_at)
    return OutOfScope(
        labels=tuple(labels),
        rows=len(strangers),
        auroc=auroc,
        auroc_interval=interval,
        fpr_at_95_tpr=float((strangers >= usual).mean()),
        lines=tuple(_line(place, scores, right, strangers) for place in sorted(places)),
    )


def _line(place: float, scores: Floats, right: Indices, strangers: Floats) -> ScopeLine:
    answered, refused = scores >= place, strangers < place
    hits = int((answered & right).sum())
    both = (hits + int(refused.sum())) / (len(scores) + len(strangers))
    return ScopeLine(place, float(answered.mean()), hits / len(scores), float(refused.mean()), both)


def _auroc(scores: Floats, strangers: Floats) -> tuple[float, Interval]:
    """The area under the curve, and its interval from the variances of the placements."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([scores, strangers]))
    inside, outside = len(scores), len(strangers)
    # Of every row: how often it is on its own side of a row of the other kind.
    above = (ranks[:inside] - rankdata(scores)) / outside
    below = 1 - (ranks[inside:] - rankdata(strangers)) / inside
    area = float(above.mean())
    variance = sum(part.var(ddof=1) / len(part) for part in (above, below) if len(part) > 1)
    reach = 1.96 * float(np.sqrt(variance))
    return area, Interval(max(0.0, area - reach), min(1.0, area + reach))
