"""Answering only where the classifier is sure: how many rows those are, and how many are right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lora_bert.metrics.classification import Floats, Indices

_SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
"""The coverages of the table."""


@dataclass(frozen=True)
class Covered:
    """The rows whose answer has a probability of at least ``min_score``.

    Attributes:
        min_score: As ``infer --min-score`` takes it, 0…1.
        rows: How many are answered.
        coverage: Their share of all rows, 0…1.
        accuracy: Share of the answered rows that are right, 0…1; None where none is answered.
    """

    min_score: float
    rows: int
    coverage: float
    accuracy: float | None


@dataclass(frozen=True)
class Target:
    """The lowest ``min_score`` whose answered rows reach an accuracy that was asked for.

    Attributes:
        accuracy: What was asked for, 0…1.
        reached: That line on all scored rows; None where no line reaches it.
        expected: What such a choice is worth on other rows: chosen on one half of the rows and
            scored on the other one, both ways. Its ``min_score`` is the mean of the two choices.
            None where no line reaches it on one of the halves.
    """

    accuracy: float
    reached: Covered | None
    expected: Covered | None


def coverage(probabilities: Floats, true: Indices) -> tuple[Covered, ...]:
    """Accuracy against coverage, from all rows answered to half of them.

    Rows with the same probability are answered together, so a line can cover more than asked for;
    lines that fall together are there once.

    Args:
        probabilities: [rows, classes]; at least one row.
        true: [rows], the index of each row's true class.

    References:
        Y. Geifman, R. El-Yaniv (2017). Selective classification for deep neural networks.
        NeurIPS 2017.
    """
    scores, right = _sorted(probabilities, true)
    last = [scores[math.ceil(share * len(scores)) - 1] for share in _SHARES]
    # Rows that are equal to the last one of them are answered with it.
    taken = np.unique(np.searchsorted(-scores, -np.array(last), side="right"))[::-1]
    return tuple(_line(scores, right, rows) for rows in taken.tolist())


def reach(probabilities: Floats, true: Indices, accuracy: float, *, seed: int = 0) -> Target:
    """Where to draw the line so that the share ``accuracy`` of the answered rows is right.

    The rows are those of :func:`coverage`; ``seed`` is that of how they are halved.
    """
    shuffled = np.random.default_rng(seed).permutation(len(true))
    halves = [_sorted(probabilities[half], true[half]) for half in np.array_split(shuffled, 2)]
    lines = [_lowest(*half, accuracy) for half in halves if len(half[0])]
    chosen = [line.min_score for line in lines if line]
    return Target(
        accuracy=accuracy,
        reached=_lowest(*_sorted(probabilities, true), accuracy),
        expected=_elsewhere(chosen, halves[::-1]) if len(chosen) == len(halves) else None,
    )


def _elsewhere(chosen: Sequence[float], others: Sequence[tuple[Floats, Indices]]) -> Covered:
    """What lines are worth on rows that they were not chosen on."""
    kept = [hit[scores >= line] for line, (scores, hit) in zip(chosen, others, strict=True)]
    right, rows = np.concatenate(kept), sum(len(scores) for scores, _ in others)
    accuracy = float(right.mean()) if len(right) else None
    return Covered(float(np.mean(chosen)), len(right), len(right) / rows, accuracy)


def _sorted(probabilities: Floats, true: Indices) -> tuple[Floats, Indices]:
    """The probabilities of the answers, falling, and whether each is right."""
    scores = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == true
    order = np.argsort(-scores, kind="stable")
    return scores[order], right[order].astype(np.int64)


def _lowest(falling: Floats, right: Indices, accuracy: float) -> Covered | None:
    """The line that answers most rows of those that reach the accuracy."""
    rows = np.arange(1, len(falling) + 1)
    possible = np.append(falling[:-1] > falling[1:], True)  # no line lies between equals
    # A share such as 0.95 is not exactly what 19 / 20 is.
    reached = np.flatnonzero(possible & (np.cumsum(right) / rows >= accuracy - 1e-12))
    return _line(falling, right, int(reached[-1]) + 1) if len(reached) else None


def _line(falling: Floats, right: Indices, rows: int) -> Covered:
    accuracy = float(right[:rows].mean())
    return Covered(_between(falling, rows), rows, rows / len(falling), accuracy)


def _between(falling: Floats, rows: int) -> float:
    """The shortest decimal that lets the first ``rows`` rows pass and no other."""
    if rows == len(falling):
        return 0.0
    low, high = float(falling[rows]), float(falling[rows - 1])
    for digits in range(2, 17):
        value: float = round(math.floor(high * 10**digits) / 10**digits, digits)
        if low < value <= high:
            return value
    return high
