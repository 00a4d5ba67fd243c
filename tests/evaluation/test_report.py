"""The tables: what they say, how they are aligned, that they keep to the width."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.evaluation.baseline import Baseline
from lora_bert.evaluation.display import cells
from lora_bert.evaluation.report import (
    classes_table,
    confusion_table,
    percent,
    score_words,
)
from lora_bert.evaluation.result import judge
from lora_bert.metrics.classification import score
from lora_bert.metrics.comparison import compare
from lora_bert.metrics.intervals import Interval
from lora_bert.tasks.single_label import SingleLabel


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
    assert classes_table(scores).splitlines() == [
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


def rows_of(counts):
    """True classes, ours and theirs, of {(true, ours, theirs): rows}."""
    triples = [triple for triple, rows in counts.items() for _ in range(rows)]
    return [np.array(column) for column in zip(*triples, strict=True)]


def test_summary_with_baseline_and_another_in_the_metric_it_is_steered_by():
    # 80 rows of a, 20 of b: ours finds b at the price of some a, the others never answer b.
    true, ours, theirs = rows_of({(0, 0, 0): 55, (0, 1, 0): 25, (1, 1, 0): 18, (1, 0, 0): 2})
    figures = compare("TF-IDF + linear SVM", ours, theirs, true, metric="macro_f1")
    description = "TF-IDF (word 1–2-grams) + LinearSVC"
    baseline = Baseline(figures, Interval(0.7, 0.9), 1.23, description)
    against = compare(
        "runs/old", ours, theirs, true, metric="macro_f1",
        settings={"rank": (8, 16), "class_weights": ("balanced", "none"), "clean": (True, False)},
    )  # fmt: skip
    found = judge(SingleLabel(("a", "b")), np.eye(2)[ours], true, metric="macro_f1",
                  baseline=baseline,
                  against=against)  # fmt: skip
    before, other, settings, after = found.summary(200).split("\n\n")
    assert before.startswith("macro-F1     68.7 % (95 % interval ")
    assert before.splitlines()[1].startswith("accuracy     73.0 %")
    assert other.splitlines()[:2] == [
        "against      runs/old",
        "verdict      better in macro-F1",
    ]
    assert settings.splitlines() == [
        "what differs   this one  the other",
        "class_weights  balanced  none",
        "clean          yes       no",
        "rank           8         16",
    ]
    name, verdict, macro_f1, accuracy, rows = after.splitlines()
    assert name == "baseline     TF-IDF (word 1–2-grams) + LinearSVC, 1.2 s"
    assert verdict == "verdict      better in macro-F1"
    assert macro_f1.startswith("macro-F1     68.7 %, the other 44.4 %: +24.3 points (95 % interval")
    assert accuracy.startswith("accuracy     73.0 %, the other 80.0 %: -7.0 points (95 % interval")
    assert rows == ("rows         18 only this one has right, 25 only the other; McNemar p = 0.36")


def test_of_many_classes_the_worst_are_shown_and_where_all_are():
    confusion = np.eye(25, dtype=int) * 4
    confusion[3, 4], confusion[9, 4], confusion[24, 24] = 4, 1, 0
    lines = classes_table(scores_of([f"c{index}" for index in range(25)], confusion)).splitlines()
    assert lines[0] == (
        "classes: the 15 with the lowest F1 of 25; --output and --json have all of them"
    )
    # A class without rows and predictions has no F1.
    assert [line.split()[0] for line in lines[2:]][:4] == ["c4", "c3", "c9", "c0"]
    assert len(lines) == 2 + 15
    few = scores_of([f"c{index}" for index in range(20)], np.eye(20, dtype=int))
    assert len(classes_table(few).splitlines()) == 1 + 20


def test_lines_that_reach_an_accuracy_in_words():
    # The surer a row, the oftener it is right: 0.5 to 1, right with that probability.
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 2000)
    true = (rng.random(2000) > sure).astype(int)
    probabilities = np.stack([sure, 1 - sure], axis=1)
    text = " ".join(
        judge(SingleLabel(("a", "b")), probabilities, true, target_accuracy=0.9).summary().split()
    )
    assert re.search(r"target from --min-score 0\.\d+ on, 90\.\d % of the answered rows are", text)
    assert "chosen on half the rows, such a line has " in text
    text = judge(
        SingleLabel(("a", "b")), probabilities[:, ::-1], true, target_accuracy=0.999
    ).summary(200)
    assert "no --min-score makes 99.9 % of the answered rows right here" in text


def test_rows_out_of_scope_in_words():
    probabilities, true = np.array([[0.9, 0.1], [0.3, 0.7]] * 50), np.array([0, 1] * 50)
    outside = np.array([[0.6, 0.4]] * 3 + [[0.95, 0.05]])
    found = judge(SingleLabel(("a", "b")), probabilities, true, outside=(["none"], outside))
    text = " ".join(found.summary().split())
    assert "out of scope 4 rows, not in the figures above; AUROC 0.750" in text
    assert "where 95 % of the rows in scope are answered, 25.0 % of those out of scope are" in text
    table = found.text().split("\n\n")[-3].splitlines()
    assert table[-1].split() == ["0.9", "50.0", "50.0", "75.0", "51.0"]


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
    ours, theirs, few = rng.integers(0, len(labels), (3, 9))
    against = compare("a/rather/long/name" * 9, ours, theirs, few,
                      settings={label: (label, "x" * 99) for label in labels})  # fmt: skip
    result = judge(SingleLabel(tuple(labels)), probabilities, true, against=against,
                   target_accuracy=0.5,
                   outside=(labels, probabilities))  # fmt: skip
    object.__setattr__(result.scores, "confusion", result.scores.confusion * (rows // size))
    for line in result.text(width).splitlines():
        assert cells(line) <= width


@pytest.mark.parametrize("width", [1, 59])
def test_a_width_too_small_counts_as_the_smallest(width):
    scores = scores_of(["x" * 90, "y"], [[1, 2], [1, 9]])
    assert classes_table(scores, width=width) == classes_table(scores, width=60)
    assert confusion_table(scores, width=width) == confusion_table(scores, width=60)


@pytest.mark.parametrize(
    ("metric", "pattern"),
    [
        ("accuracy", r"accuracy [\d.]+ % \(95 % interval .*\), macro-F1 [\d.]+ %"),
        ("macro_f1", r"macro-F1 [\d.]+ % \(95 % interval .*\), accuracy [\d.]+ %"),
        ("log_loss", r"log loss [\d.]+, accuracy [\d.]+ % \(95 % interval .*\), macro-F1 [\d.]+ %"),
    ],
)  # fmt: skip
def test_one_line_of_scores_begins_with_the_metric(metric, pattern):
    found = judge(
        SingleLabel(("a", "b")),
        np.eye(2)[[0, 1, 0, 1] * 9],
        np.array([0, 1, 1] * 12),
        metric=metric,
    )
    assert re.fullmatch(pattern, score_words(found, metric))
