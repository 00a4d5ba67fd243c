"""What a training says at its end: of nothing learned, of one answer, of epochs that may pay."""

from __future__ import annotations

import numpy as np
import pytest

from lora_bert.config import TrainConfig
from lora_bert.evaluation.result import judge
from lora_bert.tasks.single_label import SingleLabel
from lora_bert.training.advice import advise
from lora_bert.training.progress import Progress
from lora_bert.training.trainer import Fit

TWO_TO_ONE = np.array([0, 0, 1] * 40)
GUESS = 0.6365
"""ln 3 - ln 4 / 3: the entropy of two thirds and one."""


def judged(predicted, true):
    """The scores of answers that are all sure."""
    return judge(
        SingleLabel(("a", "b")), np.eye(2)[np.asarray(predicted)] * 0.98 + 0.01, np.asarray(true)
    )


MIXED = judged([0, 1] * 60, TWO_TO_ONE)
ALIKE = judged([0] * 120, TWO_TO_ONE)


def said(caplog, train, validation, *, scores=MIXED, metrics=None, targets=TWO_TO_ONE, **options):
    """What is said of epochs with these losses."""
    caplog.set_level("INFO")
    caplog.clear()
    metrics = metrics or [0.5] * len(train)
    history = [
        {"train_loss": loss, "validation_loss": other, "accuracy": metric, "macro_f1": metric,
         "log_loss": metric}
        for loss, other, metric in zip(train, validation, metrics, strict=True)
    ]  # fmt: skip
    fitted = Fit(Progress(history=history, best_epoch=1))
    config = TrainConfig(**{"epochs": len(history)} | options)
    counts = np.bincount(targets)
    weights = tuple(len(targets) / (len(counts) * counts))
    task = SingleLabel(("a", "b"), weights if config.class_weights == "balanced" else None)
    advise(config, fitted, task, targets, scores)
    return caplog.text


# The losses are those of takeaway reviews, two classes, 1,200 rows, three epochs.
@pytest.mark.parametrize("scores", [MIXED, ALIKE])
@pytest.mark.parametrize(
    ("rate", "train", "validation"),
    [
        (1e-7, [0.6918, 0.6915, 0.6914], [0.6912, 0.6910, 0.6910]),
        (1e-6, [0.6911, 0.6891, 0.6881], [0.6894, 0.6881, 0.6876]),
        (1e-5, [0.6843, 0.6680, 0.6616], [0.6730, 0.6632, 0.6600]),
        (1e-6, [0.7400, 0.7390, 0.7380], [0.7400, 0.7390, 0.7380]),  # a head that begins worse
    ],
)
def test_a_rate_that_is_too_low(rate, train, validation, scores, caplog):
    found = said(caplog, train, validation, scores=scores, learning_rate=rate)
    assert f"Nothing was learned: the loss went from {train[0]:.3g} to {train[-1]:.3g}" in found
    assert f"Raise --learning-rate: it was {rate:g}, and 0.001 is the default." in found
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("rate", "train", "validation"),
    [
        (0.01, [0.7302, 0.7692, 0.6546], [0.7453, 0.6676, 0.6359]),
        (0.03, [1.6016, 1.1990, 0.7205], [0.8229, 0.6831, 0.6315]),
        (0.001, [1.6016, 1.1990, 0.7205], [0.8229, 0.6831, 0.6315]),
    ],
)
def test_a_rate_that_is_too_high(rate, train, validation, caplog):
    found = said(caplog, train, validation, scores=ALIKE, learning_rate=rate)
    assert f"Nothing was learned: the loss rose to {max(train):.3g}" in found
    assert f"of a text have 0.637. Lower --learning-rate: it was {rate:g}" in found
    found = said(caplog, [0.66, 0.65], [0.65, 0.65], learning_rate=0.01)
    assert "Lower --learning-rate: it was 0.01" in found


def test_a_loss_that_still_falls_wants_more_epochs(caplog):
    """Few batches that have not come down to the guess yet say nothing against the rate."""
    rare = np.array([0] * 114 + [1] * 6)
    found = said(caplog, [0.65, 0.55], [0.60, 0.50], targets=rare, learning_rate=0.01)
    assert "the loss went from 0.65 to 0.55" in found
    assert "It was still falling: train longer (--epochs)." in found
    found = said(caplog, [0.6], [0.55], targets=rare, learning_rate=0.01)
    assert "the loss was 0.6, where" in found
    assert "It was still falling" in found


def test_a_rate_that_is_the_default(caplog):
    found = said(caplog, [0.69, 0.68], [0.68, 0.67])
    assert "Train longer (--epochs), and look whether the labels are those of the texts" in found
    assert "--learning-rate" not in found


