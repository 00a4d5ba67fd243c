"""Whether probabilities mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.metrics.calibration import BINS, calibration, calibration_of


def answered(confidences, right):
    """Two-class probabilities of class 0, and truths that make ``right`` of them right."""
    confidences = np.asarray(confidences, float)
    return np.stack([confidences, 1 - confidences], 1), np.where(right, 0, 1)


def test_a_worked_example():
    # Four rows at 0.9, three of them right; two at 0.6, both right.
    probabilities, true = answered([0.9] * 4 + [0.6] * 2, [1, 1, 1, 0, 1, 1])
    found = calibration(probabilities, true)
    assert found.error == pytest.approx((4 * 0.15 + 2 * 0.4) / 6)
    full = {bin.rows: bin for bin in found.bins if bin.rows}
    assert (full[4].confidence, full[4].accuracy) == pytest.approx((0.9, 0.75))
    assert (full[2].confidence, full[2].accuracy) == pytest.approx((0.6, 1.0))
    assert full[4].low <= 0.9 <= full[4].high


def test_exact_probabilities_show_what_chance_shows():
    rng = np.random.default_rng(1)
    confidences = rng.uniform(0.5, 1, 4000)
    exact = calibration(*answered(confidences, rng.random(4000) < confidences))
    assert exact.error < 2 * exact.by_chance < 0.06
    boasting = calibration(*answered(confidences, rng.random(4000) < confidences - 0.2))
    assert boasting.error == pytest.approx(0.2, abs=0.03)


def test_certainty_that_is_right_is_no_error():
    found = calibration(*answered([1.0, 1.0], [1, 1]))
    assert (found.error, found.by_chance) == (0, 0)
    assert found.bins[-1].rows == 2


def test_it_says_in_which_direction():
    rng = np.random.default_rng(1)
    confidences, luck = rng.uniform(0.6, 0.8, 4000), rng.random(4000)
    boasting = calibration(*answered(confidences, luck < confidences - 0.15))
    assert boasting.overconfidence == pytest.approx(0.15, abs=0.02)
    points = f"{100 * boasting.overconfidence:.1f}"
    assert boasting.verdict == f"too sure by {points} points on average"
    shy = calibration(*answered(confidences, luck < confidences + 0.15))
    assert shy.overconfidence < -0.1
    assert shy.verdict.startswith("too shy by 1")
    # Too shy of the upper half by as much as too sure of the lower one.
    both = calibration(*answered(confidences, luck < 3 * confidences - 1.4))
    assert both.verdict == "too sure of some answers, too shy of others"
    few = calibration(*answered(confidences[:40], luck[:40] < confidences[:40]))
    assert few.verdict == "as exact as 40 rows can tell"
    labels = calibration_of(confidences[:40], luck[:40] < confidences[:40], unit="labels of rows")
    assert labels.verdict == "as exact as 40 labels of rows can tell"


def test_exact_probabilities_are_called_so_as_often_as_was_meant():
    rng = np.random.default_rng(2)
    said = [
        calibration(*answered(sure, rng.random(300) < sure), seed=seed).verdict
        for seed, sure in enumerate(rng.uniform(0.5, 1, (100, 300)))
    ]
    assert 0.88 <= np.mean([words.startswith("as exact") for words in said]) <= 1


@given(rows=st.integers(1, 60), classes=st.integers(2, 9), seed=st.integers(0, 99))
def test_bins_hold_every_row_once(rows, classes, seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), rows).astype(np.float32)
    true = rng.integers(0, classes, rows)
    found = calibration(probabilities, true)
    assert len(found.bins) == BINS
    assert sum(bin.rows for bin in found.bins) == rows
    right = sum(bin.rows * bin.accuracy for bin in found.bins)
    assert right == pytest.approx((probabilities.argmax(1) == true).sum())
    assert 0 <= found.error <= 1
    assert found == calibration(probabilities, true)
