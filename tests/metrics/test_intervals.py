"""The fast bootstrap is the bootstrap of the rows."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from lora_bert.metrics.intervals import bootstrap, mean_interval, paired_macro_f1


def rows_of(seed: int, rows: int, classes: int, accuracy: float):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, rows)
    predicted = np.where(rng.random(rows) < accuracy, true, rng.integers(0, classes, rows))
    return true, predicted


@pytest.mark.parametrize(
    ("statistic", "of_rows"),
    [
        ("accuracy", accuracy_score),
        ("macro_f1", lambda true, predicted: f1_score(true, predicted, average="macro")),
    ],
)
def test_agrees_with_drawing_the_rows_themselves(statistic, of_rows):
    true, predicted = rows_of(1, 150, 4, 0.7)
    rng = np.random.default_rng(5)
    drawn = [rng.integers(0, len(true), len(true)) for _ in range(400)]
    expected = np.quantile([of_rows(true[rows], predicted[rows]) for rows in drawn], [0.025, 0.975])
    assert bootstrap(true, predicted, statistic) == pytest.approx(expected, abs=0.02)


@given(seed=st.integers(0, 10_000), rows=st.integers(2, 300), classes=st.integers(2, 6))
def test_interval_of_the_accuracy_contains_it(seed, rows, classes):
    true, predicted = rows_of(seed, rows, classes, 0.6)
    accuracy = np.mean(true == predicted)
    assume(0 < accuracy < 1)
    low, high = bootstrap(true, predicted, "accuracy")
    assert 0 <= low <= accuracy <= high <= 1
    assert low < high


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6))
def test_interval_of_the_macro_f1_contains_it(seed, classes):
    true, predicted = rows_of(seed, 60 * classes, classes, 0.6)
    low, high = bootstrap(true, predicted, "macro_f1", resamples=500)
    assert 0 <= low <= f1_score(true, predicted, average="macro") <= high <= 1


@pytest.mark.parametrize("statistic", ["accuracy", "macro_f1"])
def test_covers_the_truth_about_as_often_as_it_says(statistic):
    # Symmetric noise on balanced classes: accuracy and macro-F1 are both 0.8 + 0.2 / 2 = 0.9.
    intervals = [
        bootstrap(*rows_of(seed, 400, 2, 0.8), statistic, resamples=300, seed=seed)
        for seed in range(150)
    ]
    covered = np.mean([low <= 0.9 <= high for low, high in intervals])
    assert 0.90 <= covered <= 0.99


@pytest.mark.parametrize("statistic", ["accuracy", "macro_f1"])
def test_same_seed_same_interval(statistic):
    true, predicted = rows_of(3, 200, 3, 0.7)
    found = bootstrap(true, predicted, statistic, seed=7)
    assert found == bootstrap(true, predicted, statistic, seed=7)
    assert found != bootstrap(true, predicted, statistic, seed=8)


@pytest.mark.parametrize("statistic", ["accuracy", "macro_f1"])
def test_all_right_is_a_point(statistic):
    true = np.array([0, 1, 1, 2])
    assert bootstrap(true, true, statistic) == (1.0, 1.0)


def test_many_classes_and_rows_take_no_time():
    true, predicted = rows_of(0, 60_000, 77, 0.9)
    started = time.perf_counter()
    bootstrap(true, predicted, "macro_f1")
    assert time.perf_counter() - started < 5


def macro(true, predicted):
    return f1_score(true, predicted, average="macro")


def test_paired_macro_f1_agrees_with_drawing_the_rows_themselves():
    true, ours = rows_of(1, 150, 4, 0.7)
    theirs = np.where(np.random.default_rng(2).random(150) < 0.8, ours, true)
    rng = np.random.default_rng(5)
    drawn = [rng.integers(0, len(true), len(true)) for _ in range(400)]
    differences = [
        macro(true[rows], ours[rows]) - macro(true[rows], theirs[rows]) for rows in drawn
    ]
    expected = np.quantile(differences, [0.025, 0.975])
    found = paired_macro_f1(true, ours, theirs)
    assert found == pytest.approx(expected, abs=0.01)
    assert found == paired_macro_f1(true, ours, theirs)
    # Most answers are the same: the pairs know more than two intervals do.
    apart = bootstrap(true, ours, "macro_f1")
    assert found.high - found.low < 0.75 * (apart.high - apart.low)


@pytest.mark.parametrize("rows", [80, 30_000])
def test_mean_interval_is_as_wide_as_its_standard_error_says(rows):
    differences = np.random.default_rng(3).exponential(1, rows) - 1.2
    low, high = mean_interval(differences)
    error = differences.std() / np.sqrt(rows)
    assert low == pytest.approx(differences.mean() - 1.96 * error, abs=0.3 * error)
    assert high == pytest.approx(differences.mean() + 1.96 * error, abs=0.3 * error)


def test_unknown_statistic_and_no_rows():
    true = np.array([0, 1])
    with pytest.raises(ValueError, match="median"):
        bootstrap(true, true, "median")
    with pytest.raises(ValueError, match="no rows"):
        bootstrap(true[:0], true[:0], "accuracy")
