"""Rows whose label is probably wrong, by what the classifier says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lora_bert.metrics.classification import Floats, Indices


@dataclass(frozen=True)
class Suspect:
    """One row whose label is doubted.

    Attributes:
        row: Its index.
        suggested: Index of the class it more likely is of.
        given: Probability of the class it is labelled with, 0…1.
        other: Probability of the suggested one.
    """

    row: int
    suggested: int
    given: float
    other: float


def suspects(probabilities: Floats, true: Indices) -> list[Suspect]:
    """Rows labelled with a class that is unlikely while another one is as likely as for its own.

    A class is as likely as for its own where its probability reaches the mean that it has over the
    rows labelled with it. The rows should be ones that the classifier was not trained on.

    Args:
        probabilities: [rows, classes].
        true: [rows], the given labels.

    Returns:
        The doubted rows, the most doubtful first.

    References:
        C. Northcutt, L. Jiang, I. Chuang (2021). Confident learning: estimating uncertainty in
        dataset labels. Journal of Artificial Intelligence Research 70.
    """
    at = np.arange(len(true))
    given = probabilities[at, true].astype(np.float64)
    rows = np.bincount(true, minlength=probabilities.shape[1])
    totals = np.bincount(true, given, minlength=probabilities.shape[1])
    # A class without rows is never as likely as for its own.
    usual = np.where(rows > 0, totals / np.maximum(rows, 1), np.inf)
    reached = np.where(probabilities >= usual, probabilities, -1.0)
    suggested = reached.argmax(axis=1)
    other = reached[at, suggested]
    doubted = np.flatnonzero((suggested != true) & (other > given))
    order = doubted[np.argsort(given[doubted] - other[doubted], kind="stable")]
    return [
        Suspect(int(row), int(suggested[row]), float(given[row]), float(other[row]))
        for row in order
    ]
