"""The second stage of a training: trunk, threads, learner and checkpoints, put together and run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lora_bert.config import TrainConfig
from lora_bert.errors import DivergedError, UnavailableError
from lora_bert.model.adapter import Adapter
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.memory import reserve_for_blas
from lora_bert.runtime.signals import Terminated
from lora_bert.runtime.threads import Workers, computing_with, workers
from lora_bert.tokens.batching import padding_share
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.training.all_rows import all_matter, doubt, with_all_rows
from lora_bert.training.checkpoints import Checkpoint, Checkpoints
from lora_bert.training.context import Context
from lora_bert.training.gradients import Gradients, shares_of
from lora_bert.training.head_start import (
    FittedHead,
    fit_to_all,
    fitted_head,
    kept_start,
    soften,
)
from lora_bert.training.identity import check_alike, check_same, identity_of, made_elsewhere
from lora_bert.training.learner import BranchLearner, validate
from lora_bert.training.methods import fresh_adapter
from lora_bert.training.tokenize_rows import Tokens
from lora_bert.training.trackers import tracking
from lora_bert.training.trainer import Fit, Trainer, fill
from lora_bert.training.trunk_states import Trunk, trunk_states
from lora_bert.wording import counted

log = logging.getLogger(__name__)


def fit(
    context: Context, place: Path, checkpoint: Checkpoint | None
) -> tuple[Fit, BranchLearner, Tensor]:
    """Train a fresh adapter, or go on with the one of a checkpoint.

    Checkpoints stand in ``place``.

    Returns:
        What it came to, the learner as it is kept, and what it said of the texts to watch at first.

    Raises:
        ConfigError: The checkpoint is one of another run.
        DivergedError, Terminated: As :meth:`lora_bert.training.trainer.Trainer.fit`.
    """
    reserve_for_blas()
    config, backbone, task = context.config, context.backbone, context.task
    rows, validation = context.tokens["train"], context.tokens["validation"]
    adapter = fresh_adapter(config, backbone, task.head().outputs)
    _say_size(context, adapter.parameter_count)
    begun, after = (checkpoint.identity, checkpoint.progress.step) if checkpoint else (None, 0)
    keeps = "off" if begun and begun["trunk"] is None else config.trunk_cache
    trunk = trunk_states(context, adapter, place=keeps)
    fitted = fitted_head(context, adapter, trunk, checkpoint.progress if checkpoint else None)
    group, cores = processes(), torch.get_num_threads()
    parts, each = begun["workers"] if begun else shares_of(config, rows, backbone.device)
    # On a GPU one thread computes all slices, however many there were processes to share them.
    count = -(-parts // group.count) if backbone.device.type == "cpu" else 1
    with (
        workers(1, device=backbone.device, exactly=(count, each)) as threads,
        # Here as there: idle members of a larger team would wait busily, on the threads' cores.
        computing_with(threads.cores),
        tracking(config, after=after) as accelerator,
    ):
        scored = "own" if group.count > 1 else "validation"
        hidden = {scored: trunk.validation}
        gradients = _gradients(context, adapter, fitted, trunk, threads, parts)
        learner = BranchLearner(gradients, _texts(context, trunk), hidden, cores)
        score = partial(validate, learner, task, validation, scored, trunk.owners)
        begins = fitted and checkpoint is None
        start = kept_start(context, learner, adapter, score()) if begins else None
        before = learner.outputs("watched")
        chance = doubt(context, task.metric(config.metric))
        trainer = Trainer(learner, rows, task, config, accelerator, len(validation), start, chance)
        if fitted and start and trainer.epochs:
            soften(context, learner, fitted, start.figures)
        _say_batches(rows, trainer, on_cpu=backbone.device.type == "cpu")
        identity = identity_of(context, workers=(parts, each), trunk=trunk.key)
        check_alike(group.gather(identity | {"step": after}))
        kept = _go_on(trainer, checkpoint, identity) if checkpoint else None
        found = trainer.fit(score, _checkpoints(place, identity, config, kept))
        if found.stopped is None and (found.keeps_start or all_matter(context)):
            # None where its epoch ended before a resume.
            found.values = score().values if found.values is None else found.values
            if found.keeps_start:
                found.fitted_to_all = fit_to_all(context, learner, adapter, trunk, fitted)
            else:
                _repeat(context, found, learner, threads, parts, keeps)
        return found, learner, before


def _checkpoints(
    place: Path, identity: Mapping[str, Any], config: TrainConfig, kept: tuple[int, int] | None
) -> Checkpoints:
    """Where this process saves; of several the first one alone does."""
    minutes, steps = config.save_every, config.save_every_steps
    if not processes().is_first:
        minutes, steps = 0, None
    return Checkpoints(place, identity, minutes, steps, kept)


def _repeat(
    context: Context, found: Fit, learner: BranchLearner, threads: Workers, parts: int, place: str
) -> None:
    """Train once more, to the epoch that is kept, with the validation rows; the learner gets it.

    Whoever stops that has the adapter of before. ``place`` is where the trunk's output is kept.
    """
    context, config = with_all_rows(context), context.config
    rows, start = context.tokens["train"], found.progress.start
    log.info("Learning once more, from all %s.", counted(rows.encodings.row_count, "row"))
    adapter = fresh_adapter(config, context.backbone, context.task.head().outputs)
    try:
        trunk = trunk_states(context, adapter, place=place)
        fitted = fitted_head(context, adapter, trunk, None) if start else None
        gradients = _gradients(context, adapter, fitted, trunk, threads, parts)
        again = BranchLearner(gradients, {}, {}, learner.cores)
        trainer = Trainer(again, rows, context.task, config)
        trainer.progress.cuts = found.progress.cuts
        if fitted:
            soften(context, again, fitted, start)
        trainer.repeat(found.best_epoch)
    except (DivergedError, UnavailableError) as error:  # it came to nothing, or memory ran out
        log.warning("%s The adapter that was trained without the validation rows is kept.", error)
    except Terminated:
        raise
    except KeyboardInterrupt as stop:
        found.stopped = stop
        log.warning("Stopped by Ctrl-C: the adapter that was trained without the validation rows "
                    "is kept.%s", " --resume trains with them." if found.saved else "")  # fmt: skip
    else:
        fill(learner.parameters, again.parameters)
        found.fitted_to_all = True


def _gradients(
    context: Context, adapter: Adapter, fitted: FittedHead | None, trunk: Trunk,
    threads: Workers, parts: int,
) -> Gradients:  # fmt: skip
    """What computes the gradients of the training rows, of an adapter or its fitted form."""
    config, rows, states = context.config, context.tokens["train"], trunk.parts["train"]
    return Gradients(
        context.backbone, fitted.adapter if fitted else adapter, states.hidden, rows.lengths,
        rows.window_targets, context.task, threads, seed=config.seed,
        checkpointing=config.gradient_checkpointing, parts=parts, fetch=states.fetch,
        shares=rows.shares,
    )  # fmt: skip


def _texts(context: Context, trunk: Trunk) -> dict[str, TokenizedTexts]:
    """What outputs are wanted of: the parts, the texts to watch, this process's validation rows."""
    group, texts = processes(), {part: rows.encodings for part, rows in context.tokens.items()}
    if group.count > 1:
        texts["own"] = texts["validation"].take(np.flatnonzero(trunk.owners == group.rank))
    return texts | {"watched": context.watched}


