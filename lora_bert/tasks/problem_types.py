"""Which tasks there are, by problem type."""

from __future__ import annotations

from importlib import import_module
from typing import TypeVar

from lora_bert.errors import ConfigError, did_you_mean
from lora_bert.tasks.base import Task

USUAL = "single_label_classification"
"""The task of a model that does not say which is its."""

_OURS = {USUAL: ("lora_bert.tasks.single_label", "SingleLabel")}
"""Imported when they are asked for: a name alone costs no numpy."""
_REGISTERED: dict[str, type[Task]] = {}
_ELSEWHERE = {
    "multi_label_classification": "a multi-label classifier, which gives each label a yes or a no",
    "regression": "a regression model, which gives a number",
}

TaskT = TypeVar("TaskT", bound=type[Task])


def register(task: TaskT) -> TaskT:
    """Make a task known by its problem type; usable as a decorator."""
    _REGISTERED[task.problem_type] = task
    return task


def unregister(problem_type: str) -> None:
    """Forget a task that :func:`register` made known."""
    del _REGISTERED[problem_type]


def problem_types() -> list[str]:
    """The problem types of all tasks."""
    return sorted({*_OURS, *_REGISTERED})


def described(problem_type: str) -> str:
    """What a model of a problem type is for which there is no task."""
    return _ELSEWHERE.get(problem_type, "made for a problem that is not known here")


def task_of(problem_type: str) -> type[Task]:
    """The task of a problem type.

    Raises:
        ConfigError: None is known by that name.
    """
    if problem_type in _REGISTERED:
        return _REGISTERED[problem_type]
    if problem_type not in _OURS:
        known = problem_types()
        raise ConfigError(
            f"The problem type '{problem_type:.60}' is not supported.",
            hint=did_you_mean(problem_type, known) or f"There are: {', '.join(known)}.",
        )
    module, name = _OURS[problem_type]
    task: type[Task] = getattr(import_module(module), name)
    return task
