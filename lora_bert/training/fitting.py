"""Fitting an adapter to the rows of a run: trunk, threads, loop and checkpoints put together."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lora_bert.config import TrainConfig
from lora_bert.errors import DivergedError
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.new_adapter import head_only, new_adapter
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.memory import reserve_for_blas
from lora_bert.runtime.threads import workers
from lora_bert.tasks.base import Task
from lora_bert.tokens.batching import epoch_batches, padding_share
from lora_bert.training.checkpoint import Checkpoint
from lora_bert.training.checkpointer import Checkpointer
from lora_bert.training.gradients import shares_of
from lora_bert.training.identity import (
    check_alike,
    check_content,
    check_settings,
    identity_of,
    made_elsewhere,
)
from lora_bert.training.loop import Fit, fit
from lora_bert.training.record import Run
from lora_bert.training.tokenize_rows import Tokens
from lora_bert.training.trackers import tracking
from lora_bert.training.trainer import Figures, Trainer
from lora_bert.training.trunk_states import hidden_states, validation_logits
from lora_bert.wording import counted

log = logging.getLogger(__name__)


def fresh_adapter(config: TrainConfig, backbone: Backbone, outputs: int) -> Adapter:
    """The adapter before its first step."""
    generator = torch.Generator().manual_seed(config.seed)
    if config.method == "head-only":
        return head_only(backbone, outputs, generator=generator)
    return new_adapter(
        backbone,
        outputs,
        rank=config.rank,
        alpha=float(config.alpha or 0),
        dropout=config.dropout,
        target_modules=config.target_modules,
        layers=config.layers,
        generator=generator,
    )


def fit_adapter(
    this: Run,
    tokens: Mapping[str, Tokens],
    backbone: Backbone,
    place: Path,
    checkpoint: Checkpoint | None = None,
) -> Fit:
    """Train a fresh adapter, or go on with the one of a checkpoint.

    Args:
        this: The run.
        tokens: Its rows, by part.
        backbone: Frozen.
        place: Where checkpoints stand.
        checkpoint: The checkpoint to go on from.

    Raises:
        ConfigError: It is one of another run.
        DivergedError, Terminated: As :func:`lora_bert.training.loop.fit`.
    """
    reserve_for_blas()
    config = this.config
    train, validation = tokens["train"], tokens["validation"]
    adapter = fresh_adapter(config, backbone, this.task.head().outputs).to(backbone.device)
    _say_size(config, adapter, backbone, train)
    keeps = "off" if checkpoint and checkpoint.identity["trunk"] is None else config.trunk_cache
    trunk = hidden_states(
        backbone, adapter.depth, tokens, place=keeps, limit=config.trunk_cache_limit,
        fingerprint=this.fingerprint, name=this.files.name,
    )  # fmt: skip
    _say_batches(config, train)
    us, tracked = processes(), checkpoint.progress.step if checkpoint else 0
    parts, cores = shares_of(config, train, backbone.device)
    if checkpoint:
        parts, cores = checkpoint.identity["workers"]
    with (
        workers(1, device=backbone.device, exactly=(-(-parts // us.count), cores)) as threads,
        tracking(config, after=tracked) as accelerator,
    ):

        def validate(current: Adapter) -> Figures:
            own = validation.lengths[trunk.owners == us.rank]
            found = validation_logits(
                backbone, current, trunk.hidden["validation"], own, config.batch_size, threads
            )
            outputs = torch.from_numpy(us.collect(found.numpy(), trunk.owners))
            scores = this.task.score(values(this.task, outputs), validation.targets)
            loss = scores.figures.get("log_loss")
            if loss is None:
                summed = this.task.loss(outputs, torch.from_numpy(validation.targets))
                loss = float(summed) / this.task.weight(validation.targets)
            return {**scores.figures, "validation_loss": loss}

        identity = identity_of(
            config, data=this.splits.sha256, backbone=this.fingerprint, tokens=tokens,
            device=backbone.device, workers=(parts, cores), trunk=trunk.key,
        )  # fmt: skip
        check_alike(us.gather(identity | {"step": tracked}))
        trainer = Trainer(
            backbone, adapter, train, config, this.task, trunk.hidden["train"], threads,
            epochs=int(config.epochs or 0), parts=parts, fetch=trunk.fetch, accelerator=accelerator,
        )  # fmt: skip
        if checkpoint:
            _go_on(trainer, checkpoint, identity)
        checkpointer = Checkpointer(
            place, identity,
            minutes=config.save_every if us.is_first else 0,
            steps=config.save_every_steps if us.is_first else None,
            kept=checkpoint.progress.moment if checkpoint else None,
        )  # fmt: skip
        return fit(trainer, validate, checkpointer)


def _go_on(trainer: Trainer, checkpoint: Checkpoint, identity: Mapping[str, Any]) -> None:
    if changed := made_elsewhere(checkpoint.identity, identity):
        log.warning("It was begun elsewhere (%s): the last bits may differ.", changed)
    check_content(checkpoint.identity, identity, trainer.config)
    check_settings(checkpoint.identity, trainer.config)
    trainer.restore(checkpoint)
    log.info("Going on after step %d of %d.", checkpoint.progress.step, trainer.steps)


def _say_size(config: TrainConfig, adapter: Adapter, backbone: Backbone, rows: Tokens) -> None:
    log.info(
        "Training %s of %s parameters on %s for %s (%s, %s).",
        f"{adapter.parameter_count:,}",
        f"{adapter.parameter_count + backbone.parameter_count:,}",
        counted(len(rows), "row"),
        counted(int(config.epochs or 0), "epoch"),
        backbone.device,
        config.dtype,
    )


def _say_batches(config: TrainConfig, rows: Tokens) -> None:
    batches = epoch_batches(
        rows.lengths, seed=config.seed, epoch=1,
        batch_size=config.batch_size, batch_tokens=config.batch_tokens,
    )  # fmt: skip
    log.info(
        "%s an epoch, %.1f tokens a text, %.1f %% filler.",
        counted(len(batches), "batch", "batches"),
        float(rows.lengths.mean()),
        100 * padding_share(rows.lengths, batches),
    )


def values(task: Task, outputs: torch.Tensor) -> np.ndarray:
    """Outputs ``[rows, outputs]`` -> what the task makes of them.

    Raises:
        DivergedError: One of them is not a number.
    """
    if not outputs.isfinite().all():
        raise DivergedError(
            "Training diverged: what the adapter says of other rows is not a number.",
            hint="Lower --learning-rate.",
        )
    return task.values(outputs.numpy())
