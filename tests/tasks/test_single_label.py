"""Labels in order, class weights, the loss, predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from lora_bert.data.examples import Examples
from lora_bert.errors import ConfigError, DataError
from lora_bert.tasks.single_label import SingleLabel
from lora_bert.tokens.tokenized import TokenizedTexts


def rows_of(labels):
    lines = tuple(range(1, len(labels) + 1))
    return Examples(("a text",) * len(labels), tuple(labels), lines, "rows.csv")


def targets(task, rows):
    return task.targets(rows, TokenizedTexts.of([[0]] * len(rows), 0))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "9", "-1", "2"], ("-1", "2", "9", "10")),
        (["01", "1", "0"], ("0", "01", "1")),
        (["1.0", "10", "9"], ("1.0", "10", "9")),
        (["positive", "Negative", "negative"], ("Negative", "negative", "positive")),
        (["NA", "None", "null", "True"], ("NA", "None", "True", "null")),
        (["差评", "好评", "好评"], ("好评", "差评")),
        (["-", "1"], ("-", "1")),
        (["²", "1"], ("1", "²")),
    ],
)
def test_order_is_by_value_for_whole_numbers_else_by_spelling(labels, expected):
    assert SingleLabel.of(rows_of(labels)).labels == expected


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=20), st.randoms())
def test_order_does_not_depend_on_the_rows_order(labels, random):
    rows = rows_of(labels)
    task = SingleLabel.of(rows)
    shuffled = random.sample(labels, len(labels))
    assert SingleLabel.of(rows_of(shuffled)) == task
    assert set(task.labels) == set(labels)
    assert task.head().outputs == len(set(labels))
    assert [task.labels[at] for at in targets(task, rows)] == labels


def test_an_unknown_label_says_where_it_stands():
    task = SingleLabel(("negative", "positive"))
    labels = ("positive", "positiv")  # codespell:ignore
    rows = Examples(("a", "b"), labels, (3, 7), "test.csv")
    with pytest.raises(DataError, match=r"test\.csv.*7.*'positiv'") as caught:
        targets(task, rows)
    assert "Did you mean 'positive'?" in caught.value.hint
    assert "--label-names" in caught.value.hint


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_class_weights_are_scikit_learns(targets):
    classes = sorted(set(targets))
    numbered = [classes.index(target) for target in targets]
    expected = compute_class_weight(
        "balanced", classes=np.arange(len(classes)), y=np.asarray(numbered)
    )
    rows = rows_of([str(target) for target in numbered])
    task = SingleLabel.of(rows, class_weights="balanced")
    assert task.class_weights == pytest.approx(expected.tolist())
    assert task.weight(np.array(numbered)) == pytest.approx(len(numbered))
    assert SingleLabel.of(rows).weight(np.array(numbered)) == len(numbered)


def test_loss_is_summed_cross_entropy():
    scores = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    targets = torch.tensor([0, 0, 1])
    logs = torch.log_softmax(scores, -1)
    each = -logs[torch.arange(3), targets]
    plain, weighed = SingleLabel(("a", "b")), SingleLabel(("a", "b"), (3.0, 0.5))
    assert plain.loss(scores, targets) == pytest.approx(float(each.sum()))
    weights = torch.tensor(weighed.class_weights)
    assert weighed.loss(scores, targets) == pytest.approx(float((each * weights[targets]).sum()))
    assert plain.loss(scores.bfloat16(), targets).dtype == torch.float32


@pytest.mark.parametrize(
    ("fitted", "classes", "expected"),
    [
        (True, 2, [8, 6, 3, 3]), (True, 77, [8, 8, 5, 3]), (True, 150, [8, 8, 8, 3]),
        (False, 2, [20, 14, 4, 3]), (False, 77, [20, 20, 20, 5]),
    ],
)  # fmt: skip
def test_fewer_rows_and_more_classes_are_shown_more_often(fitted, classes, expected):
    task = SingleLabel(tuple(map(str, range(classes))))
    assert [task.epochs(rows, fitted=fitted) for rows in (20, 300, 1000, 10_000)] == expected


TWO_TO_ONE = np.array([0, 0, 1] * 40)


def test_the_loss_of_guessing():
    plain, weighed = SingleLabel(("a", "b")), SingleLabel(("a", "b"), (0.75, 1.5))
    assert plain.chance_loss(TWO_TO_ONE) == pytest.approx(np.log(3) - np.log(4) / 3)
    assert weighed.chance_loss(TWO_TO_ONE) == pytest.approx(np.log(2))
    assert SingleLabel(tuple("abcde")).chance_loss(np.arange(5)) == pytest.approx(np.log(5))
    assert SingleLabel(tuple("abc")).chance_loss(np.array([0, 2])) == pytest.approx(np.log(2))
    assert str(plain.chance_loss(np.array([0]))) == "0.0"


def test_predictions_carry_every_score_in_the_labels_order():
    task = SingleLabel(("no", "yes", "maybe"))
    found = task.decode(np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]))
    assert [answer.label for answer in found] == ["yes", "no"]
    assert [answer.score for answer in found] == [0.5, 0.4]
    assert list(found[0].scores) == ["no", "yes", "maybe"]
    assert sum(found[1].scores.values()) == pytest.approx(1)
    assert task.decode(np.empty((0, 3))) == []


def test_below_a_probability_the_answer_is_another():
    scores = np.array([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]], dtype=np.float32)
    task = SingleLabel(("no", "yes", "maybe"))
    found = task.answering(0.6, None).decode(scores)
    assert [answer.label for answer in found] == ["unknown", "no"]
    assert [answer.best for answer in found] == ["yes", "no"]
    assert [answer.score for answer in found] == pytest.approx([0.5, 0.7])
    assert list(found[0].scores) == ["no", "yes", "maybe"]
    # At the line itself the answer is given.
    assert task.answering(0.5, "?").decode(scores[:1])[0].label == "yes"
    assert task.answering(None, None) == task
    columns = task.answering(0.6, "?").columns(scores)
    assert list(columns) == ["prediction", "best", "score", "prob_no", "prob_yes", "prob_maybe"]
    assert (columns["prediction"], columns["best"]) == (["?", "no"], ["yes", "no"])
    assert "best" not in task.columns(scores)


@pytest.mark.parametrize(
    ("min_score", "otherwise", "says"),
    [
        (None, "?", "--otherwise needs --min-score"),
        (0.5, "yes", "--otherwise 'yes': the model has a label of this name"),
        (0.5, " ", "the answer is empty"),
        (1.5, None, "1.5 is not a probability"),
        (float("nan"), None, "nan is not a probability"),
        ("0.5", None, "'0.5' is not a probability"),
    ],
)
def test_refusals_that_make_no_sense(min_score, otherwise, says):
    with pytest.raises(ConfigError, match=says):
        SingleLabel(("no", "yes")).answering(min_score, otherwise)


def test_a_model_that_knows_the_usual_answer_needs_another():
    task = SingleLabel(("no", "unknown"))
    with pytest.raises(ConfigError, match="--otherwise 'unknown'") as caught:
        task.answering(0.5, None)
    assert caught.value.hint == "Name another answer with --otherwise."
    assert task.answering(0.5, "none").refusal == (0.5, "none")
