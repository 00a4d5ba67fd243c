"""Which tasks there are, by problem type."""

from __future__ import annotations

from typing import TypeVar

from lora_bert.errors import ConfigError, did_you_mean
from lora_bert.tasks.base import Task
from lora_bert.tasks.single_label import SingleLabel

TASKS: dict[str, type[Task]] = {SingleLabel.problem_type: SingleLabel}
"""The tasks by problem type; :func:`register` adds to them."""

TaskT = TypeVar("TaskT", bound=type[Task])


def register(task: TaskT) -> TaskT:
    """Make a task known by its problem type; usable as a decorator."""
    TASKS[task.problem_type] = task
    return task


def task_of(problem_type: str) -> type[Task]:
    """The task of a problem type.

    Raises:
        ConfigError: None is known by that name.
    """
    if problem_type not in TASKS:
        known = sorted(TASKS)
        raise ConfigError(
            f"The problem type '{problem_type:.60}' is not supported.",
            hint=did_you_mean(problem_type, known) or f"There are: {', '.join(known)}.",
        )
    return TASKS[problem_type]
