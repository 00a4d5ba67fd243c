"""What several models of one task are as one: what they decide by is averaged, or stands together.

Outputs are sums of what the last layer reads, so whatever is added to outputs or compared with them
may be averaged as the weights are. Everything else has to be the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lora_bert.tasks.base import Task

_OF_OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "regression": ("mean", "deviation", "spread"),
    "question_answering": ("null_threshold",),
}
"""By problem type, the settings that are numbers in the unit of the outputs, or of the answers."""
_OF_LABELS: Mapping[str, tuple[str, ...]] = {"multi_label_classification": ("thresholds",)}
"""The settings that are a probability for each label."""
_OF_FILES: Mapping[str, tuple[str, ...]] = {"regression": ("decimal_mark",)}
"""The settings that say how the training's files were written: unknown where they differ."""
_SURE = 1e-6
"""A probability nearer to 0 or 1 counts as so near: its logit is finite."""


def apart(one: Task, other: Task) -> str:
    """The first setting in which two tasks of one problem type differ for good, or ""."""
    ours, theirs = one.settings, other.settings
    free = {name for each in (_OF_LABELS, _OF_FILES) for name in each.get(one.problem_type, ())}
    for name in ours | theirs:
        pair = ours.get(name), theirs.get(name)
        averaged = name in _OF_OUTPUTS.get(one.problem_type, ()) and None not in pair
        if pair[0] != pair[1] and name not in free and not averaged:
            return name
    return ""


def averaged(tasks: Sequence[Task], shares: Sequence[float]) -> Task:
    """The task of the weighted mean of models, with the first one's order of labels.

    Args:
        tasks: Of one problem type and with the same labels, in any order; :func:`apart` finds no
            difference between them.
        shares: What each counts for; they add up to 1.
    """
    first, settings = tasks[0], dict(tasks[0].settings)
    every = [task.settings for task in tasks]
    for name in _OF_OUTPUTS.get(first.problem_type, ()):
        if settings[name] is not None:
            settings[name] = _mean([each[name] for each in every], shares)
    for name in _OF_LABELS.get(first.problem_type, ()):
        lines = [dict(zip(task.labels, task.settings[name], strict=True)) for task in tasks]
        settings[name] = [
            _mean_probability([each[label] for each in lines], shares) for label in first.labels
        ]
    for name in _OF_FILES.get(first.problem_type, ()):
        if len({each.get(name) for each in every}) > 1:
            settings.pop(name, None)
    return type(first).restored(first.labels, settings)


def independent(task: Task) -> bool:
    """Whether others may be put beside its outputs: not where a text has one label or number."""
    return task.problem_type in _OF_LABELS


def side_by_side(tasks: Sequence[Task]) -> Task:
    """The task of a model with the outputs of all of them, those of the first one first.

    ``tasks`` are of one problem type, whose outputs are :func:`independent`, and have no label in
    common.
    """
    first = tasks[0]
    settings = {
        name: [line for task in tasks for line in task.settings[name]]
        for name in _OF_LABELS[first.problem_type]
    }
    labels = [label for task in tasks for label in task.labels]
    return type(first).restored(labels, {**first.settings, **settings})


def _mean(numbers: Sequence[float], shares: Sequence[float]) -> Any:
    if len(set(numbers)) == 1:
        return numbers[0]
    return float(np.dot(numbers, shares))


def _mean_probability(lines: Sequence[float], shares: Sequence[float]) -> float:
    """The threshold that is to the mean of outputs what each is to its own: the mean of logits."""
    if len(set(lines)) == 1:
        return lines[0]
    inside = np.clip(np.array(lines, dtype=np.float64), _SURE, 1 - _SURE)
    odds = float(np.dot(np.log(inside / (1 - inside)), shares))
    return float(np.clip(1 / (1 + np.exp(-odds)), min(lines), max(lines)))
