"""Two classifiers on the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from lora_bert.metrics.comparison import compare

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


def test_each_metric_has_its_own_verdict():
    # 180 rows of one class, 20 of another: we find the rare one and lose some of the frequent one.
    true = np.repeat([0, 1], [180, 20])
    ours, theirs = true.copy(), np.zeros(200, dtype=int)
    ours[:45] = 1
    found = compare("other", ours, theirs, true, metric="macro_f1")
    assert (found["accuracy"].ours, found["accuracy"].theirs) == (0.775, 0.9)
    assert found["macro_f1"].difference == pytest.approx((270 / 315 + 40 / 85) / 2 - 360 / 380 / 2)
    assert found.verdict == "better in macro-F1, but worse in accuracy"
    assert (
        compare("other", ours, theirs, true).verdict == "worse in accuracy, but better in macro-F1"
    )
    assert [one.name for one in found.figures] == ["macro_f1", "accuracy"]
    # Three rows of the rare class more, for twelve of the frequent one.
    few = theirs.copy()
    few[:12], few[180:183] = 1, 1
    assert compare("other", few, theirs, true, metric="macro_f1").verdict == (
        "the rows cannot tell which has the better macro-F1; worse in accuracy"
    )
    none = compare("other", theirs, theirs, true, metric="macro_f1")
    assert none.verdict == "the rows cannot tell which has the better macro-F1"
    assert none["macro_f1"].interval == (0, 0)


def test_less_log_loss_is_better():
    rng = np.random.default_rng(0)
    answers_of, losses = np.zeros(300, dtype=int), rng.random(300)
    found = compare(
        "other", answers_of, answers_of, answers_of, metric="log_loss",
        losses=(losses, losses + rng.normal(0.2, 0.3, 300)),
    )  # fmt: skip
    assert (found.metric, found.verdict) == ("log_loss", "better in log loss")
    low, high = found["log_loss"].interval
    assert low < found["log_loss"].difference < high < 0
    assert found["log_loss"].difference == pytest.approx(-0.2, abs=0.06)
    without = compare("other", answers_of, answers_of, answers_of, metric="log_loss")
    assert without.metric == "accuracy"


def test_the_keys_of_old_are_about_the_accuracy():
    found = compare("other", answers(range(90)), answers(range(5, 85)), TRUE, metric="macro_f1",
                    settings={"rank": (4, 8)}).as_dict()  # fmt: skip
    assert found["accuracy"] == pytest.approx(0.8)
    assert found["difference"] == pytest.approx(0.1)
    assert 0.03 < found["interval"][0] < 0.1 < found["interval"][1] < 0.18
    assert found["macro_f1_difference"] == pytest.approx(180 / 190 / 2 - 160 / 180 / 2)
    assert len(found["macro_f1_interval"]) == 2
    assert found["settings"] == {"rank": [4, 8]}
