"""Rows that were seen in training."""

from __future__ import annotations

import numpy as np
import pytest

from lora_bert.evaluation import judge
from lora_bert.evaluation.overlap import overlap


def test_seen_rows_are_scored_apart():
    texts = ["Good  food", "bad", "new", "newer"]
    true, predicted = np.array([1, 0, 1, 1]), np.array([1, 0, 0, 1])
    found = overlap(texts, ["good food\n", "BAD", "never asked"], predicted, true)
    assert (found.rows, found.accuracy) == (2, 1.0)
    assert (found.unseen_rows, found.unseen_accuracy) == (2, 0.5)
    assert found.unseen_interval == pytest.approx((0, 1))


def test_all_or_nothing():
    one = np.array([0])
    found = overlap(["a"], ["a"], one, one)
    assert (found.rows, found.unseen_rows, found.unseen_accuracy) == (1, 0, None)
    assert found.unseen_interval is None
    found = overlap(["a"], ["b"], one, one)
    assert (found.rows, found.accuracy, found.unseen_accuracy) == (0, None, 1.0)


def test_a_text_in_several_rows_is_one_text():
    """More scored rows can be known than there are training rows: it must not read so."""
    texts = ["good", "Good", "good ", "new"]
    found = overlap(texts, ["good"], np.zeros(4, int), np.zeros(4, int))
    assert (found.rows, found.texts, found.unseen_rows) == (3, 1, 1)
    lines = judge(["a", "b"], np.eye(2)[[0] * 4], np.zeros(4, int), overlap=found).summary()
    assert "3 of 4 texts (1 different) stand in the training rows too" in lines
