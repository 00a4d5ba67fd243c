"""Saves checkpoints of a training while it runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_bert.errors import OutputError
from lora_bert.training.checkpoint import Checkpoint, save_checkpoint

if TYPE_CHECKING:
    from lora_bert.training.loop import Crank

log = logging.getLogger(__name__)


class Keeper:
    """Saves a crank's state when that is due.

    Args:
        place: Where checkpoints stand.
        identity: Of the run.
        minutes: Between two checkpoints; 0, without steps: none at all.
        steps: Optimizer steps between two, in place of minutes.
        kept: Step and scored epochs of the newest checkpoint that is there.
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

    def after_step(self, crank: Crank) -> None:
        """Save if it is time to."""
        if self.steps is not None:
            due = crank.progress.step - self._tried >= self.steps
        else:
            due = bool(self.seconds) and time.monotonic() - self._since >= self.seconds
        if due:
            self.save(crank)

    def save(self, crank: Crank) -> bool:
        """Save now, unless nothing is to be saved; whether a checkpoint of this step is there.

        A disk that is full does not end a training: it is said, and tried again when due.
        """
        if not (self.seconds or self.steps):
            return False
        step, epochs = crank.progress.step, len(crank.progress.history)
        if (step, epochs) == self.kept:
            return True
        try:
            save_checkpoint(
                self.place,
                Checkpoint(self.identity, crank.progress, crank.schedule_state(), crank.tensors()),
            )
        except OutputError as error:
            log.warning("There is no checkpoint of step %d: %s", step, error)
            return False
        finally:
            self._tried, self._since = step, time.monotonic()
        self.kept = (step, epochs)
        return True
