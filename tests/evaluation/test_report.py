"""The tables: what they say, how they are aligned, that they keep to the width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.evaluation import (
    Baseline,
    Interval,
    confusion_table,
    judge,
    per_class_table,
    percent,
    score,
)
from lora_bert.evaluation.display import cells


def scores_of(labels, confusion):
    """Scores with the given confusion matrix."""
    pairs = [pair for pair, count in np.ndenumerate(np.array(confusion)) for _ in range(count)]
    true, predicted = np.array(pairs).T
    return score(labels, np.eye(len(labels))[predicted], true)


def test_percent():
    assert percent(0.9034, Interval(0.8911, 0.9149)) == "90.3 % (95 % interval 89.1–91.5)"
    assert percent(0.5) == "50.0 %"
    assert percent(1.0, Interval(1.0, 1.0)) == "100.0 %"


def test_per_class_table():
    scores = scores_of(
        ["差评", "good", "never", "missed"], [[8, 2, 0, 0], [1, 9, 0, 0], [0] * 4, [1, 0, 0, 0]]
    )
    assert per_class_table(scores).splitlines() == [
        "class   precision  recall    F1  rows  predicted",
        "差评         80.0    80.0  80.0    10         10",
        "good         81.8    90.0  85.7    10         11",
        "never           –       –     –     0          0",
        "missed          –     0.0   0.0     1          0",
    ]


def test_small_matrix_names_its_columns():
    scores = scores_of(["差评", "good\n"], [[1000, 2], [1, 9]])
    assert confusion_table(scores).splitlines() == [
        "confusion (line: true class, column: predicted class)",
        "         差评  good\\n",
        "差评    1,000       2",
        "good\\n      1       9",
    ]


def test_matrix_numbers_its_columns_where_names_are_too_long():
    labels = [f"a very long label name {index}" for index in range(6)]
    lines = confusion_table(scores_of(labels, np.eye(6, dtype=int) * 3)).splitlines()
    assert lines[1].split() == ["1", "2", "3", "4", "5", "6"]
    assert lines[2].startswith("1 a very long label name 0  ")
    assert lines[7].split()[-6:] == ["0", "0", "0", "0", "0", "3"]


def test_many_classes_are_listed_by_frequency():
    confusion = np.eye(30, dtype=int) * 5
    confusion[3, 4], confusion[7, 1], confusion[0, 2] = 2, 15, 1
    lines = confusion_table(scores_of([f"c{index}" for index in range(30)], confusion)).splitlines()
    assert lines[0] == "confusions (18 rows), 3 of 3 pairs"
    assert [line.split() for line in lines[2:]] == [
        ["c7", "c1", "15", "75.0"],
        ["c3", "c4", "2", "28.6"],
        ["c0", "c2", "1", "16.7"],
    ]


def test_a_long_list_of_confusions_is_cut_and_says_so():
    confusion = np.ones((25, 25), dtype=int)
    lines = confusion_table(scores_of([f"c{index}" for index in range(25)], confusion)).splitlines()
    assert lines[0] == "confusions (600 rows), 15 of 600 pairs"
    assert len(lines) == 2 + 15


def test_no_confusion_at_all():
    scores = scores_of([f"c{index}" for index in range(25)], np.eye(25, dtype=int))
    assert confusion_table(scores) == "confusions: none, every row was predicted right"


def test_summary_with_baseline():
    baseline = Baseline(
        0.85, 0.8, Interval(0.83, 0.87), 1.23, "TF-IDF (word 1–2-grams) + LinearSVC"
    )
    probabilities = np.array([[0.9, 0.1]] * 9 + [[0.4, 0.6]])
    lines = judge(["a", "b"], probabilities, np.zeros(10, dtype=int), baseline=baseline).summary()
    before, after = lines.split("\n\n")
    assert before.startswith("accuracy     90.0 % (95 % interval ")
    assert before.endswith("rows         10")
    assert after.splitlines() == [
        "baseline     TF-IDF (word 1–2-grams) + LinearSVC, 1.2 s",
        "accuracy     85.0 % (95 % interval 83.0–87.0)",
        "macro-F1     80.0 %",
        "difference   +5.0 points of accuracy over the baseline",
    ]


LABEL = st.text(min_size=1, max_size=60) | st.text("好差评口味服务", min_size=1, max_size=60)


@given(
    labels=st.lists(LABEL, min_size=2, max_size=24, unique=True),
    rows=st.sampled_from([5, 500, 2_000_000]),
    width=st.integers(60, 160),
)
def test_nothing_is_wider_than_asked(labels, rows, width):
    rng = np.random.default_rng(0)
    size = min(rows, 500)
    true = rng.integers(0, len(labels), size)
    probabilities = rng.dirichlet(np.ones(len(labels)), size)
    result = judge(labels, probabilities, true)
    object.__setattr__(result.scores, "confusion", result.scores.confusion * (rows // size))
    for line in result.text(width).splitlines():
        assert cells(line) <= width


@pytest.mark.parametrize("width", [1, 59])
def test_a_width_too_small_counts_as_the_smallest(width):
    scores = scores_of(["x" * 90, "y"], [[1, 2], [1, 9]])
    assert per_class_table(scores, width=width) == per_class_table(scores, width=60)
    assert confusion_table(scores, width=width) == confusion_table(scores, width=60)
