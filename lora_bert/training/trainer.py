"""A frozen backbone and one adapter: optimizer steps over batches of rows."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from lora_bert.config import TrainConfig
from lora_bert.errors import DivergedError, UnavailableError
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.memory import is_out_of_memory
from lora_bert.runtime.progress_bar import track
from lora_bert.runtime.signals import uninterrupted
from lora_bert.runtime.threads import Workers
from lora_bert.tasks.base import Task
from lora_bert.tokens.batching import epoch_batches
from lora_bert.training.checkpoint import Checkpoint
from lora_bert.training.gradients import Fetch, Gradients, HiddenStates
from lora_bert.training.movement import Movement
from lora_bert.training.progress import Progress
from lora_bert.training.tokenize_rows import Tokens
from lora_bert.wording import counted

log = logging.getLogger(__name__)

Figures = dict[str, float]
"""Figures of one epoch on the validation rows; ``config.metric`` is among them."""

_PARTS = {"lora_A": "lora_A.weight", "lora_B": "lora_B.weight"}
_FAR = 10
"""A fresh head answers nearly even odds; a loss of so many times that comes from elsewhere."""
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Trainer:
    """Takes optimizer steps on an adapter, epoch by epoch.

    Args:
        backbone: Frozen; not touched.
        adapter: Fresh, on the backbone's device; trained in place.
        rows: The training rows.
        config: Rates, batch size …
        task: Has the loss and the metrics.
        hidden: Gives the trunk's output for row numbers.
        workers: The threads that compute.
        epochs: Passes over the rows.
        parts: Into how many slices a batch is cut at least; 0: one a worker.
        fetch: As in :class:`lora_bert.training.gradients.Gradients`.
        accelerator: Logs to trackers; None: to none.

    Attributes:
        progress: How far it has come.
        best: A copy of the adapter after its best epoch; None before the first one was scored.
    """

    def __init__(
        self,
        backbone: Backbone,
        adapter: Adapter,
        rows: Tokens,
        config: TrainConfig,
        task: Task,
        hidden: HiddenStates,
        workers: Workers,
        *,
        epochs: int,
        parts: int = 0,
        fetch: Fetch | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.backbone, self.adapter, self.rows, self.config = backbone, adapter, rows, config
        self.epochs, self.task = epochs, task
        self.metric = task.metric(config.metric)
        self.progress = Progress()
        self.best: Adapter | None = None
        self._movement: Movement | None = None
        self.stood_still = False
        self.parameters = [tensor.requires_grad_() for tensor in adapter.tensors]
        # Tensors are where the backbone is; the accelerator need not place them.
        self.accelerator = accelerator or Accelerator(device_placement=False)
        optimizer = torch.optim.AdamW(
            self.parameters,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.steps = self._steps_of(epochs)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, linear_schedule(round(self.steps * config.warmup), self.steps)
        )
        self.optimizer = self.accelerator.prepare(optimizer)
        self.schedule = schedule
        self.gradients = Gradients(
            backbone, adapter, hidden, rows.lengths, rows.targets, task, workers,
            seed=config.seed, checkpointing=config.gradient_checkpointing,
            parts=parts, fetch=fetch,
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

    def _steps_of(self, epochs: int) -> int:
        """Optimizer steps of the first ``epochs`` epochs."""
        size, config = self.config.gradient_accumulation, self.config
        if config.batch_tokens is None:
            return math.ceil(math.ceil(len(self.rows) / config.batch_size) / size) * epochs
        numbers = range(1, epochs + 1)
        return sum(math.ceil(len(self.batches(number)) / size) for number in numbers)

    def is_over(self) -> bool:
        """Whether all epochs are done, or better ones are waited for no longer."""
        progress, patience = self.progress, self.config.early_stopping
        waited = progress.waited(self.metric)
        if patience and waited >= patience:
            log.info("Stopped: no better %s for %s.", self.config.metric, counted(waited, "epoch"))
            return True
        return progress.epoch > self.epochs

    def train_epoch(self, after_step: Callable[[Trainer], object] = lambda trainer: None) -> None:
        """What is left of the epoch under way; ``after_step`` is called after each step."""
        progress, number = self.progress, self.progress.epoch
        batches, size = self.batches(number), self.config.gradient_accumulation
        groups = [batches[start : start + size] for start in range(0, len(batches), size)]
        begin = progress.step - self._steps_of(number - 1)
        done = sum(len(rows) for group in groups[:begin] for rows in group)
        # Of the rest of an epoch nobody can say what the whole of it moved.
        watched = self._movement = None if begin or self.stood_still else Movement(self.adapter)
        with track(len(self.rows), f"epoch {number}/{self.epochs}", done=done) as bar:
            for group in groups[begin:]:
                # A step is done or not done when somebody stops the training.
                with uninterrupted():
                    self._train_step(group)
                    after_step(self)
                processes().raise_stop()
                loss = progress.epoch_loss / progress.epoch_weight
                bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
                bar.update(sum(map(len, group)))
        if watched:
            loss = progress.epoch_loss / progress.epoch_weight
            self.stood_still = watched.warn(self.config, epoch=number, loss=loss)

    def end_epoch(self, figures: Figures, seconds: float) -> None:
        """Note what the validation found in so many seconds; keep the adapter if it is the best.

        Raises:
            DivergedError: A figure is not a number.
        """
        for name, value in figures.items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"Training diverged: the {name} of the validation rows is {value}.",
                    hint="Lower --learning-rate.",
                )
        if self.progress.end_epoch(figures, seconds, self.metric):
            self.best = self.adapter.copy()
        row = self.progress.history[-1]
        self.log("validation", figures, self.progress.step)
        _say(row, self.epochs, self.task, better=self.progress.best_epoch == row["epoch"])

    def _train_step(self, group: Sequence[np.ndarray]) -> None:
        started = time.perf_counter()
        weight = self.task.weight(self.rows.targets[np.concatenate(group)])
        loss = self.step(group, weight)
        self.progress.step += 1
        self.progress.epoch_loss += loss
        self.progress.epoch_weight += weight
        self.progress.epoch_seconds += time.perf_counter() - started

    def step(self, batches: Sequence[np.ndarray], weight: float) -> float:
        """One optimizer step over one or more batches of row numbers; the summed loss.

        Every batch's loss is divided by the weight of the whole step, so that accumulating changes
        the memory needed and nothing else.
        """
        number = self.progress.step + 1
        summed = self._summed(batches, weight, number)
        if not math.isfinite(summed):
            raise DivergedError(
                f"Training diverged: the loss is {summed} at step {number} of {self.steps}.",
                hint=_advice(number),
            )
        if number == 1:
            self._check_start(summed / weight)
        norm = self._clipped()
        if not math.isfinite(norm):
            raise self._diverged(batches, weight, number)
        if self._movement:
            self._movement.note(norm)
        rate = float(self.schedule.get_last_lr()[0])
        figures = {"loss": summed / weight, "learning_rate": rate, "gradient_norm": norm}
        self.log("train", figures, number)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return summed

    def log(self, part: str, figures: Figures, step: int) -> None:
        """Tell the trackers, if there are any."""
        named = {f"{part}/{name.removeprefix('validation_')}": figures[name] for name in figures}
        self.accelerator.log(named, step=step)

    def _check_start(self, loss: float) -> None:
        """Say so when the loss of a fresh adapter is far from that of even odds."""
        guess = self.task.chance_loss(self.rows.targets)
        if self.task.classes:
            guess = math.log(self.task.head().outputs)
        if loss > _FAR * guess:
            log.warning(
                "The loss begins at %.3g, where guessing has %.3g: weights of the backbone are "
                "probably badly scaled.",
                loss,
                guess,
            )

    def _clipped(self) -> float:
        """Clip the gradients, if they are to be clipped; the norm they had."""
        if limit := self.config.max_grad_norm:
            return float(self.accelerator.clip_grad_norm_(self.parameters, limit))
        gradients = [one.grad for one in self.parameters if one.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))

    def _diverged(self, batches: Sequence[np.ndarray], weight: float, number: int) -> DivergedError:
        """What to say of a step whose gradient is not finite, or so large that its norm is not."""
        self.optimizer.zero_grad()
        self._summed(batches, weight, number)  # again, because clipping has spoilt them all
        name, what = _worst_gradient(self.adapter)
        return DivergedError(
            f"Training diverged: the gradient of '{name}' is {what} at step {number} of "
            f"{self.steps}.",
            hint=_advice(number),
        )

    def _summed(self, batches: Sequence[np.ndarray], weight: float, number: int) -> float:
        """The loss and the gradients, in smaller slices from the moment that memory runs out."""
        while True:
            try:
                return self.gradients(batches, weight, number, self.progress.cuts)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self.progress.cuts *= 2
                # What the attempt has added to the gradients must not be added again.
                self.optimizer.zero_grad()
                if self.progress.cuts > 2 * max(map(len, batches)):
                    raise UnavailableError(
                        "There is not enough memory for the gradient of a single text.",
                        hint="Lower --max-length, or try --gradient-checkpointing.",
                    ) from error
            # The error holds what the step had allocated until here.
            log.warning(
                "Memory ran out at step %d: from now on slices are half as large.",
                number,
            )
            if self.backbone.device.type == "cuda":
                torch.cuda.empty_cache()

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds: the adapter, the best one, the optimizer's moments."""
        found = {f"adapter.{name}": one for name, one in self.adapter.named_tensors.items()}
        if self.best is not None:
            found |= {f"best.{name}": one for name, one in self.best.named_tensors.items()}
        moments = self.optimizer.state_dict()["state"]
        for at, name in enumerate(self.adapter.named_tensors):
            for key, value in moments.get(at, {}).items():
                found[f"optimizer.{key}.{name}"] = value
        return found

    def schedule_state(self) -> dict[str, Any]:
        """What a checkpoint holds of the learning rate: plain numbers."""
        return self.schedule.state_dict()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same run."""
        self.progress = copy.deepcopy(checkpoint.progress)
        tensors = checkpoint.tensors
        _fill(self.adapter, tensors, "adapter.")
        if self.progress.best_epoch:
            self.best = self.adapter.copy()
            _fill(self.best, tensors, "best.")
        moments: dict[int, dict[str, Tensor]] = {}
        for at, name in enumerate(self.adapter.named_tensors):
            kept = {key: tensors.get(f"optimizer.{key}.{name}") for key in _MOMENTS}
            # Copied: these are maps of a file that is to be removed.
            moments[at] = {key: part.clone() for key, part in kept.items() if part is not None}
        self.schedule.load_state_dict(dict(checkpoint.schedule))
        groups = self.optimizer.state_dict()["param_groups"]
        for group, rate in zip(groups, checkpoint.schedule["_last_lr"], strict=True):
            group["lr"] = rate
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def linear_schedule(warmup: int, steps: int) -> Callable[[int], float]:
    """The rate's factor by step: up from 0 over ``warmup`` steps, then down to 0 at ``steps``."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return factor


