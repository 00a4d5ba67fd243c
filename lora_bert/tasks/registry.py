"""Which tasks there are, by problem type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from lora_bert.errors import AdapterError, ConfigError, did_you_mean
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


def restored(
    problem_type: str, labels: Sequence[str], settings: Mapping[str, Any], place: object
) -> Task:
    """The task of a saved adapter or model, which is known by its problem type.

    Args:
        problem_type: One of :data:`TASKS`.
        labels: Names of the outputs, in their order.
        settings: As the manifest keeps them.
        place: What says so, for the error.

    Raises:
        AdapterError: The task cannot have such labels or settings.
    """
    try:
        return TASKS[problem_type].restored(labels, settings)
    except AdapterError as error:
        raise AdapterError(f"'{place}': {error}", hint=error.hint) from error
