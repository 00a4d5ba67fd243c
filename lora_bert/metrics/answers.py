"""Figures of answered questions, answerable and not, and the line below which none is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lora_bert.errors import DataError
from lora_bert.metrics.answer_texts import exact_and_f1
from lora_bert.metrics.classification import Floats
from lora_bert.metrics.comparison import Comparison, Figure
from lora_bert.metrics.intervals import Interval, mean_interval
from lora_bert.metrics.metric import Metric

METRICS = (
    Metric("f1", "F1", means="how much of answer and true answer is the same, on average"),
    Metric("exact", "exact match", means="questions whose answer is a true one"),
)
F1, EXACT = METRICS
_BEST = Metric("best_f1", "best F1", means="F1 with the threshold that is best on these rows")
_HAS_ANSWER = Metric("has_answer_f1", "F1 of answerable questions")
_NO_ANSWER = Metric("no_answer_f1", "F1 of unanswerable questions")


@dataclass(frozen=True)
class Scores:
    """Figures of answered questions, 0…1; each is a mean over rows.

    Attributes:
        f1: Of the best of a question's true answers; 1 where it rightly has none.
        exact: The share of the answers that are a true one.
        best_f1: The F1 with the threshold that is best on these very rows.
        has_answer_f1: F1 of questions that have an answer, as ``has_answer_exact``; None: no row.
        no_answer_f1: Of questions that have none, as ``no_answer_exact``; None: no row has none.
        rows: Questions.
        f1_by_row: Of each question, ``[rows]``, as ``exact_by_row`` and ``answerable``.
    """

    f1: float
    exact: float
    best_f1: float
    has_answer_f1: float | None
    has_answer_exact: float | None
    no_answer_f1: float | None
    no_answer_exact: float | None
    rows: int
    f1_by_row: Floats = field(repr=False)
    exact_by_row: Floats = field(repr=False)
    answerable: np.ndarray = field(repr=False)

    @property
    def figures(self) -> dict[str, float]:
        """The metrics by name, in their order."""
        return {metric.name: getattr(self, metric.name) for metric in METRICS}

    @property
    def shown(self) -> tuple[Metric, ...]:
        """The figures that these rows have."""
        every = (*METRICS, _BEST, _HAS_ANSWER, _NO_ANSWER)
        return tuple(metric for metric in every if getattr(self, metric.name) is not None)


def score(
    answers: Sequence[str], true: Sequence[Sequence[str]], units: str, *,
    forced: Sequence[str] = (), null_scores: Floats | None = None,
) -> Scores:  # fmt: skip
    """The figures of answers, "" where none is given.

    Args:
        answers: One a question.
        true: The true answers of each, of which one is enough; none: it has no answer.
        units: ``words`` or ``characters``, see :mod:`lora_bert.metrics.answer_texts`.
        forced: The answers where one is given to every question (default: ``answers``).
        null_scores: How much rather each question has no answer, ``[rows]``: for ``best_f1``.

    Raises:
        DataError: There are no questions.
    """
    if not true:
        raise DataError("There are no rows to score.")
    both = zip(answers, true, strict=True)
    exact, f1 = np.array([exact_and_f1(*row, units) for row in both]).T
    answerable = np.array([bool(texts) for texts in true])
    best = float(f1.mean())
    if null_scores is not None:
        forced = forced or answers
        own = [exact_and_f1(*row, units)[1] for row in zip(forced, true, strict=True)]
        given = np.array([bool(text) for text in forced])
        best = best_threshold(null_scores, np.array(own), answerable, given)[1]

    def mean(values: Floats, rows: np.ndarray) -> float | None:
        return float(values[rows].mean()) if rows.any() else None

    return Scores(
        f1=float(f1.mean()), exact=float(exact.mean()), best_f1=best,
        has_answer_f1=mean(f1, answerable), has_answer_exact=mean(exact, answerable),
        no_answer_f1=mean(f1, ~answerable), no_answer_exact=mean(exact, ~answerable),
        rows=len(true), f1_by_row=f1, exact_by_row=exact, answerable=answerable,
    )  # fmt: skip


def best_threshold(
    null_scores: Floats, figures: Floats, answerable: np.ndarray, given: np.ndarray
) -> tuple[float, float]:
    """From which null score on no answer is best given, and the mean figure that comes of it.

    Args:
        null_scores: How much rather each question has no answer, ``[rows]``.
        figures: F1, or exact match, of the answers that are given otherwise, 0…1.
        answerable: Which questions have an answer.
        given: To which questions an answer is given otherwise.

    Returns:
        The threshold: questions with a larger null score get no answer; where every one should,
        a number below all of them. The figure is that of SQuAD 2.0's ``best_f1``, 0…1.
    """
    order = np.argsort(null_scores, kind="stable")
    # What answering one question more changes; an unanswerable one was right unanswered.
    gains = np.where(answerable, figures, np.where(given, -1.0, 0.0))[order]
    sums = np.concatenate([[0.0], np.cumsum(gains)])
    best = int(sums.argmax())
    ordered = null_scores[order]
    low = float(ordered[0]) - 1.0
    threshold = low if best == 0 else float(ordered[best - 1])
    if 0 < best < len(ordered):  # halfway to the first one that gets none
        threshold = (threshold + float(ordered[best])) / 2
    return threshold, float((np.count_nonzero(~answerable) + sums[best]) / len(figures))


def intervals(scores: Scores, *, seed: int = 0) -> dict[str, Interval]:
    """95 % bootstrap intervals of F1 and exact match, questions drawn anew."""
    rows = {F1.name: scores.f1_by_row, EXACT.name: scores.exact_by_row}
    return {name: mean_interval(values, seed=seed) for name, values in rows.items()}


def compare(
    other: str, ours: Scores, theirs: Scores, *, metric: str = F1.name,
    settings: Mapping[str, tuple[Any, Any]] | None = None, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Our figures beside those of another model, ``other``, on the same questions.

    Rows that only one has right are questions whose answer is a true one; McNemar's test is about
    these.
    """
    from scipy.stats import binomtest

    apart = {F1.name: ours.f1_by_row - theirs.f1_by_row,
             EXACT.name: ours.exact_by_row - theirs.exact_by_row}  # fmt: skip
    figures = [
        Figure(
            each, getattr(ours, each.name), getattr(theirs, each.name),
            mean_interval(apart[each.name], seed=seed),
        )
        for each in METRICS
    ]  # fmt: skip
    figures.sort(key=lambda figure: figure.name != metric)
    we, they = (scores.exact_by_row == 1 for scores in (ours, theirs))
    only_ours, only_theirs = int((we & ~they).sum()), int((they & ~we).sum())
    split = only_ours + only_theirs
    p_value = float(binomtest(only_ours, split).pvalue) if split else 1.0
    name = figures[0].name
    return Comparison(other, name, tuple(figures), only_ours, only_theirs, p_value, settings or {})