def _advice(number: int) -> str:
    """What to do about a loss or a gradient that is not finite at step ``number``."""
    if number == 1:
        return (
            "No step was made before it, so it is not the --learning-rate: weights of the backbone "
            "are not finite or badly scaled. Try another backbone."
        )
    return "Lower --learning-rate."


def _worst_gradient(adapter: Adapter) -> tuple[str, str]:
    """The first tensor whose gradient is not finite, else the one with the largest; what it is."""
    gradients = {
        name: tensor.grad
        for name, tensor in adapter.named_tensors.items()
        if tensor.grad is not None
    }
    for name, gradient in gradients.items():
        if not gradient.isfinite().all():
            return name_in_file(name), "nan" if gradient.isnan().any() else "inf"
    largest = max(gradients, key=lambda name: float(gradients[name].abs().max()))
    return name_in_file(largest), "too large for float32"


def name_in_file(name: str) -> str:
    """The name that a tensor of :attr:`Adapter.named_tensors` has in the adapter's file."""
    stem, _, part = name.rpartition(".")
    return f"{stem}.{_PARTS[part]}" if part in _PARTS else name


def _fill(adapter: Adapter, tensors: Mapping[str, Tensor], prefix: str) -> None:
    with torch.no_grad():
        for name, tensor in adapter.named_tensors.items():
            tensor.copy_(tensors[prefix + name])


def _say(row: dict[str, Any], epochs: int, task: Task, *, better: bool) -> None:
    shares = [f"{one.shown} {100 * row[one.name]:.2f} %" for one in task.metrics if one.share]
    numbers = [f"{one.shown} {row[one.name]:.3f}" for one in task.metrics]
    log.info(
        "epoch %d/%d: loss %.3f, validation %s, %.0f s%s",
        row["epoch"],
        epochs,
        row["train_loss"],
        ", ".join(shares or numbers),
        row["seconds"],
        " (best so far)" if better else "",
    )
