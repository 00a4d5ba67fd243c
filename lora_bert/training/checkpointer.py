"""Saves checkpoints of a training while it runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_bert.errors import OutputError
from lora_bert.training.checkpoint import Checkpoint, save_checkpoint
from lora_bert.training.trainer import Trainer

log = logging.getLogger(__name__)


class Checkpointer:
    """Saves a trainer's state when that is due.

    Args:
        place: Where checkpoints stand.
        identity: Of the run.
        minutes: Between two checkpoints; 0, without steps: none at all.
        steps: Optimizer steps between two, in place of minutes.
        kept: The moment of the newest checkpoint that is there.
    """

    def __init__(
        self,
        place: Path,
        identity: Mapping[str, Any],
        *,
        minutes: float,
        steps: int | None,
        kept: tuple[int, int] | None = None,
    ) -> None:
        self.place, self.identity = place, identity
        self.seconds, self.steps = 60 * minutes, steps
        self.kept = kept
        self._tried, self._since = kept[0] if kept else 0, time.monotonic()

    def after_step(self, trainer: Trainer) -> None:
        """Save if it is time to."""
        if self.steps is not None:
            due = trainer.progress.step - self._tried >= self.steps
        else:
            due = bool(self.seconds) and time.monotonic() - self._since >= self.seconds
        if due:
            self.save(trainer)

    def save(self, trainer: Trainer) -> bool:
        """Save now, unless nothing is to be saved; whether a checkpoint of this step is there.

        A disk that is full does not end a training: it is said, and tried again when due.
        """
        if not (self.seconds or self.steps):
            return False
        progress = trainer.progress
        if progress.moment == self.kept:
            return True
        state = Checkpoint(self.identity, progress, trainer.schedule_state(), trainer.tensors())
        try:
            save_checkpoint(self.place, state)
        except OutputError as error:
            log.warning("There is no checkpoint of step %d: %s", progress.step, error)
            return False
        finally:
            self._tried, self._since = progress.step, time.monotonic()
        self.kept = progress.moment
        return True
