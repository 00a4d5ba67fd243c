"""Two classifiers on the same rows: who is better, and whether the rows can tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lora_bert.evaluation.intervals import Interval
from lora_bert.evaluation.metrics import Indices


@dataclass(frozen=True)
class Comparison:
    """A classifier against another one, row by row.

    Attributes:
        other: The other one's name.
        accuracy: Its accuracy, 0…1.
        difference: Our accuracy less its, -1…1.
        interval: 95 % bootstrap interval of the difference, the rows drawn in pairs.
        only_ours: Rows that only we have right; ``only_theirs`` that only it has right.
        only_theirs: See ``only_ours``.
        p_value: McNemar's exact test: how likely a split of those rows as uneven as this one would
            be if both were equally good.
    """

    other: str
    accuracy: float
    difference: float
    interval: Interval
    only_ours: int
    only_theirs: int
    p_value: float


def compare(
    other: str,
    ours: Indices,
    theirs: Indices,
    true: Indices,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two lists of answers to the same rows.

    Args:
        other: What the other classifier is called.
        ours: [rows], class indices; at least one row.
        theirs: [rows].
        true: [rows].
        resamples: How many times the rows are drawn anew.
        seed: Of the draws.

    References:
        Q. McNemar (1947). Note on the sampling error of the difference between correlated
        proportions or percentages. Psychometrika 12(2), 153-157.
    """
    from scipy.stats import binomtest

    rows = len(true)
    we, they = ours == true, theirs == true
    only_ours, only_theirs = int((we & ~they).sum()), int((they & ~we).sum())
    split = only_ours + only_theirs
    shares = np.array([only_ours, only_theirs, rows - split]) / rows
    drawn = np.random.default_rng(seed).multinomial(rows, shares, size=resamples)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / rows, [0.025, 0.975])
    return Comparison(
        other=other,
        accuracy=float(they.mean()),
        difference=(only_ours - only_theirs) / rows,
        interval=Interval(float(low), float(high)),
        only_ours=only_ours,
        only_theirs=only_theirs,
        p_value=float(binomtest(only_ours, split).pvalue) if split else 1.0,
    )
