"""Thresholds per label: the best of all, and what they say of labels that no row has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from lora_bert.metrics.label_thresholds import best_thresholds, curves, tuned


@st.composite
def some_rows(draw):
    shape = (draw(st.integers(1, 20)), 2)
    scores = draw(arrays(np.float32, shape, elements=st.floats(0, 1, width=16)))
    return draw(arrays(np.bool_, shape)), scores


@settings(max_examples=60, deadline=None)
@given(some_rows())
def test_no_other_threshold_has_a_higher_f1(rows):
    true, scores = rows
    lines = best_thresholds(scores, true)
    for label, line in enumerate(lines):
        own, has = scores[:, label], true[:, label]
        assert 0 <= line <= 1
        if has.any():
            best = max(f1_score(has, own >= each, zero_division=0) for each in own)
            # Probabilities closer than a millionth are not told apart.
            near = f1_score(has, own >= np.float32(line), zero_division=0)
            assert near == pytest.approx(best) or np.diff(np.unique(own)).min() < 1e-5


def test_a_label_that_no_row_has_gets_what_is_best_for_the_others():
    scores = np.array([[0.3, 0.3, 0.9], [0.3, 0.1, 0.9], [0.1, 0.3, 0.9], [0.1, 0.1, 0.9]])
    true = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    lines = best_thresholds(scores, true)
    assert lines[:2] == (pytest.approx(0.2),) * 2
    assert 0.1 < lines[2] <= 0.3
    assert best_thresholds(scores[3:], true[3:]) == (0.5,) * 3


def test_what_they_are_worth_is_said_of_rows_they_were_not_chosen_on():
    chance = np.random.default_rng(0)
    noise = chance.random((40, 8)), chance.random((40, 8)) < 0.3
    found = tuned(*noise)
    assert found.expected < found.chosen
    assert found.usual <= found.chosen
    true = chance.random((400, 2)) < 0.4
    clear = np.where(true, 0.3, 0.2)
    assert tuned(clear, true).expected == tuned(clear, true).chosen == 1
    assert tuned(clear, true).usual == 0


def test_curves_fall_and_rise():
    scores = np.array([[0.2], [0.4], [0.6], [0.8]])
    true = np.array([[0], [1], [0], [1]], dtype=bool)
    (curve,) = curves(["a"], [0.3], scores, true)
    assert (curve.at[0], curve.at[-1]) == (0, 1)
    assert (curve.recall[0], curve.precision[0]) == (1, 0.5)
    assert list(curve.recall) == sorted(curve.recall, reverse=True)
    assert max(curve.f1) == pytest.approx(0.8)
