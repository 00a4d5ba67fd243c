"""TF-IDF + LinearSVC: n-grams by script, the figure on real data, input it cannot use."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from lora_bert.data.examples import Examples
from lora_bert.errors import DataError
from lora_bert.evaluation.baseline import tfidf_baseline, unspaced_share
from lora_bert.tasks.single_label import SingleLabel

CHINESE = ["很好吃", "味道很好", "送得太慢", "太慢了凉了"]
ENGLISH = ["very tasty food", "tasty and warm", "far too slow", "slow and cold"]
LABELS = ["good", "good", "bad", "bad"]


def examples(texts, labels):
    lines = tuple(range(2, len(texts) + 2))
    return Examples(tuple(texts), tuple(labels), lines, "rows.csv")


def baseline_of(train, test, answers, metric="accuracy"):
    """The baseline of rows of one label, beside these answers."""
    task = SingleLabel(tuple(dict.fromkeys([*train.labels, *test.labels, *answers])))
    values = np.array([[label == answer for label in task.labels] for answer in answers], float)
    both = [(rows, task.targets(rows, None)) for rows in (train, test)]
    return tfidf_baseline(task, *both, values, metric=metric)


@pytest.mark.parametrize(
    ("texts", "grams"),
    [(CHINESE, "character 1–3-grams"), (ENGLISH, "word 1–2-grams")],
)
def test_learns_and_says_with_which_grams(texts, grams):
    baseline = baseline_of(examples(texts, LABELS), examples(texts, LABELS), LABELS)
    assert baseline.accuracy == baseline.macro_f1 == 1.0
    assert baseline.description == f"TF-IDF ({grams}) + LinearSVC"
    assert 0 < baseline.seconds < 60


@pytest.mark.parametrize("text", ["外卖很好吃", "とてもおいしい", "맛있어요", "อร่อยมาก", "𠮷野家"])
def test_scripts_without_spaces(text):
    assert unspaced_share([text]) == 1.0


@pytest.mark.parametrize("text", ["", "tasty 123", "вкусно", "νόστιμο", "!?。，😊"])
def test_scripts_with_spaces_and_no_letters(text):
    assert unspaced_share([text]) == 0.0


def test_share_is_of_letters_not_of_texts():
    assert unspaced_share(["好", "abc 123 !?"]) == 0.25


@given(st.lists(st.text()))
def test_share_is_a_share(texts):
    assert 0 <= unspaced_share(texts) <= 1


def test_label_never_seen_in_training_counts_as_wrong():
    baseline = baseline_of(
        examples(ENGLISH, LABELS), examples(["tasty food", "slow"], ["good", "new"]), ["good"] * 2
    )
    assert baseline.accuracy == 0.5
    assert baseline.interval.low == 0.0
    assert baseline.interval.high == 1.0
    assert baseline.macro_f1 == pytest.approx(1 / 3)


def test_one_class():
    with pytest.raises(DataError, match="at least two classes"):
        baseline_of(examples(ENGLISH, ["good"] * 4), examples(ENGLISH, LABELS), LABELS)


def test_no_test_rows():
    with pytest.raises(DataError, match="no rows"):
        baseline_of(examples(ENGLISH, LABELS), examples([], []), [])


def test_texts_without_words():
    with pytest.raises(DataError, match="no words"):
        baseline_of(examples(["!", "?", ".", ","], LABELS), examples(ENGLISH, LABELS), LABELS)


def test_its_answers_are_compared_row_by_row():
    texts, labels = ["tasty food", "slow", "very slow"], ["good", "bad", "bad"]
    found = baseline_of(
        examples(ENGLISH, LABELS), examples(texts, labels), ["good"] * 3, metric="macro_f1"
    )
    comparison = found.comparison
    assert (comparison.only_ours, comparison.only_theirs) == (0, 2)
    assert (comparison.metric, comparison.figures[0].name) == ("macro_f1", "macro_f1")
    assert comparison["macro_f1"].ours == pytest.approx(0.25)
    assert (found.accuracy, found.macro_f1) == (1, 1)
    assert "log_loss" not in found.as_dict()["comparison"]
    # A linear SVM has no probabilities to compare.
    found = baseline_of(
        examples(ENGLISH, LABELS), examples(texts, labels), labels, metric="log_loss"
    )
    assert found.comparison.metric == "accuracy"


def test_waimai(data_dir):
    with (data_dir / "waimai" / "waimai_10k.csv").open(encoding="utf-8", newline="") as stream:
        rows = [(row["review"], row["label"]) for row in csv.DictReader(stream)]
    train, test = train_test_split(rows, test_size=0.2, random_state=2023)
    texts, labels = zip(*test, strict=True)
    baseline = baseline_of(examples(*zip(*train, strict=True)), examples(texts, labels), labels)
    assert baseline.accuracy == pytest.approx(0.897, abs=0.003)
    assert baseline.interval.low < baseline.accuracy < baseline.interval.high
    assert "character" in baseline.description
