"""Two classifiers on the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from lora_bert.evaluation.comparison import compare

TRUE = np.zeros(100, dtype=int)


def answers(right):
    """``right`` is the list of rows that are answered right."""
    found = np.ones(100, dtype=int)
    found[list(right)] = 0
    return found


def test_counts_difference_and_mcnemars_test():
    found = compare("other", answers(range(90)), answers(range(5, 85)), TRUE)
    assert (found.only_ours, found.only_theirs) == (10, 0)
    assert found.difference == pytest.approx(0.1)
    assert found.accuracy == pytest.approx(0.8)
    # Ten times the same side of a fair coin, either side.
    assert found.p_value == pytest.approx(2 / 2**10)
    assert 0.03 < found.interval.low < 0.1 < found.interval.high < 0.18


def test_rows_that_both_have_wrong_or_right_say_nothing():
    found = compare("itself", answers(range(50)), answers(range(50)), TRUE)
    assert (found.difference, found.p_value) == (0, 1)
    assert found.interval == (0, 0)
    found = compare("other", answers([1, 2]), answers([2, 3]), TRUE)
    assert (found.only_ours, found.only_theirs, found.p_value) == (1, 1, 1)


def test_pairs_are_tighter_than_two_intervals():
    # Both are right on about half the rows, but on the same ones.
    found = compare("other", answers(range(52)), answers(range(50)), TRUE)
    assert found.interval.high - found.interval.low < 0.08
