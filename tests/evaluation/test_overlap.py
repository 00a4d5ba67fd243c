"""Rows that were seen in training."""

from __future__ import annotations

import numpy as np
import pytest

from lora_bert.evaluation.overlap import overlap
from lora_bert.evaluation.result import judge
from lora_bert.tasks.single_label import SingleLabel


def test_seen_rows_are_scored_apart():
    texts = ["Good  food", "bad", "new", "newer"]
    right = np.array([True, True, False, True])
    found = overlap(texts, ["good food\n", "BAD", "never asked"], right)
    assert (found.rows, found.accuracy) == (2, 1.0)
    assert (found.unseen_rows, found.unseen_accuracy) == (2, 0.5)
    assert found.unseen_interval == pytest.approx((0, 1))


def test_all_or_nothing():
    right = np.array([True])
    found = overlap(["a"], ["a"], right)
    assert (found.rows, found.unseen_rows, found.unseen_accuracy) == (1, 0, None)
    assert found.unseen_interval is None
    found = overlap(["a"], ["b"], right)
    assert (found.rows, found.accuracy, found.unseen_accuracy) == (0, None, 1.0)


def test_answers_that_are_not_right_or_wrong_are_only_counted():
    found = overlap(["a", "b"], ["a"], None)
    assert (found.rows, found.unseen_rows) == (1, 1)
    assert (found.accuracy, found.unseen_accuracy, found.unseen_interval) == (None, None, None)


def test_a_text_in_several_rows_is_one_text():
    """More scored rows can be known than there are training rows: it must not read so."""
    texts = ["good", "Good", "good ", "new"]
    found = overlap(texts, ["good"], np.ones(4, bool))
    assert (found.rows, found.texts, found.unseen_rows) == (3, 1, 1)
    lines = judge(
        SingleLabel(("a", "b")), np.eye(2)[[0] * 4], np.zeros(4, int), overlap=found
    ).summary()
    assert "3 of 4 texts (1 different) stand in the training rows too" in lines
