"""Figures of numbers: those of scipy, and intervals that hold them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lora_bert.errors import AdapterError, DataError
from lora_bert.metrics.regression import Errors, bootstrap_numbers, compare_numbers, score_numbers

NUMBERS = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=30)


@settings(max_examples=80, deadline=None)
@given(NUMBERS)
def test_they_are_scipys(pairs):
    predicted, true = np.array(pairs, dtype=float).T
    found = score_numbers(predicted, true)
    varies = len(set(predicted)) > 1 and len(set(true)) > 1
    expected = stats.spearmanr(predicted, true)[0] if varies else 0
    assert found.spearman == pytest.approx(expected, abs=1e-9)
    expected = stats.pearsonr(predicted, true)[0] if varies else 0
    assert found.pearson == pytest.approx(expected, abs=1e-9)
    assert found.rmse == pytest.approx(np.sqrt(np.mean((predicted - true) ** 2)))
    assert found.mae == pytest.approx(np.abs(predicted - true).mean())


def test_large_numbers_far_from_zero():
    true = 1e9 + np.arange(50.0)
    found = score_numbers(true + np.tile([0.0, 1.0], 25), true)
    assert found.pearson == pytest.approx(stats.pearsonr(np.arange(50), np.arange(50) + np.tile(
        [0.0, 1.0], 25))[0])  # fmt: skip
    assert found.mae == pytest.approx(0.5)


def test_intervals_hold_the_figures():
    chance = np.random.default_rng(0)
    true = chance.normal(size=400)
    predicted = true + chance.normal(size=400)
    scores = score_numbers(predicted, true)
    for name, (low, high) in bootstrap_numbers([predicted], true).items():
        assert low < getattr(scores, name) < high
    low, high = bootstrap_numbers([predicted], true)["pearson"]
    by_fisher = np.tanh(np.arctanh(scores.pearson) + np.array([-1.96, 1.96]) / np.sqrt(397))
    assert (low, high) == pytest.approx(by_fisher.tolist(), abs=0.02)


def test_the_better_of_two_is_told():
    chance = np.random.default_rng(0)
    true = chance.normal(size=300)
    ours, theirs = (true + chance.normal(size=300) * off for off in (0.2, 1.0))
    found = compare_numbers("other", ours, theirs, true, metric="mae")
    assert found.metric == "mae"
    assert {figure.verdict for figure in found.figures} == {"better"}
    assert found.only_ours > found.only_theirs
    same = compare_numbers("other", ours, ours, true, metric="spearman")
    assert (same.only_ours, same.only_theirs, same.p_value) == (0, 0, 1)


def test_how_far_answers_are_off():
    true = np.zeros(10)
    errors = Errors.of(np.arange(10.0), true)
    assert (errors.bias, errors.within) == (4.5, (4.5, pytest.approx(8.1)))
    assert [each.row for each in errors.residuals()[:2]] == [9, 8]
    assert errors.residuals()[0].error == 9


def test_rows_that_cannot_be_scored():
    with pytest.raises(DataError, match="no rows"):
        score_numbers(np.zeros(0), np.zeros(0))
    with pytest.raises(AdapterError, match="not numbers for 1 of 2 rows"):
        score_numbers(np.array([np.nan, 1]), np.zeros(2))
