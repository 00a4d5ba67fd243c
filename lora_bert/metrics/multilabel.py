"""How good sets of labels are: figures of yes-or-no answers, a label each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lora_bert.errors import AdapterError, DataError
from lora_bert.metrics.classification import Floats, PerClass
from lora_bert.metrics.comparison import Comparison, Figure, compared
from lora_bert.metrics.intervals import Interval, ends, mean_interval, redrawn
from lora_bert.metrics.metric import Metric

Sets = NDArray[np.bool_]
"""Which labels rows have, ``[rows, labels]``."""

METRICS = (
    Metric("macro_f1", "macro-F1"),
    Metric("micro_f1", "micro-F1"),
    Metric("subset_accuracy", "subset accuracy", means="all labels of a row right"),
    Metric("lrap", "LRAP", means="label ranking average precision"),
    Metric(
        "hamming_loss", "Hamming loss", higher_is_better=False, share=False,
        means="share of wrong yes-or-no answers",
    ),
    Metric("log_loss", "log loss", False, share=False, means="mean −ln p of a yes or no"),
)  # fmt: skip
"""The figures that are shown and can pick the best epoch."""
_COUNTED = METRICS[:3]


@dataclass(frozen=True, eq=False)
class LabelScores:
    """What labelled rows say about a classifier that gives none, one or several labels.

    Attributes:
        macro_f1: Plain mean of the labels' F1; that of a label that neither stands in a row nor is
            answered is left out.
        micro_f1: F1 of all yes-or-no answers together.
        subset_accuracy: Share of rows whose labels are all right and none is wanting, 0…1.
        lrap: Label ranking average precision: how high the labels of a row stand among all labels,
            sorted by probability; 1 where they stand first. Rows without a label count as 1.
        hamming_loss: Share of the yes-or-no answers that are wrong.
        log_loss: Mean of -ln(probability of the right yes or no), in nats, the probability taken as
            no less than float32's epsilon.
        rows: Number of rows scored.
        per_label: One entry a label, in the order of the labels.
    """

    macro_f1: float
    micro_f1: float
    subset_accuracy: float
    lrap: float
    hamming_loss: float
    log_loss: float
    rows: int
    per_label: tuple[PerClass, ...]

    def __repr__(self) -> str:
        return (
            f"LabelScores(macro-F1 {100 * self.macro_f1:.1f} %, micro-F1 "
            f"{100 * self.micro_f1:.1f} %, {self.rows:,} rows, {len(self.per_label):,} labels)"
        )

    @property
    def figures(self) -> dict[str, float]:
        """The figures by name."""
        return {metric.name: float(getattr(self, metric.name)) for metric in METRICS}

    @property
    def worst(self) -> list[PerClass]:
        """The labels, the lowest F1 first, of equals the larger; those without rows at the end."""
        return sorted(
            self.per_label, key=lambda each: (not each.rows + each.predicted, each.f1, -each.rows)
        )


def score_labels(
    labels: Sequence[str], probabilities: Floats, answered: Sets, true: Sets
) -> LabelScores:
    """Score answered sets of labels, and the probabilities that they were made of.

    Args:
        labels: Names, in the order of the columns of all three.
        probabilities: Of each label, ``[rows, labels]``, each in 0…1.
        answered: Which labels are answered.
        true: Which labels rows have.

    Raises:
        DataError: There are no rows.
        AdapterError: A probability is not a finite number.

    References:
        G. Tsoumakas, I. Katakis, I. Vlahavas (2010). Mining multi-label data. Data Mining and
        Knowledge Discovery Handbook, 667-685.
    """
    _check(probabilities, true)
    right, rows, predicted = counts(answered, true)
    f1 = f1_of(right, rows, predicted)
    return LabelScores(
        **_figures_of(answered, true),
        lrap=float(ranking_precision(probabilities, true).mean()),
        hamming_loss=float((answered != true).mean()),
        log_loss=float(losses(probabilities, true).mean()),
        rows=len(true),
        per_label=tuple(map(
            PerClass, labels, _ratio(right, predicted).tolist(), _ratio(right, rows).tolist(),
            f1.tolist(), rows.tolist(), predicted.tolist(),
        )),
    )  # fmt: skip


def counts(answered: Sets, true: Sets) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of each label, ``[labels]``: rows answered rightly with it, rows that have it, answered."""
    return (answered & true).sum(axis=0), true.sum(axis=0), answered.sum(axis=0)


def f1_of(right: Any, rows: Any, predicted: Any) -> NDArray[np.float64]:
    """F1 by these counts, 0 where there is nothing to count."""
    return _ratio(2.0 * np.asarray(right), np.asarray(rows) + predicted)


def macro_f1(right: Any, rows: Any, predicted: Any) -> Floats:
    """Mean F1 over the last axis; labels without a row and without an answer are left out."""
    present = np.count_nonzero(np.asarray(rows) + predicted, axis=-1)
    mean: Floats = f1_of(right, rows, predicted).sum(axis=-1) / np.maximum(present, 1)
    return mean


def losses(probabilities: Floats, true: Sets) -> Floats:
    """What each row adds to the log loss, in nats, ``[rows]``."""
    of_truth = np.where(true, probabilities, 1 - probabilities).astype(np.float64)
    added: Floats = -np.log(np.clip(of_truth, np.finfo(np.float32).eps, 1.0)).mean(axis=1)
    return added


