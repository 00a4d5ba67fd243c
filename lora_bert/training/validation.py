"""Rows that are scored: the one way from a learner's outputs to figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lora_bert.errors import DivergedError
from lora_bert.runtime.distributed import processes
from lora_bert.tasks.base import Task
from lora_bert.training.learner import Learner


@dataclass(frozen=True)
class Validation:
    """What the validation rows say of one epoch.

    Attributes:
        figures: The task's metrics by name, and ``validation_loss``.
        values: What the task makes of the outputs, a row each.
    """

    figures: dict[str, float]
    values: np.ndarray


def validate(
    learner: Learner, task: Task, targets: np.ndarray, part: str, owners: np.ndarray
) -> Validation:
    """Score the validation rows, which have these ``targets``.

    Args:
        learner: Gives the outputs.
        task: Scores them.
        targets: Of all validation rows.
        part: Of the learner's rows: this process's validation rows.
        owners: The rank of the process that has each validation row.

    Raises:
        DivergedError: An output is not a number.
    """
    outputs = torch.from_numpy(processes().collect(learner.outputs(part).numpy(), owners))
    values = values_of(task, outputs)
    figures = task.score(values, targets).figures
    loss = figures.get("log_loss")
    if loss is None:
        loss = float(task.loss(outputs, torch.from_numpy(targets))) / task.weight(targets)
    return Validation({**figures, "validation_loss": loss}, values)


def values_of(task: Task, outputs: Tensor) -> np.ndarray:
    """What the task makes of outputs ``[rows, outputs]``.

    Raises:
        DivergedError: One of them is not a number.
    """
    if not outputs.isfinite().all():
        raise DivergedError(
            "Training diverged: what the adapter says of other rows is not a number.",
            hint="Lower --learning-rate.",
        )
    return task.values(outputs.numpy())
