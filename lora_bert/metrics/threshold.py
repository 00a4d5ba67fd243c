"""Where to draw the line between two classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lora_bert.mapped import pieces
from lora_bert.metrics.classification import Floats, Indices, macro_f1, macro_f1_of


@dataclass(frozen=True)
class Threshold:
    """The probability of a class from which on it should be the answer.

    Attributes:
        label: The class: the second one.
        value: The threshold that gives the highest macro-F1 on the scored rows, 0…1.
        macro_f1: What such a choice is worth on other rows: chosen on one half of the rows and
            scored on the other one, both ways.
        usual: The macro-F1 of the same rows at 0.5.
    """

    label: str
    value: float
    macro_f1: float
    usual: float


def best_threshold(
    labels: Sequence[str], probabilities: Floats, true: Indices, *, seed: int = 0
) -> Threshold | None:
    """The best threshold of two classes; None with more, or with rows of one class only.

    Given are the probabilities, [rows, 2], and each row's true class, [rows]; ``seed`` is that of
    how the rows are halved.
    """
    if len(labels) != 2 or len(np.unique(true)) < 2:
        return None
    second = probabilities[:, 1].astype(np.float64)
    shuffled = np.random.default_rng(seed).permutation(len(true))
    halves = np.array_split(shuffled, 2)
    answers = np.zeros(len(true), dtype=np.int64)
    for chosen_on, scored in (halves, halves[::-1]):
        answers[scored] = second[scored] >= _best(second[chosen_on], true[chosen_on])
    return Threshold(
        label=labels[1],
        value=_best(second, true),
        macro_f1=macro_f1_of(answers, true),
        usual=macro_f1_of((second > 0.5).astype(np.int64), true),
    )


def _best(second: Floats, true: Indices) -> float:
    """The threshold with the highest macro-F1, the one nearest to 0.5 of several."""
    order = np.argsort(-second, kind="stable")
    values, is_second = second[order], true[order] == 1
    # Answering "second" for the first n rows of that order, for every n where a value changes.
    taken = np.arange(len(values) + 1)
    hits = np.concatenate([[0], np.cumsum(is_second)])
    positives, negatives = int(is_second.sum()), int((~is_second).sum())

    def macro_f1_at(taken: Indices, hits: Indices) -> Floats:
        right = np.stack([negatives - (taken - hits), hits], axis=-1)
        rows = np.broadcast_to([negatives, positives], right.shape)
        return macro_f1(right, rows, np.stack([len(values) - taken, taken], axis=-1))

    scores = np.concatenate(list(map(macro_f1_at, pieces(taken), pieces(hits))))
    # A probability can be 1: no row is taken only above it.
    edges = np.concatenate([[np.nextafter(1, 2)], (values[:-1] + values[1:]) / 2, [0.0]])
    scores[1:-1][values[:-1] == values[1:]] = -1  # no line can be drawn between equals
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(edges[best[np.abs(edges[best] - 0.5).argmin()]])
