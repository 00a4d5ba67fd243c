"""How far a training has come: one position in the data, and what was found on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lora_bert.metrics.metric import Metric


@dataclass
class Progress:
    """Everything but tensors that changes while a training runs; plain JSON values.

    The order of the batches and the dropout are functions of the run's seed and of the step, so no
    random generator has a state that would have to be kept.

    Attributes:
        step: Optimizer steps done, over all epochs: the position in the data.
        epoch_loss: Summed loss of the epoch under way.
        epoch_weight: What it is to be divided by.
        epoch_seconds: Spent on it by runs that were stopped in it.
        history: A dict for each epoch that was scored: epoch, train_loss, seconds, the figures.
        best_epoch: Counted from 1; 0 before the first one was scored, or where none was better
            than the start.
        start: What the validation rows said of a fitted head before the first step; empty where the
            head started at random.
        cuts: Into how many times as many slices as usual batches are cut, since memory ran out.
    """

    step: int = 0
    epoch_loss: float = 0.0
    epoch_weight: float = 0.0
    epoch_seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    start: dict[str, float] = field(default_factory=dict)
    cuts: int = 1

    @property
    def epoch(self) -> int:
        """The epoch under way, counted from 1."""
        return len(self.history) + 1

    @property
    def head_start(self) -> str:
        """Where the head started, as ``--head-start`` has it: ``probe`` or ``random``."""
        return "probe" if self.start else "random"

    @property
    def moment(self) -> tuple[int, int]:
        """Steps done and epochs scored: what tells one checkpoint from another."""
        return self.step, len(self.history)

    @property
    def mean_loss(self) -> float:
        """Of the epoch under way, so far."""
        return self.epoch_loss / self.epoch_weight

    def end_step(self, loss: float, weight: float, seconds: float) -> None:
        """Note a step: the summed loss of its rows, their weight, and how long it took."""
        self.step += 1
        self.epoch_loss += loss
        self.epoch_weight += weight
        self.epoch_seconds += seconds

    def waited(self, metric: Metric) -> int:
        """Epochs since the last one with a better ``metric`` than all before it.

        An equal one is no better, whatever its loss: with few rows the metric soon stands still
        while the loss falls for many epochs more.
        """
        values = [past[metric.name] for past in self.history]
        if not values:
            return 0
        best = max(values) if metric.higher_is_better else min(values)
        return len(values) - 1 - values.index(best)

    def end_epoch(
        self, figures: Mapping[str, float], seconds: float, metric: Metric, doubt: float = 0.0
    ) -> bool:
        """Note what an epoch came to; whether it is the best so far.

        Of epochs that are equal by the metric, as many are on few rows, the one with the lower
        validation loss is the better: it is surer of the same answers. With a ``doubt``, the last
        one is that is worse than none before it by more than so much.
        """
        row = {"epoch": self.epoch, "train_loss": self.mean_loss,
               "seconds": self.epoch_seconds + seconds, **figures}  # fmt: skip
        sign = 1 if metric.higher_is_better else -1
        scored = [past for past in (self.start, *self.history, row) if past]
        ranks = [(sign * past[metric.name], -past["validation_loss"]) for past in scored]
        better = len(ranks) == 1 or ranks[-1] > max(ranks[:-1])
        if doubt and not better:
            better = ranks[-1][0] >= max(ranks)[0] - doubt
        self.history.append(row)
        if better:
            self.best_epoch = len(self.history)
        self.begin_epoch()
        return better

    def begin_epoch(self) -> None:
        """Forget the loss and the time of the epoch before."""
        self.epoch_loss = self.epoch_weight = self.epoch_seconds = 0.0
