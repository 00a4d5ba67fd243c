"""Which tasks there are, by problem type."""

from __future__ import annotations

from lora_bert.errors import AdapterError
from lora_bert.tasks.base import Task
from lora_bert.tasks.single_label import SingleLabel

_TASKS: dict[str, type[Task]] = {}


def register(task: type[Task]) -> type[Task]:
    """Make a task known by its problem type; usable as a decorator."""
    _TASKS[task.problem_type] = task
    return task


def task_of(problem_type: str) -> type[Task]:
    """The task of a problem type.

    Raises:
        AdapterError: None is known by that name.
    """
    try:
        return _TASKS[problem_type]
    except KeyError:
        known = ", ".join(sorted(_TASKS))
        raise AdapterError(
            f"The problem type '{problem_type:.60}' is not supported.",
            hint=f"There are: {known}.",
        ) from None


register(SingleLabel)
