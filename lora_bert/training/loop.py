"""The training loop: epochs of batches, the best one kept."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from lora_bert.errors import DivergedError
from lora_bert.model.adapter import Adapter
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.signals import Terminated, uninterrupted
from lora_bert.training.checkpointer import Checkpointer
from lora_bert.training.progress import Progress
from lora_bert.training.trainer import Figures, Trainer

log = logging.getLogger(__name__)


@dataclass
class Fit:
    """What a training came to.

    Attributes:
        adapter: The best epoch's adapter, or that of the moment it was stopped in the first one.
        progress: How far it came.
        stopped: By Ctrl-C, or by SIGTERM; None when it ended by itself.
        saved: Whether there is a checkpoint of this moment.
        stood_still: Whether an epoch came to nothing, which was warned of.
    """

    adapter: Adapter
    progress: Progress
    stopped: KeyboardInterrupt | None = None
    saved: bool = False
    stood_still: bool = False

    @property
    def best_epoch(self) -> int:
        """Counted from 1; 0 when stopped before the first one ended."""
        return self.progress.best_epoch

    @property
    def history(self) -> list[dict[str, Any]]:
        """A dict an epoch: epoch, train_loss, seconds, and the validation figures."""
        return self.progress.history


def fit(
    trainer: Trainer,
    validate: Callable[[Adapter], Figures],
    checkpointer: Checkpointer | None = None,
) -> Fit:
    """Train the trainer's adapter in place; keep a copy of it after its best epoch.

    Args:
        trainer: Backbone, adapter, rows and settings; fresh, or restored from a checkpoint.
        validate: Scores an adapter on the validation rows.
        checkpointer: Saves checkpoints: when they are due, and when the training is stopped.

    Raises:
        DivergedError: The loss became infinite or NaN before any epoch was worth keeping.
        Terminated: SIGTERM arrived; there is a checkpoint, if one could be saved.
    """
    progress, stopped, saved = trainer.progress, None, False
    # Several processes must stop at the same step, so signals wait for the end of it.
    waiting = uninterrupted() if processes().count > 1 else nullcontext()
    try:
        with waiting:
            while not trainer.is_over():
                if checkpointer:
                    trainer.train_epoch(checkpointer.after_step)
                else:
                    trainer.train_epoch()
                started = time.perf_counter()
                figures = validate(trainer.adapter)
                with uninterrupted():
                    trainer.end_epoch(figures, time.perf_counter() - started)
                    if checkpointer:
                        checkpointer.after_step(trainer)
        # Scoring the result can be stopped too.
        saved = checkpointer is not None and checkpointer.save(trainer)
    except DivergedError as error:
        if not progress.best_epoch:
            raise
        log.warning("%s The adapter of epoch %d is kept.", error, progress.best_epoch)
    except KeyboardInterrupt as stop:
        stopped = stop
        with uninterrupted():
            saved = checkpointer is not None and checkpointer.save(trainer)
        onwards = f" --resume goes on at step {progress.step}." if saved else ""
        if isinstance(stop, Terminated):
            log.warning("Stopped by SIGTERM at step %d.%s", progress.step, onwards)
            raise
        kept = f"epoch {progress.best_epoch}" if progress.best_epoch else "this moment"
        log.warning("Stopped by Ctrl-C: keeping the adapter of %s.%s", kept, onwards)
    kept_adapter = trainer.best or trainer.adapter.copy()
    return Fit(kept_adapter, progress, stopped, saved, trainer.stood_still)


def default_epochs(rows: int, classes: int) -> int:
    """3; more where that shows fewer than 4,000 rows, or 600 a class, in all; at most 20."""
    return min(20, max(3, math.ceil(max(4000, 600 * classes) / rows)))
