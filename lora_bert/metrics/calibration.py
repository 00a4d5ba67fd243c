"""Whether probabilities mean what they say: of the rows answered with 0.8, are 80 % right?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lora_bert.metrics.classification import Floats, Indices

BINS = 15
_DRAWS = 200


@dataclass(frozen=True)
class Bin:
    """The rows whose answer has a probability in ``low``..``high``, or what else is counted.

    Attributes:
        rows: How many; 0 leaves the two means at 0.
        confidence: Mean probability of their answers, 0…1.
        accuracy: Share of them answered right, 0…1.
    """

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far probabilities and shares of right answers lie apart.

    Attributes:
        error: Expected calibration error: the mean distance between the two over bins of equal
            width, weighted by their rows; 0…1.
        by_chance: What a classifier whose probabilities are exact would show on as many rows: the
            error of so few rows is never 0.
        chance_limit: What such a classifier would exceed once in twenty times.
        overconfidence: Mean probability of the answers less the share of right ones, -1…1: more
            than 0 is too sure.
        bins: From the lowest probability up.
        unit: What is counted: rows, each with its answer, or labels of rows, each a yes or a no.
    """

    error: float
    by_chance: float
    chance_limit: float
    overconfidence: float
    bins: tuple[Bin, ...]
    unit: str = "rows"

    def __repr__(self) -> str:
        return f"Calibration(error {self.error:.4f}: {self.verdict})"

    @property
    def verdict(self) -> str:
        """Whether the answers are too sure or too shy, in words."""
        if self.error <= self.chance_limit:
            return f"as exact as {sum(each.rows for each in self.bins):,} {self.unit} can tell"
        if abs(self.overconfidence) < self.error / 2:
            return "too sure of some answers, too shy of others"
        too, points = "sure" if self.overconfidence > 0 else "shy", 100 * abs(self.overconfidence)
        return f"too {too} by {points:.1f} points on average"


def calibration(probabilities: Floats, true: Indices, *, seed: int = 0) -> Calibration:
    """The calibration of the answers, the likeliest class of each row.

    Given are the probabilities, [rows, classes], of at least one row, and each row's true class,
    [rows]; ``seed`` is that of the draws for ``by_chance``.

    References:
        M. P. Naeini, G. Cooper, M. Hauskrecht (2015). Obtaining well calibrated probabilities using
        Bayesian binning. AAAI 2015.
        C. Guo, G. Pleiss, Y. Sun, K. Weinberger (2017). On calibration of modern neural networks.
        ICML 2017.
    """
    right = probabilities.argmax(axis=1) == true
    return calibration_of(probabilities.max(axis=1), right, seed=seed)


def calibration_of(
    confidence: Floats, right: NDArray[np.bool_], *, seed: int = 0, unit: str = "rows"
) -> Calibration:
    """The calibration of statements, each with its probability and whether it is true, ``[n]``.

    ``unit`` is what they are of, as :class:`Calibration` has it.
    """
    confidence = confidence.astype(np.float64)
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    confident = np.bincount(place, confidence, minlength=BINS)
    correct = np.bincount(place, right, minlength=BINS)
    some = np.maximum(rows, 1)
    edges = [at / BINS for at in range(BINS + 1)]
    figures = (rows.tolist(), (confident / some).tolist(), (correct / some).tolist())
    by_chance = _by_chance(confidence, place, confident.astype(np.float64), seed)
    return Calibration(
        error=float(np.abs(confident - correct).sum() / len(right)),
        by_chance=float(by_chance.mean()),
        chance_limit=float(np.quantile(by_chance, 0.95)),
        overconfidence=float(confidence.mean() - right.mean()),
        bins=tuple(map(Bin, edges, edges[1:], *figures)),
        unit=unit,
    )


def _by_chance(confidence: Floats, place: Indices, confident: Floats, seed: int) -> Floats:
    """The errors, [draws], where each answer is right with exactly the probability it has."""
    rng, rows = np.random.default_rng(seed), len(confidence)
    draws = (rng.random(rows) < confidence for _ in range(_DRAWS))
    correct = (np.bincount(place, right, minlength=BINS) for right in draws)
    return np.array([np.abs(confident - drawn).sum() / rows for drawn in correct])
