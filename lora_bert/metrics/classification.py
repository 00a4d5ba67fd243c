"""How good the answers are: counts of right and wrong, and the figures that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lora_bert.errors import AdapterError, DataError
from lora_bert.metrics.metric import Metric

Indices = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

METRICS = (
    Metric("accuracy", "accuracy"),
    Metric("macro_f1", "macro-F1"),
    Metric("log_loss", "log loss", False, share=False, means="mean −ln p of the label"),
)
"""The figures that can pick the best epoch."""
FIGURES = (*METRICS[:2], Metric("weighted_f1", "weighted F1"), *METRICS[2:])
"""The figures that are shown."""


@dataclass(frozen=True)
class PerClass:
    """One class: shares in 0…1, and how many rows are of it and were predicted as it.

    A share with nothing to divide by (no row predicted, no row of the class) is 0.
    """

    label: str
    precision: float
    recall: float
    f1: float
    rows: int
    predicted: int


@dataclass(frozen=True, eq=False)
class Scores:
    """What one set of labelled rows says about a classifier.

    Attributes:
        accuracy: Share of rows predicted right, 0…1.
        macro_f1: Plain mean of the classes' F1. Classes that are neither in the truth nor among the
            predictions are left out, as scikit-learn does by default.
        weighted_f1: Mean of the classes' F1, weighted by their rows.
        log_loss: Mean of -ln(probability of the true class), in nats, the probability taken as no
            less than float32's epsilon.
        rows: Number of rows scored.
        per_class: One entry a label, in the order of the labels.
        confusion: Counts, [true class, predicted class].
    """

    accuracy: float
    macro_f1: float
    weighted_f1: float
    log_loss: float
    rows: int
    per_class: tuple[PerClass, ...]
    confusion: NDArray[np.int64]

    def __repr__(self) -> str:
        return (
            f"Scores(accuracy {100 * self.accuracy:.1f} %, macro-F1 {100 * self.macro_f1:.1f} %, "
            f"log loss {self.log_loss:.4f}, {self.rows:,} rows, {len(self.per_class):,} classes)"
        )

    @property
    def figures(self) -> dict[str, float]:
        """The figures that can pick the best epoch, by name."""
        return {metric.name: float(getattr(self, metric.name)) for metric in METRICS}

    @property
    def labels(self) -> list[str]:
        """The class names, in the order of ``per_class`` and of ``confusion``."""
        return [entry.label for entry in self.per_class]

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of the true class in each cell of ``confusion``; 0 for a class without rows."""
        shares: NDArray[np.float64] = self.confusion / self.confusion.sum(1, keepdims=True).clip(1)
        return shares

    @property
    def worst(self) -> list[PerClass]:
        """The classes, the lowest F1 first, of equals the larger; those without rows at the end."""
        return sorted(
            self.per_class, key=lambda each: (not each.rows + each.predicted, each.f1, -each.rows)
        )

    @property
    def confusions(self) -> list[tuple[int, int, int]]:
        """True class, predicted class and rows of every confusion, the most frequent first."""
        wrong = self.confusion - np.diag(self.confusion.diagonal())
        order = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
        true, predicted = np.unravel_index(order, wrong.shape)
        rows = wrong.ravel()[order]
        return list(zip(true.tolist(), predicted.tolist(), rows.tolist(), strict=True))


def score(labels: Sequence[str], probabilities: Floats, true: Indices) -> Scores:
    """Score predicted probabilities against the truth.

    Args:
        labels: Class names, in the order of the columns of ``probabilities``.
        probabilities: [rows, classes], each row summing to 1. The largest is the prediction.
        true: [rows], the index of each row's true class.

    Raises:
        DataError: There are no rows.
        AdapterError: A probability is not a finite number.
        ValueError: The shapes do not belong together.

    Example:
        >>> score(["bad", "good"], np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1])).accuracy
        0.5
    """
    _check(labels, probabilities, true)
    confusion = count_confusions(true, probabilities.argmax(axis=1), len(labels))
    right, rows, predicted = right_rows_predicted(confusion)
    f1 = _ratio(2 * right, rows + predicted)
    return Scores(
        accuracy=float(right.sum() / len(true)),
        macro_f1=float(macro_f1(right, rows, predicted)),
        weighted_f1=float(f1 @ rows / len(true)),
        log_loss=abs(float(losses(probabilities, true).mean())),  # never "-0.0"
        rows=len(true),
        per_class=tuple(map(
            PerClass, labels, _ratio(right, predicted).tolist(), _ratio(right, rows).tolist(),
            f1.tolist(), rows.tolist(), predicted.tolist(),
        )),
        confusion=confusion,
    )  # fmt: skip


def count_confusions(true: Indices, predicted: Indices, classes: int) -> NDArray[np.int64]:
    """Rows counted by true and predicted class, [classes, classes]."""
    cells = np.asarray(true, dtype=np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def right_rows_predicted(
    confusion: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For every class: rows predicted right, rows of the class, rows predicted as it."""
    return confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)


def macro_f1(right: NDArray[Any], rows: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Mean F1 over the last axis, absent classes left out.

    Of each class, [..., classes], the rows predicted right, of it, and predicted as it are given.
    """
    total = rows + predicted
    present = np.count_nonzero(total, axis=-1)
    mean: Floats = _ratio(2 * right, total).sum(axis=-1) / present
    return mean


def macro_f1_of(answers: Indices, true: Indices) -> float:
    """The macro-F1 of answered class indices, [rows], at least one."""
    classes = int(max(true.max(), answers.max())) + 1
    return float(macro_f1(*right_rows_predicted(count_confusions(true, answers, classes))))


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """``part / whole``, and 0 where there is nothing to divide by."""
    ratio = np.zeros(part.shape)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def losses(probabilities: Floats, true: Indices) -> NDArray[np.float64]:
    """What each row adds to the log loss, in nats, [rows]."""
    of_truth = probabilities[np.arange(len(true)), true].astype(np.float64)
    # One confident mistake must not make the mean infinite; float32 is what models answer in.
    added: NDArray[np.float64] = -np.log(np.clip(of_truth, np.finfo(np.float32).eps, 1.0))
    return added


def _check(labels: Sequence[str], probabilities: Floats, true: Indices) -> None:
    if len(true) == 0:
        raise DataError("There are no rows to score.")
    if probabilities.shape != (len(true), len(labels)):
        raise ValueError(
            f"probabilities of shape {probabilities.shape} do not fit {len(true)} rows "
            f"and {len(labels)} labels"
        )
    if true.min() < 0 or true.max() >= len(labels):
        raise ValueError(f"a true class is not among the {len(labels)} labels")
    finite = np.isfinite(probabilities).all(axis=1)
    if not finite.all():
        raise AdapterError(
            f"The model's probabilities are not numbers for {np.count_nonzero(~finite):,} "
            f"of {len(true):,} rows.",
            hint="Its training has probably diverged: train again with a lower --learning-rate.",
        )
