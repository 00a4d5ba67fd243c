"""Rows of no class: how well the probability of the answer tells them apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lora_bert.metrics.out_of_scope import out_of_scope


def two(scores):
    scores = np.asarray(scores, float)
    return np.stack([scores, 1 - scores], axis=1)


def test_a_worked_example():
    inside, true = two([0.9, 0.8, 0.7, 0.6]), np.array([0, 1, 0, 0])
    found = out_of_scope(["x"], two([0.75, 0.5]), inside, true, also_at=[0.8])
    # Of eight pairs the in-scope row is the surer one in 2 + 2 + 1 + 1.
    assert found.auroc == 6 / 8
    assert (found.labels, found.rows) == (("x",), 2)
    # 95 % of four rows are four rows, and of the others one is as sure as the least sure of them.
    assert found.fpr_at_95_tpr == 0.5
    lines = {line.min_score: line for line in found.lines}
    line = lines[0.8]
    assert (line.answered, line.accuracy, line.recall) == (0.5, 0.25, 1.0)
    assert line.right == pytest.approx(3 / 6)
    assert (lines[0.0].answered, lines[0.0].recall) == (1.0, 0.0)


@given(
    inside=st.lists(st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9]), min_size=1, max_size=30),
    outside=st.lists(st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9]), min_size=1, max_size=30),
)
def test_the_area_is_scikit_learns(inside, outside):
    found = out_of_scope(["x"], two(outside), two(inside), np.zeros(len(inside), int))
    is_inside = [1] * len(inside) + [0] * len(outside)
    assert found.auroc == pytest.approx(roc_auc_score(is_inside, inside + outside))
    low, high = found.auroc_interval
    assert 0 <= low <= found.auroc <= high <= 1


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth, covered = 0.75, 0
    for _ in range(200):
        # The largest of k uniforms exceeds another uniform with k / (k + 1): k = 3.
        inside, outside = 0.5 + rng.random((80, 3)).max(axis=1) / 2, 0.5 + rng.random(60) / 2
        low, high = out_of_scope(["x"], two(outside), two(inside), np.zeros(80, int)).auroc_interval
        covered += low <= truth <= high
    assert 0.9 <= covered / 200 <= 0.99