def _go_on(
    trainer: Trainer, checkpoint: Checkpoint, identity: Mapping[str, Any]
) -> tuple[int, int]:
    """Restore the trainer; the moment of the checkpoint."""
    if changed := made_elsewhere(checkpoint.identity, identity):
        log.warning("It was begun elsewhere (%s): the last bits may differ.", changed)
    check_same(checkpoint.identity, identity, trainer.config)
    trainer.restore(checkpoint)
    log.info("Going on after step %d of %d.", checkpoint.progress.step, trainer.steps)
    return checkpoint.progress.moment


def _say_size(context: Context, trained: int) -> None:
    log.info(
        "Training %s of %s parameters on %s for %s (%s, %s).",
        f"{trained:,}", f"{trained + context.backbone.parameter_count:,}",
        _in_words(context.tokens["train"]),
        counted(int(context.config.epochs or 0), "epoch") if context.config.epochs else "no epoch",
        context.backbone.device, context.config.dtype,
    )  # fmt: skip


def _in_words(rows: Tokens) -> str:
    count, said = rows.encodings.row_count, counted(rows.encodings.row_count, "row")
    return f"{said} in {counted(len(rows), 'window')}" if len(rows) > count else said


def _say_batches(rows: Tokens, trainer: Trainer, *, on_cpu: bool) -> None:
    if not trainer.epochs:
        return
    batches = trainer.batches(1)
    filler = f", {100 * padding_share(rows.lengths, batches):.1f} % filler" if on_cpu else ""
    log.info(
        "%s an epoch, %.1f tokens a text%s.",
        counted(len(batches), "batch", "batches"), float(rows.lengths.mean()), filler,
    )  # fmt: skip
