"""Which tasks there are, by problem type and by what ``--task`` calls them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lora_bert.errors import ConfigError, did_you_mean
from lora_bert.tasks.base import Task

if TYPE_CHECKING:
    from lora_bert.data.data_options import DataOptions
    from lora_bert.data.tables import Table

log = logging.getLogger(__name__)

AUTO = "auto"
"""What ``--task`` says where the training rows are to decide."""

USUAL = "single_label_classification"
"""The task of a model that does not say which is its."""


class _Ours(NamedTuple):
    """What ``--task`` calls a task, its module and its class."""

    option: str
    module: str
    name: str


TAGGING = "token_tagging"
"""The task of a token classifier of ``transformers``."""

ANSWERING = "question_answering"
"""The task of a model of ``transformers`` that finds answers within a text."""

_OURS = {
    ANSWERING: _Ours(
        "question-answering", "lora_bert.tasks.question_answering", "QuestionAnswering"
    ),
    TAGGING: _Ours("token-tagging", "lora_bert.tasks.token_tagging", "TokenTagging"),
    "multi_label_classification": _Ours("multi-label", "lora_bert.tasks.multi_label", "MultiLabel"),
    "regression": _Ours("regression", "lora_bert.tasks.regression", "Regression"),
    "relevance": _Ours("relevance", "lora_bert.tasks.relevance", "Relevance"),
    USUAL: _Ours("single-label", "lora_bert.tasks.single_label", "SingleLabel"),
}
"""Imported when they are asked for: a name alone costs no numpy. The training rows are shown to one
after the other, in this order; where none knows them for its own, they are the usual one's."""
_REGISTERED: dict[str, type[Task]] = {}

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


def option_of(problem_type: str) -> str:
    """What ``--task`` calls a problem type; "" for one that the command line does not name."""
    return _OURS[problem_type].option if problem_type in _OURS else ""


def task_of(name: str) -> type[Task]:
    """The task of a problem type, or of a name that ``--task`` has for one.

    Raises:
        ConfigError: None is known by that name.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    ours = next((ours for key, ours in _OURS.items() if name in (key, ours.option)), None)
    if ours is None:
        known = [*(ours.option for ours in _OURS.values()), *problem_types()]
        raise ConfigError(
            f"The problem type '{name:.60}' is not supported.",
            hint=did_you_mean(name, known) or f"There are: {', '.join(known)}.",
        )
    task: type[Task] = getattr(import_module(ours.module), ours.name)
    return task


def by_peft_task(settings: Mapping[str, Any]) -> str:
    """The problem type of an ``adapter_config.json`` that plain PEFT wrote, by its task_type."""
    said = settings.get("task_type")
    others = (name for name in _OURS if name != USUAL and said != task_of(USUAL).peft_task_type)
    return next((name for name in others if task_of(name).peft_task_type == said), USUAL)


def check_metric(name: str) -> None:
    """Raise ConfigError for a metric that no task has; which task it is to be is not known yet."""
    every = dict.fromkeys(
        metric.name for problem_type in problem_types() for metric in task_of(problem_type).metrics
    )
    if name not in every:
        raise ConfigError(
            f"--metric: '{name}' is not one of {', '.join(every)}.", hint=did_you_mean(name, every)
        )


def chosen_task(name: str, table: Table, options: DataOptions) -> type[Task]:
    """The task that ``--task`` names or, for ``auto``, that the training rows are made for.

    Raises:
        ConfigError: None is known by that name.
        DataError: The rows may be meant for one task or another.
    """
    if name != AUTO:
        return task_of(name)
    for problem_type, ours in _OURS.items():
        task = task_of(problem_type)
        if problem_type != USUAL and (reason := task.recognises(table, options)):
            log.info("Task %s: %s. Another one: --task.", ours.option, reason)
            return task
    log.info("Task %s: each row has one label.", _OURS[USUAL].option)
    return task_of(USUAL)
