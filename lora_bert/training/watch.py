"""``--watch``: what is predicted of some texts before the first step, and after the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lora_bert.tasks.base import Task


@dataclass(frozen=True)
class Watched:
    """One text's predictions."""

    text: str
    before: Any
    after: Any


def watched(texts: Sequence[str], task: Task, before: Tensor, after: Tensor) -> list[Watched]:
    """What outputs of ``texts``, ``[texts, outputs]`` before a training and after it, say."""
    both = (task.decode(task.values(outputs.numpy())) for outputs in (before, after))
    return [Watched(*row) for row in zip(texts, *both, strict=True)]
