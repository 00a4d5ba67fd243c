"""The last stage of a training: the kept adapter is judged, talked of and written."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from torch import Tensor

from lora_bert.backbones.resolve import remember
from lora_bert.data.digests import note_data_location
from lora_bert.data.part_names import DATA_OPTIONS
from lora_bert.evaluation.result import Evaluation, judge
from lora_bert.files import size_of
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.signals import uninterrupted
from lora_bert.tasks.base import Task
from lora_bert.training.advice import advise
from lora_bert.training.checkpoints import discard_checkpoints, note_written
from lora_bert.training.context import Context
from lora_bert.training.learner import BranchLearner, Learner, values_of
from lora_bert.training.prepare import to_watch
from lora_bert.training.record import record
from lora_bert.training.train_result import TrainResult, Watched
from lora_bert.training.trainer import Fit
from lora_bert.wording import counted

log = logging.getLogger(__name__)


def finish(context: Context, fitted: Fit, learner: BranchLearner, before: Tensor) -> TrainResult:
    """Judge what a training came to, and write its adapter.

    The learner has the parameters that are kept; ``before`` is what it said of the texts to watch
    before its first step.

    Raises:
        DivergedError: An output of the kept adapter is not a number.
        OutputError: The adapter cannot be written.
    """
    evaluations: dict[str, Evaluation] = {}
    answers: list[Watched] = []
    with processes().first() as alone:
        if alone:
            evaluations, answers = _write(context, fitted, learner, before)
    output, trainable = context.output, learner.adapter.parameter_count
    return TrainResult(
        path=output,
        labels=context.task.labels,
        evaluations=evaluations,
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        steps=fitted.progress.step,
        trainable=trainable,
        total=trainable + context.backbone.parameter_count,
        size=size_of(output),
        head_start=fitted.progress.head_start,
        interrupted=fitted.stopped is not None,
        resumable=fitted.stopped is not None and fitted.saved,
        watched=answers,
        asked_as=context.task.asked_as[context.splits.train.inputs - 1],
    )


def _write(
    context: Context, fitted: Fit, learner: BranchLearner, before: Tensor
) -> tuple[dict[str, Evaluation], list[Watched]]:
    """Judge and write; the scores, and what is said of the texts to watch."""
    config, output = context.config, context.output
    task, evaluations = _evaluate(context, learner, fitted)
    context = replace(context, task=task)
    advise(config, fitted, task, context.tokens["train"].targets, evaluations.get("validation"))
    both = (before, learner.outputs("watched"))
    said = [task.decode(task.row_values(each.numpy(), context.watched)) for each in both]
    texts = to_watch(config, context.splits.train.inputs)
    watched = [
        Watched(text, then, now, (" ".join(task.line(then)), " ".join(task.line(now))))
        for text, then, now in zip(texts, *said, strict=True)
    ]
    adapter = learner.adapter.copy()
    with uninterrupted():  # that it stands there, and that its checkpoints know of it, is one thing
        record(context, adapter, fitted, evaluations)
        if fitted.stopped is None:
            discard_checkpoints(output)
        else:
            note_written(output)
    remember(context.files)
    places = {option: getattr(config, option) for option in DATA_OPTIONS}
    note_data_location(context.splits.sha256, places)
    return evaluations, watched


def _evaluate(
    context: Context, learner: Learner, fitted: Fit
) -> tuple[Task, dict[str, Evaluation]]:
    """What every part but the training rows says of the kept adapter, and the task as tuned.

    The validation rows, by which it is tuned, come first. They were answered when its epoch ended;
    they are answered again only where that was before a resume.
    """
    task, evaluations = context.task, dict[str, Evaluation]()
    try:
        for part in [part for part in context.tokens if part != "train"]:
            rows = context.tokens[part]
            values = fitted.values if part == "validation" else None
            if values is None:
                if fitted.stopped:
                    log.info("Scoring the adapter on %s (%s); another Ctrl-C skips that.",
                             counted(rows.encodings.row_count, "row"), part)  # fmt: skip
                values = values_of(task, learner.outputs(part), rows.encodings)
            if part == "validation":
                task = _tuned(task, values, rows.targets)
            evaluations[part] = judge(task, values, rows.targets, metric=context.config.metric)
    except KeyboardInterrupt as stop:
        fitted.stopped = stop
        log.warning("Stopped while scoring: the adapter is kept, not all of its scores.")
    return task, evaluations


def _tuned(task: Task, values: np.ndarray, targets: np.ndarray) -> Task:
    note, warning = task.tuning_notes(values, targets)
    if note:
        log.info("%s", note)
    if warning:
        log.warning("%s", warning)
    return task.tuned(values, targets)
