"""From which probability on each label is answered, as rows that are not learned from say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lora_bert.metrics.classification import Floats, Indices
from lora_bert.metrics.multilabel import Sets, counts, f1_of, macro_f1

USUAL = 0.5
"""The threshold of a label where none was chosen."""
_GRID = np.linspace(0.01, 0.99, 99)
"""Among these is the threshold that all labels share."""
_DRAWN = np.linspace(0.0, 1.0, 41)
"""Where curves are drawn."""


@dataclass(frozen=True)
class LabelCurve:
    """What each threshold of a label would come to on the scored rows.

    Attributes:
        label: Its name.
        threshold: The one that counts.
        at: Thresholds, 0…1.
        precision: At each of them, like ``recall`` and ``f1``, shares in 0…1.
    """

    label: str
    threshold: float
    at: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]


@dataclass(frozen=True)
class Tuned:
    """What thresholds are worth that were chosen on some rows.

    Attributes:
        usual: The macro-F1 of these rows at 0.5.
        chosen: The same at the thresholds chosen on them: too good, as they were chosen for it.
        expected: Chosen on one half of the rows and scored on the other one, both ways.
    """

    usual: float
    chosen: float
    expected: float


def best_thresholds(probabilities: Floats, true: Sets) -> tuple[float, ...]:
    """Of each label the threshold that has the highest F1 on these rows.

    A label that no row has, which says nothing of its own, gets the one threshold that has the
    highest macro-F1 when all others share it. Of several equally good ones it is the nearest to
    that. Given are ``[rows, labels]`` both; without any row all are 0.5.
    """
    shown = np.flatnonzero(true.any(axis=0))
    if not len(shown):
        return (USUAL,) * int(true.shape[1])
    common = _common(probabilities[:, shown], true[:, shown])
    best = np.full(true.shape[1], common)
    for label in shown:
        best[label] = _best(probabilities[:, label].astype(np.float64), true[:, label], common)
    return tuple(round(float(line), 6) for line in best)


def tuned(probabilities: Floats, true: Sets, *, seed: int = 0) -> Tuned:
    """What :func:`best_thresholds` of these rows are worth; ``seed`` is that of the halves."""
    shuffled = np.random.default_rng(seed).permutation(len(true))
    halves = np.array_split(shuffled, 2)
    answered = np.zeros(true.shape, dtype=bool)
    for chosen_on, scored in (halves, halves[::-1]):
        lines = best_thresholds(probabilities[chosen_on], true[chosen_on])
        answered[scored] = probabilities[scored] >= np.array(lines, dtype=np.float32)
    whole = np.array(best_thresholds(probabilities, true), dtype=np.float32)
    each = (probabilities >= np.float32(USUAL), probabilities >= whole, answered)
    return Tuned(*(float(macro_f1(*counts(answers, true))) for answers in each))


def curves(
    labels: Sequence[str], thresholds: Sequence[float], probabilities: Floats, true: Sets
) -> tuple[LabelCurve, ...]:
    """Precision, recall and F1 of each label along its threshold."""
    drawn = []
    for at, label in enumerate(labels):
        right, predicted = _counts_at(_DRAWN, probabilities[:, at], true[:, at])
        rows = int(true[:, at].sum())
        precision = np.where(predicted > 0, right / np.maximum(predicted, 1), 1.0)
        parts = (precision, right / max(rows, 1), f1_of(right, rows, predicted))
        shares = (tuple(part.tolist()) for part in parts)
        drawn.append(LabelCurve(label, thresholds[at], tuple(_DRAWN.tolist()), *shares))
    return tuple(drawn)


def _common(probabilities: Floats, true: Sets) -> float:
    """The one threshold of all labels that has the highest macro-F1."""
    each = [_counts_at(_GRID, probabilities[:, at], true[:, at]) for at in range(true.shape[1])]
    right, predicted = (np.stack(part, axis=1) for part in zip(*each, strict=True))
    scores = macro_f1(right, true.sum(axis=0), predicted)
    return _nearest(_GRID, scores, USUAL)


def _counts_at(thresholds: Floats, scores: Floats, has: Sets) -> tuple[Indices, Indices]:
    """Rows answered rightly, and answered, from each threshold on."""
    below_all = np.searchsorted(np.sort(scores), thresholds)
    below_own = np.searchsorted(np.sort(scores[has]), thresholds)
    return has.sum() - below_own, len(scores) - below_all


def _best(scores: Floats, has: Sets, common: float) -> float:
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(has[order])
    taken = np.arange(1, len(scores) + 1)
    f1 = f1_of(hits, hits[-1], taken)
    # A line lies between a probability and the next lower one; none between equals.
    lower = np.append(ranked[1:], 0.0)
    f1[:-1][ranked[:-1] == lower[:-1]] = -1.0
    return _nearest((ranked + lower) / 2, f1, common)


def _nearest(thresholds: Floats, scores: Floats, wanted: float) -> float:
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(thresholds[best[np.abs(thresholds[best] - wanted).argmin()]])
