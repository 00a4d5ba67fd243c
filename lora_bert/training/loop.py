"""The training loop: a frozen backbone, one adapter, epochs of batches, the best one kept."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from lora_bert.config import TrainConfig
from lora_bert.errors import DivergedError
from lora_bert.evaluation.metrics import higher_is_better
from lora_bert.model.backbone import Backbone
from lora_bert.model.branch import Adapter
from lora_bert.progress import track
from lora_bert.tasks.classification import class_weights
from lora_bert.threads import Workers
from lora_bert.training.gradients import Gradients, HiddenStates
from lora_bert.training.order import epoch_batches
from lora_bert.training.tokens import Tokens

log = logging.getLogger(__name__)

Figures = dict[str, float]
"""Figures of one epoch on the validation rows; ``config.metric`` is among them."""


@dataclass
class Fit:
    """What a training came to.

    Attributes:
        adapter: The best epoch's adapter.
        best_epoch: Counted from 1; 0 when stopped before the first one ended.
        history: A dict an epoch: epoch, train_loss, seconds, and the validation figures.
        interrupted: Stopped with Ctrl-C.
    """

    adapter: Adapter
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False


def fit(crank: Crank, validate: Callable[[Adapter], Figures]) -> Fit:
    """Train the crank's adapter in place; keep a copy of it after its best epoch.

    Args:
        crank: Backbone, adapter, rows and settings.
        validate: Scores an adapter on the validation rows.

    Raises:
        DivergedError: The loss became infinite or NaN before any epoch was worth keeping.
    """
    adapter, config, epochs = crank.adapter, crank.config, crank.epochs
    result = Fit(adapter)
    waited = 0
    try:
        for epoch in range(1, epochs + 1):
            started = time.perf_counter()
            train_loss = crank.epoch(epoch)
            figures = validate(adapter)
            seconds = time.perf_counter() - started
            row = {"epoch": epoch, "train_loss": train_loss, "seconds": seconds, **figures}
            better = _is_better(row, result.history, config.metric)
            result.history.append(row)
            _say(row, epochs, better)
            waited = 0 if better else waited + 1
            if better:
                result.adapter, result.best_epoch = adapter.copy(), epoch
            if config.early_stopping and waited >= config.early_stopping:
                log.info("Stopped: no better %s for %d epochs.", config.metric, waited)
                break
    except DivergedError as error:
        if not result.best_epoch:
            raise
        log.warning("%s The adapter of epoch %d is kept.", error, result.best_epoch)
    except KeyboardInterrupt:
        result.interrupted = True
        kept = f"epoch {result.best_epoch}" if result.best_epoch else "this moment"
        log.warning("Stopped by Ctrl-C: keeping the adapter of %s.", kept)
    if not result.best_epoch:
        result.adapter = adapter.copy()
    return result


class Crank:
    """Turns batches into optimizer steps.

    Args:
        backbone: Frozen; not touched.
        adapter: Fresh, on the backbone's device; trained in place.
        rows: The training rows.
        config: Rates, batch size …
        hidden: Gives the trunk's output for row numbers.
        workers: The threads that compute.
        epochs: Passes over the rows.
    """

    def __init__(
        self,
        backbone: Backbone,
        adapter: Adapter,
        rows: Tokens,
        config: TrainConfig,
        hidden: HiddenStates,
        workers: Workers,
        *,
        epochs: int,
    ) -> None:
        self.backbone, self.adapter, self.rows, self.config = backbone, adapter, rows, config
        self.epochs = epochs
        self.parameters = [tensor.requires_grad_() for tensor in adapter.tensors]
        # Tensors are where the backbone is; the accelerator need not place them.
        self.accelerator = Accelerator(device_placement=False)
        optimizer = torch.optim.AdamW(
            self.parameters,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.steps = self._steps()
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, linear_schedule(round(self.steps * config.warmup), self.steps)
        )
        self.optimizer = self.accelerator.prepare(optimizer)
        self.schedule = schedule
        self.step_count = 0
        self.weights: Tensor | None = None
        if config.class_weights == "balanced":
            classes = adapter.head[f"{backbone.family.head.output}.weight"].shape[0]
            weights = class_weights(rows.targets.tolist(), classes)
            self.weights = torch.tensor(weights, device=backbone.device)
        self.gradients = Gradients(
            backbone, adapter, hidden, rows.lengths, rows.targets, self.weights, workers,
            seed=config.seed, checkpointing=config.gradient_checkpointing,
        )  # fmt: skip

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The row numbers of an epoch's batches, in order; epochs count from 1."""
        return epoch_batches(
            self.rows.lengths,
            seed=self.config.seed,
            epoch=epoch,
            batch_size=self.config.batch_size,
            batch_tokens=self.config.batch_tokens,
        )

    def _steps(self) -> int:
        """Optimizer steps of the whole training."""
        size, config = self.config.gradient_accumulation, self.config
        if config.batch_tokens is None:
            return math.ceil(math.ceil(len(self.rows) / config.batch_size) / size) * self.epochs
        numbers = range(1, self.epochs + 1)
        return sum(math.ceil(len(self.batches(number)) / size) for number in numbers)

    def epoch(self, number: int) -> float:
        """One pass over the rows; its mean loss."""
        batches = self.batches(number)
        size = self.config.gradient_accumulation
        total, weight = 0.0, 0.0
        with track(len(self.rows), f"epoch {number}/{self.epochs}") as bar:
            for start in range(0, len(batches), size):
                group = batches[start : start + size]
                group_weight = self._weight(np.concatenate(group))
                summed = self.step(group, group_weight)
                total, weight = total + summed, weight + group_weight
                bar.set_postfix_str(f"loss {total / weight:.3f}", refresh=False)
                bar.update(sum(map(len, group)))
        return total / weight

    def step(self, batches: Sequence[np.ndarray], weight: float) -> float:
        """One optimizer step over one or more batches of row numbers; the summed loss.

        Every batch's loss is divided by the weight of the whole step, so that accumulating changes
        the memory needed and nothing else.
        """
        self.step_count += 1
        summed = self.gradients(batches, weight, self.step_count)
        if not math.isfinite(summed):
            raise DivergedError(
                f"Training diverged: the loss is {summed} at step {self.step_count} of "
                f"{self.steps}.",
                hint="Lower --learning-rate.",
            )
        if self.config.max_grad_norm:
            self.accelerator.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return summed

    def _weight(self, rows: np.ndarray) -> float:
        if self.weights is None:
            return float(len(rows))
        return float(self.weights[torch.from_numpy(self.rows.targets[rows])].sum())


def default_epochs(rows: int, classes: int) -> int:
    """3; more where that shows fewer than 4,000 rows, or 600 a class, in all; at most 20."""
    return min(20, max(3, math.ceil(max(4000, 600 * classes) / rows)))


def linear_schedule(warmup: int, steps: int) -> Callable[[int], float]:
    """The rate's factor by step: up from 0 over ``warmup`` steps, then down to 0 at ``steps``."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return factor


def _is_better(row: dict[str, Any], history: Sequence[dict[str, Any]], metric: str) -> bool:
    if not history:
        return True
    earlier = [past[metric] for past in history]
    if higher_is_better(metric):
        return bool(row[metric] > max(earlier))
    return bool(row[metric] < min(earlier))


def _say(row: dict[str, Any], epochs: int, better: bool) -> None:
    log.info(
        "epoch %d/%d: loss %.3f, validation accuracy %.2f %%, macro-F1 %.2f %%, %.0f s%s",
        row["epoch"],
        epochs,
        row["train_loss"],
        100 * row["accuracy"],
        100 * row["macro_f1"],
        row["seconds"],
        " (best so far)" if better else "",
    )
