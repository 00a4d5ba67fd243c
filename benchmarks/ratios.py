"""The statistics: medians, ratios with their range, the interval of a paired difference."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Sequence[Mapping[str, Any]]]
"""Raw measurements by contender; each holds its ``round``."""


@dataclass(frozen=True)
class Ratio:
    """A ratio of two contenders measured in the same rounds: median, smallest, largest."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}x ({self.low:.2f}-{self.high:.2f})"


def values(figures: Figures, name: str, key: str) -> list[float]:
    """One figure of a contender, a round after the other."""
    return [float(one[key]) for one in figures.get(name, ())]


def median(figures: Figures, name: str, key: str) -> float:
    """The median of one figure of a contender."""
    return statistics.median(values(figures, name, key))


def ratio(figures: Figures, above: str, below: str, key: str) -> Ratio | None:
    """``above / below`` within each round both were measured in; None where there is none."""
    over, under = ({one["round"]: one[key] for one in figures.get(name, ())}
                   for name in (above, below))  # fmt: skip
    shared = [over[at] / under[at] for at in over if at in under]
    if not shared:
        return None
    return Ratio(statistics.median(shared), min(shared), max(shared))


def best(figures: Figures, names: Sequence[str], key: str, *, higher: bool) -> str | None:
    """The contender with the best median; None where none was measured."""
    there = [name for name in names if figures.get(name)]
    if not there:
        return None
    pick = max if higher else min
    return pick(there, key=lambda name: median(figures, name, key))


def advantage(
    figures: Figures, ours: Sequence[str], peers: Sequence[str], key: str, *, higher: bool
) -> Ratio | None:
    """How many times better our best is than the best of the peers; above 1 is better.

    Args:
        figures: Raw measurements.
        ours: Our contenders; the one with the best median counts.
        peers: Theirs, likewise.
        key: The figure compared.
        higher: Whether more of it is better.
    """
    mine = best(figures, ours, key, higher=higher)
    theirs = best(figures, peers, key, higher=higher)
    if mine is None or theirs is None:
        return None
    return ratio(figures, mine, theirs, key) if higher else ratio(figures, theirs, mine, key)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0..1) of a sorted sequence lies, interpolated."""
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def paired_interval(
    ours: Sequence[Sequence[int]],
    theirs: Sequence[Sequence[int]],
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """The difference of two accuracies, with its percentile bootstrap interval.

    Seeds and rows are both drawn anew: a row is judged by both contenders with every seed, so the
    rows' difficulty and the seeds' luck are both in the interval, and what is common to the two
    contenders is not.

    Args:
        ours: ``[seeds][rows]``, 1 where the prediction was right.
        theirs: The same rows with the same seeds, by the other contender.
        resamples: How many times they are drawn anew.
        level: Share of the resampled differences that lie inside, 0..1.
        seed: Of the draws.

    Returns:
        The difference ours - theirs and the interval's two ends, shares in -1..1.
    """
    import numpy as np

    difference = np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float)
    seeds, rows = difference.shape
    draw = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        by_row = difference[draw.integers(0, seeds, seeds)].mean(axis=0)
        drawn.append(float(by_row[draw.integers(0, rows, rows)].mean()))
    drawn.sort()
    tail = (1 - level) / 2
    return float(difference.mean()), percentile(drawn, tail), percentile(drawn, 1 - tail)


def paired_points(figures: Figures, ours: str, peer: str) -> tuple[float, float, float] | None:
    """By how many points of accuracy ours is better, and the interval's ends.

    Over the rounds that both were measured in; None where there is none.
    """
    mine, theirs = ({raw["round"]: raw["correct"] for raw in figures.get(name, ())}
                    for name in (ours, peer))  # fmt: skip
    shared = [at for at in mine if at in theirs]
    if not shared:
        return None
    middle, low, high = paired_interval([mine[at] for at in shared], [theirs[at] for at in shared])
    return 100 * middle, 100 * low, 100 * high


def shown_points(found: tuple[float, float, float] | None) -> str:
    """What :func:`paired_points` found, in a table."""
    if found is None:
        return "not measured"
    return f"{found[0]:+.2f} ({found[1]:+.2f} to {found[2]:+.2f})"


def shuffled(count: int, seed: int) -> list[int]:
    """0..count-1 in an order that only the seed decides."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order
