"""Where to draw the line between two classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from lora_bert import mapped
from lora_bert.metrics.threshold import best_threshold


def rows(second):
    second = np.asarray(second, float)
    return np.stack([1 - second, second], 1)


def test_a_line_that_lies_elsewhere():
    # The second class is answered with no more than 0.4, the first with less than 0.2.
    found = best_threshold(["a", "b"], rows([0.1] * 50 + [0.3] * 50), np.repeat([0, 1], 50))
    assert found.label == "b"
    assert found.value == pytest.approx(0.2)
    assert found.macro_f1 == 1
    assert found.usual < 0.4


@settings(deadline=None)  # scikit-learn is slow when it starts
@given(seed=st.integers(0, 300), size=st.integers(4, 40), coarse=st.booleans())
def test_no_other_line_is_better(seed, size, coarse):
    rng = np.random.default_rng(seed)
    second = rng.random(size)
    second = np.round(second, 1) if coarse else second
    true = rng.permutation(np.arange(size) % 2)
    found = best_threshold(["a", "b"], rows(second), true)
    lines = [0, *np.unique(second), 1.1]
    best = max(f1_score(true, second >= line, average="macro") for line in lines)
    ours = f1_score(true, second >= found.value, average="macro")
    assert ours == pytest.approx(best)


def test_of_many_rows_the_same_line_is_found_piece_by_piece(monkeypatch):
    draw = np.random.default_rng(0)
    second = draw.random(500).round(2)
    true = (second + draw.normal(0, 0.3, 500) > 0.4).astype(np.int64)
    rows = np.stack([1 - second, second], axis=1), true
    whole = best_threshold(["no", "yes"], *rows)
    monkeypatch.setattr(mapped, "_PIECE", 7)
    assert best_threshold(["no", "yes"], *rows) == whole


def test_a_choice_is_judged_on_other_rows():
    # Pure noise: what is best here is worth nothing there.
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 60)
    second = rng.random(60)
    found = best_threshold(["a", "b"], rows(second), true)
    here = f1_score(true, second >= found.value, average="macro")
    assert found.macro_f1 < here


def test_only_for_two_classes_that_are_both_there():
    assert best_threshold(["a", "b", "c"], np.eye(3), np.arange(3)) is None
    assert best_threshold(["a", "b"], rows([0.1, 0.9]), np.array([1, 1])) is None
