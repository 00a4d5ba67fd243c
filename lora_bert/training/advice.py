"""What a training says of itself at its end: that it came to nothing, or that more may pay."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from lora_bert.config import TrainConfig
from lora_bert.evaluation.result import Evaluation
from lora_bert.metrics.classification import Scores
from lora_bert.metrics.metric import Metric
from lora_bert.tasks.base import Task
from lora_bert.training.divergence import SMALLEST_NORM
from lora_bert.training.trainer import Fit
from lora_bert.wording import shortened

log = logging.getLogger(__name__)

DEFAULT_RATE = float(TrainConfig().learning_rate)

_NO_LOWER = 0.98
"""A loss above this part of the guesser's is as good as the guesser's."""
_ROSE = 1.05
"""A loss of so many times that of even odds is no fresh head's: steps have driven it up."""
_FELL = 0.95
"""A loss below this part of the epoch's before, or of even odds in the first, is on its way."""
_STEEP = 1.5
"""Standard errors that the metric must have risen by in the last epoch."""


def advise(
    config: TrainConfig, fitted: Fit, task: Task, targets: np.ndarray, validation: Evaluation | None
) -> None:
    """Log what the epochs of a training call for, if they call for anything.

    ``targets`` are those of the training rows; ``validation`` has the scores of the kept adapter.
    """
    if fitted.history and fitted.keeps_start:
        log.info("No epoch was better than the fitted head, which is kept.")
    if fitted.fitted_to_all:
        log.info("What is kept has learned once more, from the validation rows too; what they said "
                 "is of before.")  # fmt: skip
    if not fitted.history or validation is None:
        return
    scores = validation.by_class
    guess = task.chance_loss(targets)
    even = task.fresh_loss(targets)
    metric = task.metric(config.metric)
    losses = seen = [float(row["train_loss"]) for row in fitted.history]
    if config.class_weights == "none":  # the validation's loss is never weighted
        seen = losses + [float(row["validation_loss"]) for row in fitted.history]
    perfect = validation.scores.figures[metric.name] == metric.best
    beats = perfect or (scores is not None and _beats_guessing(validation, scores))
    if min(seen) > _NO_LOWER * guess and not beats and not fitted.keeps_start:
        log.warning("%s", _nothing(config, losses, guess, even, stood_still=fitted.stood_still))
    elif scores and (answer := _only_answer(scores)):
        log.warning(
            "Every validation row is predicted '%s': %s.", shortened(answer), _remedies(config)
        )
    elif fitted.stopped is None and still_rising(fitted.history, config.epochs, metric, validation):
        before, now = (_said(row[metric.name], metric) for row in fitted.history[-2:])
        log.info(
            "The validation %s still %s steeply in the last epoch (%s → %s): more may pay, "
            "--epochs %d for example.",
            metric.name, "rose" if metric.higher_is_better else "fell",
            before, now, 2 * len(fitted.history),
        )  # fmt: skip


def _beats_guessing(validation: Evaluation, scores: Scores) -> bool:
    """Whether the macro-F1 is surely above that of one answer, and of answers drawn at random."""
    rows = [entry.rows for entry in scores.per_class]
    share = max(rows) / sum(rows)
    one_answer = 2 * share / (1 + share) / len(rows)
    return validation.macro_f1_interval.low > max(one_answer, 1 / len(rows))


def _nothing(
    config: TrainConfig, losses: Sequence[float], guess: float, even: float, *, stood_still: bool
) -> str:
    """That the loss is no lower than a guesser's, and what to do about it."""
    top, rate = max(losses), config.learning_rate
    at = f"--learning-rate: it was {rate:g}, and {DEFAULT_RATE:g} is the default."
    if top > _ROSE * even and top > _ROSE * min(losses) and rate > DEFAULT_RATE / 10:
        return (
            f"Nothing was learned: the loss rose to {top:.3g}, where answers that know "
            f"nothing of a text have {guess:.3g}. Lower {at}"
        )
    course = f"the loss was {losses[0]:.3g}"
    if len(losses) > 1:
        course = f"the loss went from {losses[0]:.3g} to {losses[-1]:.3g}"
    said = (
        f"Nothing was learned: {course}, where answers that know nothing of a text have "
        f"{guess:.3g}. "
    )
    if 0 < config.max_grad_norm < SMALLEST_NORM:
        return f"{said}Raise --max-grad-norm: it was {config.max_grad_norm:g}."
    if rate < DEFAULT_RATE / 2:
        return f"{said}Raise {at}"
    if stood_still:
        return f"{said}More epochs do not help: see what was said of the first."
    if top <= even and losses[-1] < _FELL * [even, *losses][-2]:
        return f"{said}It was still falling: train longer (--epochs)."
    if rate > 2 * DEFAULT_RATE:
        return f"{said}Lower {at}"
    return (
        f"{said}Train longer (--epochs), and look whether the labels are those of the texts and "
        "the backbone knows their language."
    )


def _only_answer(scores: Scores) -> str:
    """The class that every row is predicted as, unless all rows are of it; else ""."""
    predicted = [entry for entry in scores.per_class if entry.predicted]
    alone = len(predicted) == 1 and predicted[0].rows < scores.rows
    return predicted[0].label if alone else ""


def _remedies(config: TrainConfig) -> str:
    """What helps where the loss falls and still one class gets all rows."""
    wanted = ["train longer (--epochs) or on more rows"]
    if config.learning_rate < DEFAULT_RATE / 2:
        wanted.insert(0, f"raise --learning-rate (it was {config.learning_rate:g})")
    if config.class_weights == "none":
        wanted.append("weigh the classes (--class-weights balanced)")
    return ", or ".join(wanted)


def still_rising(
    history: Sequence[dict[str, float]], epochs: int | None, metric: Metric, validation: Evaluation
) -> bool:
    """Whether the metric rose in the last of all epochs by more than chance explains.

    It must have become the best so far, and have risen by at least half as much as in the epoch
    before: where the learning rate runs out or the rows are learned, it flattens. At its best it
    cannot rise.
    """
    if len(history) < 2 or len(history) != epochs or history[-1][metric.name] == metric.best:
        return False
    sign = 1 if metric.higher_is_better else -1
    values = [sign * row[metric.name] for row in history]
    rises = np.diff(values)
    if values[-1] <= max(values[:-1]) or (len(rises) > 1 and rises[-1] < rises[-2] / 2):
        return False
    return bool(rises[-1] > _STEEP * _standard_error(metric.name, validation))


def _standard_error(metric: str, validation: Evaluation) -> float:
    """Of the metric on the validation rows; of one that has no interval, a fifteenth."""
    if metric not in validation.intervals:
        return validation.scores.figures[metric] / 15
    low, high = validation.intervals[metric]
    return (high - low) / (2 * 1.96)


def _said(value: float, metric: Metric) -> str:
    return f"{100 * value:.1f} %" if metric.share else f"{value:.3f}"
