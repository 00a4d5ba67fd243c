"""Figures of sets of labels: those of scikit-learn, and intervals that hold them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score, hamming_loss, label_ranking_average_precision_score

from lora_bert.errors import AdapterError, DataError
from lora_bert.metrics.multilabel import bootstrap_labels, compare_labels, score_labels

LABELS = ("a", "b", "c")


def rows_of(draw, count):
    shape = (count, len(LABELS))
    true = draw(arrays(np.bool_, shape))
    scores = draw(arrays(np.float32, shape, elements=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])))
    return true, scores


@st.composite
def some_rows(draw):
    return rows_of(draw, draw(st.integers(1, 12)))


@settings(max_examples=60, deadline=None)
@given(some_rows())
def test_they_are_scikit_learns(rows):
    true, scores = rows
    answered = scores >= 0.5
    found = score_labels(LABELS, scores, answered, true)
    present = np.flatnonzero((true | answered).any(axis=0))
    each = [f1_score(true[:, at], answered[:, at], zero_division=0) for at in present]
    assert found.macro_f1 == pytest.approx(np.mean(each) if each else 0)
    assert found.micro_f1 == pytest.approx(
        f1_score(true, answered, average="micro", zero_division=0)
    )
    assert found.hamming_loss == pytest.approx(hamming_loss(true, answered))
    assert found.subset_accuracy == np.mean((true == answered).all(axis=1))
    assert found.lrap == pytest.approx(label_ranking_average_precision_score(true, scores))
    assert [entry.rows for entry in found.per_label] == true.sum(axis=0).tolist()


def test_intervals_hold_the_figures_and_narrow_with_rows():
    chance = np.random.default_rng(0)
    wide = {}
    for count in (60, 2000):
        true = chance.random((count, 3)) < [0.5, 0.3, 0.1]
        answered = true ^ (chance.random((count, 3)) < 0.1)
        scores = score_labels(LABELS, answered.astype(np.float32), answered, true)
        for name, (low, high) in bootstrap_labels([answered], true).items():
            assert low <= getattr(scores, name) <= high
            wide.setdefault(name, []).append(high - low)
    assert all(few > many for few, many in wide.values())


def test_the_better_of_two_is_told():
    chance = np.random.default_rng(1)
    true = chance.random((600, 3)) < 0.4
    ours, theirs = (true ^ (chance.random((600, 3)) < wrong) for wrong in (0.05, 0.3))
    found = compare_labels("other", (ours, theirs), true, metric="micro_f1")
    assert (found.metric, found.figures[0].verdict) == ("micro_f1", "better")
    assert found["hamming_loss"].verdict == "better"
    assert found.only_ours > found.only_theirs
    assert found.p_value < 0.001
    same = compare_labels("other", (ours, ours), true, metric="macro_f1")
    assert (same.figures[0].difference, same.p_value) == (0, 1)
    assert same.verdict.startswith("the rows cannot tell")


def test_probabilities_bring_the_figures_that_need_them():
    true = np.array([[1, 0, 0], [0, 1, 1]], dtype=bool)
    sure, unsure = true * 0.8 + 0.1, np.full(true.shape, 0.5)
    found = compare_labels(
        "other", (sure >= 0.5, unsure >= 0.5), true, metric="lrap", probabilities=(sure, unsure)
    )
    assert found.metric == "lrap"
    assert (found["lrap"].ours, found["log_loss"].ours) == (1, pytest.approx(-np.log(0.9)))


def test_rows_that_cannot_be_scored():
    with pytest.raises(DataError, match="no rows"):
        score_labels(LABELS, np.zeros((0, 3)), np.zeros((0, 3), bool), np.zeros((0, 3), bool))
    bad = np.full((2, 3), np.nan)
    with pytest.raises(AdapterError, match="not numbers for 2 of 2 rows"):
        score_labels(LABELS, bad, bad > 0, bad > 0)
