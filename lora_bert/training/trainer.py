"""The training loop: batch, loss, gradient, step, checkpoint, validate, keep the best."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from lora_bert.config import TrainConfig
from lora_bert.errors import DivergedError
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.progress_bar import track
from lora_bert.runtime.signals import Terminated, uninterrupted
from lora_bert.tasks.base import Task
from lora_bert.tokens.batching import epoch_batches
from lora_bert.training.adamw import AdamW
from lora_bert.training.checkpoints import Checkpoint, Checkpoints
from lora_bert.training.divergence import LOWER, Movement, advice, worst_gradient
from lora_bert.training.learner import Learner, Validation
from lora_bert.training.pace import Pace
from lora_bert.training.progress import Progress
from lora_bert.training.tokenize_rows import Tokens
from lora_bert.wording import counted

log = logging.getLogger(__name__)

_FAR = 10
"""A fresh head answers nearly even odds; a loss of so many times that comes from elsewhere."""


@dataclass
class Fit:
    """What a training came to.

    Attributes:
        progress: How far it came.
        values: The kept epoch's validation values; None where they are not at hand.
        stopped: By Ctrl-C, or by SIGTERM; None when it ended by itself.
        saved: Whether there is a checkpoint of this moment.
        stood_still: Whether an epoch came to nothing, which was warned of.
        fitted_to_all: Whether what is kept has learned once more, from the validation rows too;
            ``values`` are those of before.
    """

    progress: Progress
    values: np.ndarray | None = None
    stopped: KeyboardInterrupt | None = None
    saved: bool = False
    stood_still: bool = False
    fitted_to_all: bool = False

    @property
    def keeps_start(self) -> bool:
        """Whether no epoch was better than the fitted head."""
        return bool(self.progress.start) and not self.best_epoch

    @property
    def best_epoch(self) -> int:
        """Counted from 1; 0 when stopped before the first one ended."""
        return self.progress.best_epoch

    @property
    def history(self) -> list[dict[str, Any]]:
        """A dict an epoch: epoch, train_loss, seconds, and the validation figures."""
        return self.progress.history


class Trainer:
    """Takes optimizer steps on a learner, epoch by epoch, and keeps its best.

    Args:
        learner: Fresh; trained in place.
        rows: The training rows.
        task: Has the weights of rows and the metrics.
        config: With its ``epochs``.
        accelerator: Logs to trackers (default: to none).
        scored: How many rows a validation scores (default 0), for the time that it will take.
        start: What the validation says before the first step, if that counts as an epoch does.
        doubt: By how much a metric of the validation may fall by chance (default 0).

    Attributes:
        progress: How far it has come.
        best: The parameters after the best epoch; None before the first one was scored.
    """

    def __init__(
        self,
        learner: Learner,
        rows: Tokens,
        task: Task,
        config: TrainConfig,
        accelerator: Accelerator | None = None,
        scored: int = 0,
        start: Validation | None = None,
        doubt: float = 0.0,
    ) -> None:
        self.doubt = doubt
        self.learner, self.rows, self.task, self.config = learner, rows, task, config
        self.epochs, self.metric = int(config.epochs or 0), task.metric(config.metric)
        self.progress = Progress()
        self.best: dict[str, Tensor] | None = None
        self._best_values: np.ndarray | None = None
        if start is not None:
            self.progress.start = start.figures
            self._keep(start.values)
        self._movement: Movement | None = None
        self._stood_still = False
        self._batches: dict[int, list[np.ndarray]] = {}
        # For the trackers: tensors are where the backbone is.
        self.accelerator = accelerator or Accelerator(device_placement=False)
        self._parameters = list(learner.parameters.values())
        self.optimizer = AdamW(
            self._parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.steps = self._steps_of(self.epochs)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, linear_schedule(round(self.steps * config.warmup), self.steps)
        )
        self._pace = Pace(
            self.steps,
            tokens=float(rows.lengths.sum()) * self.epochs / max(1, self.steps),
            validations=scored / max(1, len(rows)),
            at_most=config.early_stopping is not None,
        )

    def fit(self, validate: Callable[[], Validation], checkpoints: Checkpoints) -> Fit:
        """Train to the end; the learner has the parameters of its best epoch then.

        ``validate`` scores it after each epoch.

        Raises:
            DivergedError: The loss became infinite or NaN before any epoch was worth keeping.
            Terminated: SIGTERM arrived; there is a checkpoint, if one could be saved.
        """
        progress, stopped, saved, group = self.progress, None, False, processes()
        try:
            # Several processes must stop at the same step.
            with uninterrupted() if group.count > 1 else nullcontext():
                while not self._is_over():
                    for batches in self._rest_of_epoch(progress.epoch):
                        # A step is done or not done when somebody stops the training.
                        with uninterrupted():
                            self.step(batches)
                            checkpoints.save_if_due(progress, self.state)
                        group.raise_stop()
                    started = time.perf_counter()
                    validation = validate()
                    with uninterrupted():
                        self._end_epoch(validation, time.perf_counter() - started)
                        checkpoints.save_if_due(progress, self.state)
            # Scoring the result can be stopped too.
            saved = checkpoints.save(progress, self.state)
        except DivergedError as error:
            if not progress.best_epoch:
                raise
            log.warning("%s The adapter of epoch %d is kept.", error, progress.best_epoch)
        except KeyboardInterrupt as stop:
            stopped = stop
            with uninterrupted():
                saved = checkpoints.save(progress, self.state)
            self._say_stopped(stop, saved)
        if self.best is not None:
            fill(self.learner.parameters, self.best)
        return Fit(progress, self._best_values, stopped, saved, self._stood_still)

    def repeat(self, epochs: int) -> None:
        """Take the steps of the first ``epochs``; nothing is scored, saved or kept.

        Raises:
            DivergedError: The loss became infinite or NaN.
        """
        group = processes()
        with uninterrupted() if group.count > 1 else nullcontext():
            for number in range(1, epochs + 1):
                self.progress.begin_epoch()
                for batches in self._rest_of_epoch(number):
                    with uninterrupted():
                        self.step(batches)
                    group.raise_stop()

    def step(self, batches: Sequence[np.ndarray]) -> None:
        """One optimizer step over one or more batches of row numbers.

        Every batch's loss is divided by the weight of the whole step, so that accumulating changes
        the memory needed and nothing else.
        """
        started, number = time.perf_counter(), self.progress.step + 1
        rows = np.concatenate(batches)
        # Of all windows' mean: what a window counts beside others depends on its row alone.
        weight = self.task.weight(self.rows.window_targets[rows]) * self.rows.mean_share
        summed = self.learner.gradients(batches, weight, self.progress)
        clipped = self._clip()
        loss, norm = float(summed), float(clipped)  # a GPU has been told of all of it by now
        if not math.isfinite(loss):
            raise DivergedError(
                f"Training diverged: the loss is {loss} at step {number} of {self.steps}.",
                hint=advice(number),
            )
        if number == 1:
            self._check_start(loss / weight * self.rows.mean_share)
        if not math.isfinite(norm):
            # Once more, because clipping has spoilt all gradients.
            self.optimizer.zero_grad()
            self.learner.gradients(batches, weight, self.progress)
            name, what = worst_gradient(self.learner.parameters)
            raise DivergedError(
                f"Training diverged: the gradient of '{name}' is {what} at step {number} of "
                f"{self.steps}.",
                hint=advice(number),
            )
        rate = float(self.schedule.get_last_lr()[0])
        figures = {"loss": loss / weight, "learning_rate": rate, "gradient_norm": norm}
        self._log("train", figures, number)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        if self._movement:
            self._movement.largest_norm = max(self._movement.largest_norm, norm)
        seconds = time.perf_counter() - started
        self.progress.end_step(loss, weight, seconds)
        self._pace.end_step(self.progress.step, int(self.rows.lengths[rows].sum()), seconds)

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What a checkpoint holds beside the progress.

        That is the learning rate's schedule as plain numbers, and by name the parameters, the best
        ones and the optimizer's moments.
        """
        parameters = self.learner.parameters
        tensors = {f"adapter.{name}": tensor for name, tensor in parameters.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        moments = self.optimizer.state_dict()["state"]
        for at, name in enumerate(parameters):
            for key, value in moments.get(at, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        return self.schedule.state_dict(), tensors

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same run."""
        self.progress = copy.deepcopy(checkpoint.progress)
        parameters, tensors = self.learner.parameters, checkpoint.tensors
        fill(parameters, {name: tensors[f"adapter.{name}"] for name in parameters})
        # Copied: these are maps of a file that is to be removed.
        if self.progress.best_epoch or self.progress.start:
            self.best = {
                name: tensors[f"best.{name}"].to(parameter.device, copy=True)
                for name, parameter in parameters.items()
            }
        moments: dict[int, dict[str, Tensor]] = {at: {} for at in range(len(parameters))}
        for (at, name), key in product(enumerate(parameters), ("step", "exp_avg", "exp_avg_sq")):
            if (moment := tensors.get(f"optimizer.{key}.{name}")) is not None:
                moments[at][key] = moment.clone()
        self.schedule.load_state_dict(dict(checkpoint.schedule))
        groups = self.optimizer.state_dict()["param_groups"]
        for group, rate in zip(groups, checkpoint.schedule["_last_lr"], strict=True):
            group["lr"] = rate
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})

    def _log(self, part: str, figures: Mapping[str, float], step: int) -> None:
        """Tell the trackers, if there are any."""
        named = {f"{part}/{name.removeprefix('validation_')}": figures[name] for name in figures}
        self.accelerator.log(named, step=step)

    def _is_over(self) -> bool:
        """Whether all epochs are done, or better ones are waited for no longer."""
        waited, patience = self.progress.waited(self.metric), self.config.early_stopping
        if patience and waited >= patience:
            log.info("Stopped: no better %s for %s.", self.config.metric, counted(waited, "epoch"))
            return True
        return self.progress.epoch > self.epochs

    def _rest_of_epoch(self, number: int) -> Iterator[list[np.ndarray]]:
        """The batches of each step of the epoch under way that is still to be made."""
        progress = self.progress
        batches, size = self.batches(number), self.config.gradient_accumulation
        groups = [batches[start : start + size] for start in range(0, len(batches), size)]
        begin = progress.step - self._steps_of(number - 1)
        done = sum(len(rows) for group in groups[:begin] for rows in group)
        # Of the rest of an epoch nobody can say what the whole of it moved.
        watched = None if begin or self._stood_still else Movement(self.learner.parameters)
        self._movement = watched
        with track(len(self.rows), f"epoch {number}/{self.epochs}", done=done) as bar:
            for group in groups[begin:]:
                yield group
                bar.set_postfix_str(f"loss {progress.mean_loss:.3f}", refresh=False)
                bar.update(sum(map(len, group)))
        if watched:
            self._stood_still = watched.warn(self.config, epoch=number, loss=progress.mean_loss)

    def _end_epoch(self, validation: Validation, seconds: float) -> None:
        """Note what the validation came to in so many seconds; keep what is the best so far."""
        for name, value in validation.figures.items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"Training diverged: the {name} of the validation rows is {value}.", hint=LOWER
                )
        better = self.progress.end_epoch(validation.figures, seconds, self.metric, self.doubt)
        if better:
            self._keep(validation.values)
        self._log("validation", validation.figures, self.progress.step)
        kept = "" if not better else "kept" if self.doubt else "best so far"
        _say_epoch(self.progress.history[-1], self.epochs, self.task, kept)

    def _keep(self, values: np.ndarray) -> None:
        """Note the parameters of this moment as the best, and what validation rows say of them."""
        parameters = self.learner.parameters
        self.best = {name: tensor.detach().clone() for name, tensor in parameters.items()}
        self._best_values = values

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The row numbers of an epoch's batches, in order; epochs count from 1.

        Those of the last epoch that was asked for are kept: of many rows they take a while.
        """
        if epoch not in self._batches:
            config = self.config
            self._batches = {}  # before others are there too
            self._batches[epoch] = epoch_batches(
                self.rows.lengths, seed=config.seed, epoch=epoch,
                batch_size=config.batch_size, batch_tokens=config.batch_tokens,
            )  # fmt: skip
        return self._batches[epoch]

    def _steps_of(self, epochs: int) -> int:
        """Optimizer steps of the first ``epochs`` epochs."""
        size, config = self.config.gradient_accumulation, self.config
        if config.batch_tokens is None:
            return math.ceil(math.ceil(len(self.rows) / config.batch_size) / size) * epochs
        return sum(math.ceil(len(self.batches(at)) / size) for at in range(1, epochs + 1))

    def _clip(self) -> Tensor:
        """Clip the gradients, if they are to be clipped; the norm they had."""
        if limit := self.config.max_grad_norm:
            return torch.nn.utils.clip_grad_norm_(self._parameters, limit)
        gradients = [tensor.grad for tensor in self._parameters if tensor.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def _check_start(self, loss: float) -> None:
        """Say so when the loss of a fresh learner is far from what it should be."""
        guess = self.task.fresh_loss(self.rows.targets)
        if loss > _FAR * guess:
            log.warning(
                "The loss begins at %.3g, where guessing has %.3g: weights of the backbone are "
                "probably badly scaled.", loss, guess,
            )  # fmt: skip

    def _say_stopped(self, stop: KeyboardInterrupt, saved: bool) -> None:
        """Say what is kept of a training that was stopped; SIGTERM goes on to whoever asked."""
        progress = self.progress
        onwards = f" --resume goes on at step {progress.step}." if saved else ""
        if isinstance(stop, Terminated):
            log.warning("Stopped by SIGTERM at step %d.%s", progress.step, onwards)
            raise stop
        kept = f"epoch {progress.best_epoch}" if progress.best_epoch else "this moment"
        if progress.start and not progress.best_epoch:
            kept = "the start"
        log.warning("Stopped by Ctrl-C: keeping the adapter of %s.%s", kept, onwards)


def fill(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Give each parameter the value that stands under its name."""
    with torch.no_grad():
        for name, tensor in parameters.items():
            tensor.copy_(values[name])


def linear_schedule(warmup: int, steps: int) -> Callable[[int], float]:
    """The rate's factor by step: up from 0 over ``warmup`` steps, then down to 0 at ``steps``."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return factor


def in_words(row: Mapping[str, float], task: Task) -> str:
    """The figures of validation rows that share a unit: ``accuracy 85.09 %, macro-F1 83.54 %``."""
    known = [each for each in task.metrics if each.name in row]
    shares = [f"{each.shown} {100 * row[each.name]:.2f} %" for each in known if each.share]
    numbers = [f"{each.shown} {row[each.name]:.3f}" for each in known]
    return ", ".join(shares or numbers)


def _say_epoch(row: dict[str, Any], epochs: int, task: Task, kept: str) -> None:
    log.info(
        "epoch %d/%d: loss %.3f, validation %s, %.0f s%s", row["epoch"], epochs, row["train_loss"],
        in_words(row, task), row["seconds"], kept and f" ({kept})",
    )  # fmt: skip
