"""Figures of tagged words: entities found whole, type by type, and words tagged right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from lora_bert.data.tag_schemes import entities_of
from lora_bert.errors import DataError
from lora_bert.metrics.comparison import Comparison, Figure
from lora_bert.metrics.intervals import Interval, paired_ratio, ratio
from lora_bert.metrics.metric import Metric

METRICS = (
    Metric("f1", "entity F1", means="entities whose words and type are right"),
    Metric("token_accuracy", "token accuracy", means="words with the right tag"),
)
F1, TOKEN_ACCURACY = METRICS
SHOWN = (*METRICS, Metric("precision", "precision"), Metric("recall", "recall"))

Tags = Sequence[Sequence[str]]
"""Tags of sentences, one a word, IOB2."""


@dataclass(frozen=True)
class TypeScores:
    """How well the entities of one type are found.

    Attributes:
        type: Its name.
        precision: The share of the entities that are said which are right, 0…1.
        recall: The share of the true entities that are said.
        f1: The harmonic mean of the two.
        entities: True ones.
        predicted: Said ones.
    """

    type: str
    precision: float
    recall: float
    f1: float
    entities: int
    predicted: int


class Mark(NamedTuple):
    """An entity in a text, characters ``start`` to ``end``; whether the other side has it too."""

    start: int
    end: int
    type: str
    shared: bool


@dataclass(frozen=True)
class MarkedText:
    """One row's entities, as they are said and as they are.

    Attributes:
        row: Its number.
        text: Its text.
        said: What the tagger says.
        true: What the row's label says.
        nowhere: What it says and the text does not hold.
    """

    row: int
    text: str
    said: tuple[Mark, ...]
    true: tuple[Mark, ...]
    nowhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scores:
    """Figures of answered sentences; an entity is right where its words and its type are.

    Attributes:
        f1: Of all entities together (micro), as ``precision`` and ``recall``, 0…1.
        macro_f1: The mean of the types' F1.
        token_accuracy: The share of the words whose tag is right, 0…1.
        rows: Sentences.
        words: Their words.
        per_type: The types in alphabetical order.
        counts: Of each sentence the entities right, predicted and true, the words right and all
            words, int64 ``[rows, 5]``.
    """

    f1: float
    precision: float
    recall: float
    macro_f1: float
    token_accuracy: float
    rows: int
    words: int
    per_type: tuple[TypeScores, ...]
    counts: np.ndarray = field(repr=False)

    @property
    def figures(self) -> dict[str, float]:
        """The metrics by name, in their order."""
        return {metric.name: getattr(self, metric.name) for metric in METRICS}


def score(predicted: Tags, true: Tags) -> Scores:
    """The figures of sentences whose words are tagged, as seqeval's strict mode has them.

    References:
        E. Tjong Kim Sang, F. De Meulder (2003). Introduction to the CoNLL-2003 shared task.
        H. Nakayama (2018). seqeval: A Python framework for sequence labeling evaluation.

    Raises:
        DataError: There are no sentences.
        ValueError: Two sentences differ in length.
    """
    if not true:
        raise DataError("There are no rows to score.")
    right, said, there = Counter[str](), Counter[str](), Counter[str]()
    counts = np.zeros((len(true), 5), dtype=np.int64)
    for row, (ours, theirs) in enumerate(zip(predicted, true, strict=True)):
        found, real = {*entities_of(ours)}, {*entities_of(theirs)}
        right.update(kind for _, _, kind in found & real)
        said.update(kind for _, _, kind in found)
        there.update(kind for _, _, kind in real)
        same = sum(one == two for one, two in zip(ours, theirs, strict=True))
        counts[row] = len(found & real), len(found), len(real), same, len(theirs)
    per_type = tuple(
        TypeScores(kind, *_figures(right[kind], said[kind], there[kind]), there[kind], said[kind])
        for kind in sorted(said | there)
    )
    total = counts.sum(axis=0).tolist()
    precision, recall, f1 = _figures(*total[:3])
    macro = float(np.mean([each.f1 for each in per_type])) if per_type else 0.0
    accuracy = _ratio(total[3], total[4])
    return Scores(f1, precision, recall, macro, accuracy, len(true), total[4], per_type, counts)


def _figures(right: int, said: int, there: int) -> tuple[float, float, float]:
    """Precision, recall and F1; 0 where there is nothing to divide by."""
    return _ratio(right, said), _ratio(right, there), _ratio(2 * right, said + there)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _ratios(scores: Scores) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each metric what is summed over the sentences, above and below the line."""
    right, said, there, same, words = scores.counts.T
    return {F1.name: (2 * right, said + there), TOKEN_ACCURACY.name: (same, words)}


def intervals(scores: Scores, *, seed: int = 0) -> dict[str, Interval]:
    """95 % bootstrap intervals of the metrics, whole sentences drawn anew."""
    return {name: ratio(*parts, seed=seed) for name, parts in _ratios(scores).items()}


def compare(
    other: str, ours: Scores, theirs: Scores, *, metric: str = F1.name,
    settings: Mapping[str, tuple[Any, Any]] | None = None, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Our figures beside those that another tagger, ``other``, has on the same sentences.

    Rows that only one has right are sentences of which it has every tag right; McNemar's test is
    about these.
    """
    from scipy.stats import binomtest

    both = _ratios(ours), _ratios(theirs)
    figures = [
        Figure(
            each, getattr(ours, each.name), getattr(theirs, each.name),
            paired_ratio(both[0][each.name], both[1][each.name], seed=seed),
        )
        for each in METRICS
    ]  # fmt: skip
    figures.sort(key=lambda figure: figure.name != metric)
    we, they = (scores.counts[:, 3] == scores.counts[:, 4] for scores in (ours, theirs))
    only_ours, only_theirs = int((we & ~they).sum()), int((they & ~we).sum())
    split = only_ours + only_theirs
    p_value = float(binomtest(only_ours, split).pvalue) if split else 1.0
    name = figures[0].name
    return Comparison(other, name, tuple(figures), only_ours, only_theirs, p_value, settings or {})
