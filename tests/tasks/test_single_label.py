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
from lora_bert.tasks.single_label import LabelCodec, Refusal, balanced_weights, decode, loss


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
    assert LabelCodec.of(labels).labels == expected


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=20), st.randoms())
def test_order_does_not_depend_on_the_rows_order(labels, random):
    codec = LabelCodec.of(labels)
    shuffled = random.sample(labels, len(labels))
    assert LabelCodec.of(shuffled) == codec
    assert set(codec.labels) == set(labels)
    assert len(codec) == len(set(labels))
    lines = tuple(range(1, len(labels) + 1))
    rows = Examples(("a text",) * len(labels), tuple(labels), lines, "rows.csv")
    assert [codec.labels[at] for at in codec.encode(rows)] == labels


def test_an_unknown_label_says_where_it_stands():
    codec = LabelCodec.of(["positive", "negative"])
    labels = ("positive", "positiv")  # codespell:ignore
    rows = Examples(("a", "b"), labels, (3, 7), "test.csv")
    with pytest.raises(DataError, match=r"test\.csv.*7.*'positiv'") as caught:
        codec.encode(rows)
    assert "Did you mean 'positive'?" in caught.value.hint
    assert "--label-names" in caught.value.hint


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_class_weights_are_scikit_learns(targets):
    classes = sorted(set(targets))
    numbered = [classes.index(target) for target in targets]
    expected = compute_class_weight(
        "balanced", classes=np.arange(len(classes)), y=np.asarray(numbered)
    )
    assert balanced_weights(numbered, len(classes)) == pytest.approx(expected.tolist())


def test_a_class_without_rows_weighs_nothing():
    assert balanced_weights([0, 0, 2], 3) == (0.5, 0.0, 1.0)


def test_loss_is_summed_cross_entropy():
    scores = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    targets = torch.tensor([0, 0, 1])
    logs = torch.log_softmax(scores, -1)
    each = -logs[torch.arange(3), targets]
    assert loss(scores, targets, None) == pytest.approx(float(each.sum()))
    weights = torch.tensor([3.0, 0.5])
    assert loss(scores, targets, weights) == pytest.approx(float((each * weights[targets]).sum()))
    assert loss(scores.bfloat16(), targets, None).dtype == torch.float32


def test_predictions_carry_every_score_in_the_labels_order():
    found = decode(["no", "yes", "maybe"], np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]))
    assert [answer.label for answer in found] == ["yes", "no"]
    assert [answer.score for answer in found] == [0.5, 0.4]
    assert list(found[0].scores) == ["no", "yes", "maybe"]
    assert sum(found[1].scores.values()) == pytest.approx(1)
    assert decode(["no", "yes"], np.empty((0, 2))) == []


def test_below_a_probability_the_answer_is_another():
    scores = np.array([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]], dtype=np.float32)
    labels = ["no", "yes", "maybe"]
    refusal = Refusal.asked(0.6, None, labels)
    found = decode(labels, scores, refusal)
    assert [answer.label for answer in found] == ["unknown", "no"]
    assert [answer.best for answer in found] == ["yes", "no"]
    assert [answer.score for answer in found] == pytest.approx([0.5, 0.7])
    assert list(found[0].scores) == labels
    # At the line itself the answer is given.
    assert decode(labels, scores[:1], Refusal.asked(0.5, "?", labels))[0].label == "yes"
    assert Refusal.asked(None, None, labels) is None


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
        Refusal.asked(min_score, otherwise, ["no", "yes"])


def test_a_model_that_knows_the_usual_answer_needs_another():
    with pytest.raises(ConfigError, match="--otherwise 'unknown'") as caught:
        Refusal.asked(0.5, None, ["no", "unknown"])
    assert caught.value.hint == "Name another answer with --otherwise."
    assert Refusal.asked(0.5, "none", ["no", "unknown"]) == Refusal(0.5, "none")
