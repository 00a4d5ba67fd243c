"""How long the run will take is said once, when the pace is known and where it matters."""

from __future__ import annotations

import logging

import pytest

from lora_bert.training.pace import Pace
from lora_bert.wording import duration


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "lora_bert")
    return caplog


def steps(pace, seconds, count):
    for done in range(1, count + 1):
        pace.end_step(done, 700, seconds)


def test_it_is_said_once_after_some_steps(said):
    steps(Pace(1000, 700, 0.0, at_most=False), 0.5, 100)
    assert said.messages == ["About 8.2 min for the other 987 steps."]


def test_slow_first_steps_do_not_count(said):
    pace = Pace(1000, 700, 0.0, at_most=False)
    for done, seconds in enumerate([60.0, 60.0, 60.0] + [0.5] * 10, start=1):
        pace.end_step(done, 700, seconds)
    assert said.messages == ["About 8.2 min for the other 987 steps."]


def test_fast_steps_are_watched_longer(said):
    steps(Pace(10_000, 700, 0.0, at_most=False), 0.03, 169)
    assert not said.messages
    steps(Pace(10_000, 700, 0.0, at_most=False), 0.03, 170)
    assert said.messages == ["About 4.9 min for the other 9,830 steps."]


def test_short_rows_at_the_beginning_do_not_promise_a_short_training(said):
    """A step of a tenth of the tokens takes a tenth of the time."""
    pace = Pace(1000, 700, 0.0, at_most=False)
    for done in range(1, 100):
        pace.end_step(done, 70, 0.05)
    assert not said.messages
    pace.end_step(100, 7_000, 5.0)
    assert said.messages == ["About 7.5 min for the other 900 steps."]


def test_validations_take_time_too(said):
    steps(Pace(1000, 700, 0.3, at_most=False), 1.0, 20)
    assert said.messages == ["About 18 min for the other 987 steps."]


def test_a_training_that_may_stop_early(said):
    steps(Pace(20_000, 700, 0.0, at_most=True), 1.0, 20)
    assert said.messages == ["At most about 5.6 h for the other 19,987 steps."]


@pytest.mark.parametrize("total", [5, 20])
def test_what_is_soon_over_is_not_announced(said, total):
    steps(Pace(total, 700, 0.0, at_most=False), 0.6, total)
    assert not said.messages


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (99.4, "99 s"),
        (99.7, "1.7 min"),
        (150, "2.5 min"),
        (569, "9.5 min"),
        (571, "10 min"),
        (5999, "100 min"),
        (7200, "2.0 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
