"""Answering only where the classifier is sure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.metrics.coverage import coverage, reach


def answered(scores, right):
    """Three-class probabilities whose answers have ``scores``; truths that make ``right`` right."""
    scores = np.asarray(scores, float)
    rest = (1 - scores) / 2
    return np.stack([scores, rest, rest], 1), np.where(right, 0, 1)


def test_a_worked_example():
    scores = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]
    lines = coverage(*answered(scores, [1, 1, 1, 1, 0, 1, 0, 1, 0, 0]))
    assert [(line.rows, line.coverage) for line in lines] == [
        (10, 1.0), (9, 0.9), (8, 0.8), (7, 0.7), (5, 0.5),
    ]  # fmt: skip
    assert [line.accuracy for line in lines] == pytest.approx([0.6, 6 / 9, 6 / 8, 5 / 7, 4 / 5])
    assert [line.min_score for line in lines] == [0.0, 0.55, 0.6, 0.65, 0.75]


def test_equal_probabilities_are_answered_together():
    lines = coverage(*answered([0.9] * 3 + [0.6] * 7, [1] * 10))
    assert [(line.rows, line.min_score) for line in lines] == [(10, 0.0)]
    lines = coverage(*answered([0.9] * 6 + [0.6] * 4, [1] * 10))
    assert [line.rows for line in lines] == [10, 6]


@given(
    scores=st.lists(st.floats(0.375, 1, width=32), min_size=1, max_size=40),
    seed=st.integers(0, 99),
)
def test_every_line_is_what_min_score_does(scores, seed):
    probabilities, true = answered(scores, np.random.default_rng(seed).random(len(scores)) < 0.7)
    best, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    lines = coverage(probabilities, true)
    assert lines[0].rows == len(scores)
    target = reach(probabilities, true, 0.8)
    for line in [*lines, *filter(None, [target.reached])]:
        kept = best >= line.min_score
        assert line.rows == kept.sum()
        assert line.accuracy == pytest.approx(right[kept].mean())
    # No lower line reaches it.
    reached = [at for at in np.unique(best) if right[best >= at].mean() >= 0.8]
    assert (target.reached is None) == (not reached)
    if target.reached:
        assert target.reached.rows == (best >= reached[0]).sum()
    assert lines[-1].coverage >= 0.5


def test_what_a_choice_is_worth_is_measured_on_rows_it_was_not_made_on():
    """Where probabilities say nothing, a line that looks good here is none elsewhere."""
    rng = np.random.default_rng(1)
    reached, expected = [], []
    for seed in range(40):
        scores, right = rng.uniform(0.4, 1, 60), rng.random(60) < 0.6
        found = reach(*answered(scores, right), 0.75, seed=seed)
        if found.expected and found.reached and found.expected.accuracy is not None:
            reached.append(found.reached.accuracy)
            expected.append(found.expected.accuracy)
    assert len(expected) > 10
    assert min(reached) >= 0.75
    assert np.mean(expected) < 0.7
    # Where they mean what they say, the choice keeps its word.
    scores = rng.uniform(0.4, 1, 4000)
    found = reach(*answered(scores, rng.random(4000) < scores), 0.8)
    assert found.expected.accuracy == pytest.approx(0.8, abs=0.02)
    assert found.expected.coverage == pytest.approx(found.reached.coverage, abs=0.05)


def test_what_no_line_reaches():
    found = reach(*answered([0.9, 0.8, 0.7, 0.6], [0, 1, 0, 1]), 0.9)
    assert (found.reached, found.expected) == (None, None)
    assert reach(*answered([0.9], [1]), 0.9).expected is None
    assert reach(*answered([0.9], [1]), 0.9).reached.coverage == 1
