"""Scores against scikit-learn, and what cannot be scored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from lora_bert.errors import AdapterError, DataError
from lora_bert.metrics.classification import METRICS, score


def random_rows(seed: int, rows: int, classes: int, seen: int | None = None):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, seen or classes, rows)
    probabilities = rng.dirichlet(np.full(classes, 0.5), rows)
    probabilities[np.arange(rows), true] += 0.4
    return probabilities / probabilities.sum(axis=1, keepdims=True), true


def labels_of(classes: int) -> list[str]:
    return [f"label {index}" for index in range(classes)]


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 60), classes=st.integers(2, 9))
def test_scores_are_those_of_scikit_learn(seed, rows, classes):
    probabilities, true = random_rows(seed, rows, classes)
    predicted = probabilities.argmax(axis=1)
    scores = score(labels_of(classes), probabilities, true)
    assert scores.accuracy == pytest.approx(sk.accuracy_score(true, predicted))
    assert scores.macro_f1 == pytest.approx(sk.f1_score(true, predicted, average="macro"))
    assert scores.weighted_f1 == pytest.approx(sk.f1_score(true, predicted, average="weighted"))
    everything = range(classes)
    assert scores.log_loss == pytest.approx(
        sk.log_loss(true, probabilities, labels=list(everything)), abs=1e-6
    )
    assert (scores.confusion == sk.confusion_matrix(true, predicted, labels=everything)).all()
    expected = sk.precision_recall_fscore_support(
        true, predicted, labels=everything, zero_division=0
    )
    for index, entry in enumerate(scores.per_class):
        assert (entry.precision, entry.recall, entry.f1, entry.rows) == pytest.approx(
            tuple(column[index] for column in expected)
        )
        assert entry.predicted == np.count_nonzero(predicted == index)


def test_class_in_neither_truth_nor_predictions_does_not_lower_the_macro_f1():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    scores = score(["a", "b", "never"], probabilities, np.array([0, 1]))
    assert scores.macro_f1 == 1.0
    assert scores.per_class[2].f1 == 0.0


def test_class_only_predicted_lowers_the_macro_f1():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.0, 0.8]])
    assert score(["a", "b", "c"], probabilities, np.array([0, 1])).macro_f1 == pytest.approx(1 / 3)


def test_a_certain_mistake_costs_a_finite_loss():
    scores = score(["a", "b"], np.array([[1.0, 0.0]], dtype=np.float32), np.array([1]))
    assert scores.log_loss == pytest.approx(-np.log(np.finfo(np.float32).eps))


def test_perfect_rows_cost_nothing():
    scores = score(["a", "b"], np.eye(2, dtype=np.float32), np.array([0, 1]))
    assert str(scores.log_loss) == "0.0"


def test_labels_keep_their_order():
    scores = score(["b", "a"], np.eye(2), np.array([0, 1]))
    assert scores.labels == ["b", "a"]
    assert [entry.label for entry in scores.per_class] == ["b", "a"]


def test_metric_by_name():
    probabilities, true = random_rows(0, 50, 3)
    scores = score(labels_of(3), probabilities, true)
    assert list(scores.figures) == [metric.name for metric in METRICS]
    assert scores.figures == {
        "accuracy": scores.accuracy,
        "macro_f1": scores.macro_f1,
        "log_loss": scores.log_loss,
    }
    assert [metric.higher_is_better for metric in METRICS] == [True, True, False]


def test_the_worst_classes_and_the_most_frequent_confusions_stand_first():
    true = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    predicted = np.array([1, 1, 0, 1, 1, 2, 2, 2])
    scores = score(labels_of(4), np.eye(4)[predicted], true)
    assert [entry.label for entry in scores.worst] == [
        "label 0", "label 1", "label 2", "label 3",
    ]  # fmt: skip
    assert scores.confusions == [(0, 1, 2), (1, 2, 1)]


def test_no_rows():
    with pytest.raises(DataError, match="no rows"):
        score(["a", "b"], np.empty((0, 2)), np.empty(0, dtype=np.int64))


def test_diverged_model():
    with pytest.raises(AdapterError, match="not numbers for 1 of 2 rows") as caught:
        score(["a", "b"], np.array([[np.nan, np.nan], [0.5, 0.5]]), np.array([0, 1]))
    assert "learning-rate" in caught.value.hint


@pytest.mark.parametrize(
    ("labels", "probabilities", "true"),
    [
        (["a", "b", "c"], np.eye(2), np.array([0, 1])),
        (["a", "b"], np.eye(2), np.array([0])),
        (["a", "b"], np.eye(2), np.array([0, 2])),
        (["a", "b"], np.eye(2), np.array([0, -1])),
    ],
)
def test_shapes_that_do_not_belong_together(labels, probabilities, true):
    with pytest.raises(ValueError, match=r"do not fit|not among"):
        score(labels, probabilities, true)