def test_weighed_classes_make_another_guess(caplog):
    """0.65 is worse than guessing by shares, and better than guessing where classes are equal."""
    assert "Nothing was learned" in said(caplog, [0.66, 0.65], [0.66, 0.65])
    assert not said(caplog, [0.66, 0.65], [0.66, 0.65], class_weights="balanced")
    # What is not weighted says nothing of it.
    found = said(caplog, [0.70, 0.69], [0.60, 0.50], class_weights="balanced")
    assert "Nothing was learned" in found


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({}, "train longer (--epochs) or on more rows, or weigh the classes (--class-weights "
             "balanced)."),
        ({"class_weights": "balanced"}, "train longer (--epochs) or on more rows."),
        ({"learning_rate": 1e-4}, "raise --learning-rate (it was 0.0001), or train longer"),
    ],
)  # fmt: skip
def test_one_answer_though_the_loss_fell(options, remedy, caplog):
    found = said(caplog, [0.65, 0.60], [0.62, 0.59], scores=ALIKE, **options)
    assert f"Every validation row is predicted 'a': {remedy}" in found


def test_validation_rows_of_one_class_are_answered_with_it(caplog):
    assert not said(caplog, [0.4, 0.3], [0.3, 0.2], scores=judged([0] * 9, [0] * 9))


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize(
    ("values", "rises"),
    [
        ([0.2, 0.4], True),
        ([0.2, 0.35, 0.5], True),
        ([0.2, 0.6, 1.0], False),  # nothing is left
        ([0.2, 0.5, 0.6], False),  # by less than half as much as before
        ([0.2, 0.4, 0.41], False),
        ([0.40, 0.42], False),  # less than 120 rows can tell
        ([0.6, 0.4, 0.55], False),  # not the best
        ([0.5, 0.4], False),
        ([0.5], False),
    ],
)
def test_a_metric_that_rises_to_the_end(metric, values, rises, caplog):
    losses = [0.5, 0.4, 0.3][: len(values)]
    found = said(caplog, losses, losses, metrics=values, metric=metric)
    assert ("still rose steeply" in found) == rises
    if rises:
        before, now = (f"{100 * value:.1f} %" for value in values[-2:])
        assert f"The validation {metric} still rose" in found
        assert f"({before} → {now}): more may pay, --epochs {2 * len(values)}" in found


@pytest.mark.parametrize(
    ("values", "falls"), [([0.9, 0.6, 0.4], True), ([0.9, 0.4, 0.39], False), ([0.4, 0.5], False)]
)
def test_a_loss_that_falls_to_the_end(values, falls, caplog):
    scores = judged([0, 0, 1] * 20 + [0, 1, 0] * 20, TWO_TO_ONE)
    losses = [0.5, 0.4, 0.3][: len(values)]
    found = said(
        caplog, losses, losses, metrics=[one * scores.scores.log_loss for one in values],
        metric="log_loss", scores=scores,
    )  # fmt: skip
    assert ("still rose steeply" in found or "still fell steeply" in found) == falls
    if falls:
        assert "still fell steeply" in found


def test_epochs_that_were_cut_short_ask_for_no_more(caplog):
    assert not said(caplog, [0.5, 0.4], [0.5, 0.4], metrics=[0.2, 0.4], epochs=5)


def test_nothing_is_said_before_anything_is_known(caplog):
    assert not said(caplog, [], [])
    assert not said(caplog, [0.69], [0.69], scores=None)


def test_rows_that_are_all_right_want_nothing(caplog):
    """Few of them leave an interval down to a guess, and the loss of a few epochs is high."""
    few = judged([0, 1], [0, 1])
    assert not said(caplog, [0.69, 0.68], [0.68, 0.67], scores=few, metrics=[1.0, 1.0])
    assert "Nothing was learned" in said(caplog, [0.69, 0.68], [0.68, 0.67])


def test_what_no_epochs_mend(caplog):
    losses = [0.6918, 0.6915, 0.6914], [0.6912, 0.6910, 0.6910]
    assert "Raise --max-grad-norm: it was 1e-12." in said(caplog, *losses, max_grad_norm=1e-12)
    caplog.clear()
    history = [{"train_loss": 0.69, "validation_loss": 0.69, "accuracy": 0.5}]
    fitted = Fit(Progress(history=history, best_epoch=1), stood_still=True)
    advise(TrainConfig(epochs=1), fitted, SingleLabel(("a", "b")), TWO_TO_ONE, MIXED)
    assert "Nothing was learned" in caplog.text
    assert "Train longer" not in caplog.text


def test_a_high_loss_of_weighed_rows_is_no_failure_where_the_answers_are_right(caplog):
    right = judged([0] * 40 + [1] * 20, [0] * 38 + [1] * 22)
    losses = [0.75, 0.72, 0.70]
    assert "Nothing was learned" not in said(
        caplog, losses, losses, scores=right, class_weights="balanced"
    )