def ranking_precision(probabilities: Floats, true: Sets) -> Floats:
    """Of each row the mean, over its labels, of the share of its labels among those ranked as high.

    A row without labels, or with all of them, counts as 1; labels of one probability share a rank.
    """
    means = np.ones(len(true))
    some = np.flatnonzero(true.any(axis=1) & ~true.all(axis=1))
    for start in range(0, len(some), 1024):
        rows = some[start : start + 1024]
        own, scores = true[rows], probabilities[rows]
        order = np.argsort(-scores, axis=1, kind="stable")
        ranked, sorted_scores = (np.take_along_axis(x, order, axis=1) for x in (own, scores))
        # The last place of those with the same score is the rank of all of them.
        last = np.ones(ranked.shape, dtype=bool)
        last[:, :-1] = sorted_scores[:, :-1] != sorted_scores[:, 1:]
        places = np.arange(ranked.shape[1])
        at = np.minimum.accumulate(np.where(last, places, len(places))[:, ::-1], axis=1)[:, ::-1]
        hits = np.take_along_axis(np.cumsum(ranked, axis=1), at, axis=1)
        means[rows] = (hits / (at + 1) * ranked).sum(axis=1) / own.sum(axis=1)
    return means


def bootstrap_labels(answers: Sequence[Sets], true: Sets, *, seed: int = 0) -> dict[str, Interval]:
    """95 % bootstrap intervals of macro-F1, micro-F1 and subset accuracy, rows drawn anew.

    Of one classifier's ``answers`` they are those of its figures; of two classifiers' those of the
    first's less the second's, each drawn row judging both. Rows with the same truth and answers
    are drawn as one cell.
    """
    packed = np.packbits(np.concatenate([true, *answers], axis=1), axis=1)
    keys = np.ascontiguousarray(packed).view(f"V{packed.shape[1]}").ravel()
    _, first, sizes = np.unique(keys, return_index=True, return_counts=True)
    cells, each = true[first].astype(np.float32), []
    for answered in answers:
        given = answered[first].astype(np.float32)
        whole = (answered[first] == true[first]).all(axis=1)
        each.append((given * cells, cells, given, whole.astype(np.float32) / np.float32(len(true))))
    drawn: dict[str, list[Floats]] = {metric.name: [] for metric in _COUNTED}
    for draw in redrawn(sizes, 3 * true.shape[1], np.random.default_rng(seed)):
        weights = draw.astype(np.float32)
        figures = [_figures(*(weights @ part for part in parts)) for parts in each]
        for name, values in drawn.items():
            own = [of_each[name] for of_each in figures]
            values.append(own[0] - own[1] if len(own) > 1 else own[0])
    return {name: ends(np.concatenate(values)) for name, values in drawn.items()}


def _figures(right: Floats, rows: Floats, predicted: Floats, whole: Floats) -> dict[str, Floats]:
    """The counted figures of draws, ``[draws]``, by counts ``[draws, labels]``."""
    together = (part.sum(axis=-1) for part in (right, rows, predicted))
    return {"macro_f1": macro_f1(right, rows, predicted), "micro_f1": f1_of(*together),
            "subset_accuracy": whole}  # fmt: skip


def compare_labels(
    other: str, answered: tuple[Sets, Sets], true: Sets, *, metric: str,
    probabilities: tuple[Floats, Floats] | None = None,
    settings: Mapping[str, tuple[Any, Any]] | None = None, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare the sets of labels that we answer with those of a classifier called ``other``.

    Answers and truth are ``[rows, labels]``; without ``probabilities`` of both, figures that need
    them are left out. A row is right where all its labels are.
    """
    we, they = (answers == true for answers in answered)
    ours, theirs = (_figures_of(answers, true) for answers in answered)
    apart = bootstrap_labels(answered, true, seed=seed)
    figures = [
        Figure(metric_, ours[metric_.name], theirs[metric_.name], apart[metric_.name])
        for metric_ in _COUNTED
    ]
    each = {"hamming_loss": [1 - right.mean(axis=1) for right in (we, they)]}
    if probabilities:
        each |= {
            "lrap": [ranking_precision(values, true) for values in probabilities],
            "log_loss": [losses(values, true) for values in probabilities],
        }
    figures += [
        Figure(
            metric_, float(own.mean()), float(others.mean()),
            mean_interval(own - others, seed=seed),
        )
        for metric_ in METRICS[3:] if metric_.name in each for own, others in (each[metric_.name],)
    ]  # fmt: skip
    whole = we.all(axis=1), they.all(axis=1)
    return compared(other, figures, *whole, metric=metric, settings=settings)


def _figures_of(answered: Sets, true: Sets) -> dict[str, float]:
    right, rows, predicted = counts(answered, true)
    return {
        "macro_f1": float(macro_f1(right, rows, predicted)),
        "micro_f1": float(f1_of(right.sum(), rows.sum(), predicted.sum())),
        "subset_accuracy": float((answered == true).all(axis=1).mean()),
    }


def _ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    ratio = np.zeros(np.shape(part))
    np.divide(part, whole, out=ratio, where=np.asarray(whole) > 0)
    return ratio


def _check(probabilities: Floats, true: Sets) -> None:
    if len(true) == 0:
        raise DataError("There are no rows to score.")
    finite = np.isfinite(probabilities).all(axis=1)
    if not finite.all():
        raise AdapterError(
            f"The model's probabilities are not numbers for {np.count_nonzero(~finite):,} "
            f"of {len(true):,} rows.",
            hint="Its training has probably diverged: train again with a lower --learning-rate.",
        )
