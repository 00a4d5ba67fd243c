"""Where the head starts: at random, or where it answers best from the frozen backbone.

Linear probing, then fine-tuning (Kumar et al. 2022, arXiv:2202.10054): the last layer of the head
is fitted before the first step, on what the frozen layers make of the training rows.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lora_bert.cache.token_states import CHUNK_TOKENS
from lora_bert.model.adapter import Adapter
from lora_bert.model.forward import pooled
from lora_bert.model.heads import features
from lora_bert.model.identity_dense import identity_dense
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.progress_bar import track
from lora_bert.runtime.threads import computing_with, workers
from lora_bert.tokens.batching import chunks
from lora_bert.training.context import Context
from lora_bert.training.gradients import HiddenStates
from lora_bert.training.learner import Learner, Validation
from lora_bert.training.methods import starts_fitted
from lora_bert.training.progress import Progress
from lora_bert.training.trainer import fill, in_words
from lora_bert.training.trunk_states import Trunk

log = logging.getLogger(__name__)

MOST_ROWS = 10_000
"""A head that goes on to learn is fitted on so many rows; they are drawn where there are more."""
_MOST_BYTES = 1 << 28
"""What features may take where the head learns nothing more."""
_AT_ONCE = 64
"""Chunks for each process whose hidden states may wait in memory."""


def begins_fitted(context: Context, begun: Progress | None) -> bool:
    """Whether the head is to be fitted now; ``begun`` is the progress of a training that goes on.

    Its checkpoint has the head; only texts that are watched ask how it began.
    """
    if begun is None:
        return starts_fitted(context.config, context.task)
    return bool(begun.start) and len(context.watched) > 0


def kept_start(
    context: Context, learner: Learner, fresh: Adapter, start: Validation
) -> Validation | None:
    """What validation rows say of a fitted head, or None where it begins at random after all.

    With ``auto`` it does where they find it no better than guessing: ``fresh`` has the head then.
    """
    config, task = context.config, context.task
    loss = start.figures["validation_loss"]
    guess = task.chance_loss(context.tokens["validation"].targets)
    if config.head_start == "auto" and config.epochs and loss > guess:
        fill(learner.parameters, fresh.named_tensors)
        log.info(
            "The head starts at random: fitted on the frozen backbone it guesses (validation loss "
            "%.3f, and %.3f by the shares of the answers).", loss, guess,
        )  # fmt: skip
        return None
    said = in_words(start.figures, task)
    log.info("The head is fitted on the frozen backbone before any step: validation %s.", said)
    return start


def with_probe(context: Context, adapter: Adapter, trunk: Trunk) -> Adapter | None:
    """The adapter with a head that answers best from the frozen backbone, before any step.

    None where what the head reads of the training rows is no number.
    """
    backbone, config, task = context.backbone, context.config, context.task
    rows = _sample(context, adapter)
    read = _read(context, adapter, trunk, rows)
    with computing_with(1):  # so that no bit depends on the number of cores
        head = {name: tensor.cpu() for name, tensor in adapter.head.items()}
        head |= identity_dense(backbone, read)
        said = features(backbone, read, head, None).numpy()
        targets = context.tokens["train"].targets[rows]
        found = task.probe(said, targets, seed=config.seed) if np.isfinite(said).all() else None
    if found is None:
        return None
    name = backbone.config.layout.head.output
    head |= dict(zip((f"{name}.weight", f"{name}.bias"), map(torch.from_numpy, found), strict=True))
    return replace(adapter, head={key: part.to(backbone.device) for key, part in head.items()})


def _sample(context: Context, adapter: Adapter) -> np.ndarray:
    """The numbers of the rows that the head is fitted on, the longest first."""
    lengths = context.tokens["train"].lengths
    most = MOST_ROWS if adapter.factors else _MOST_BYTES // (4 * context.backbone.hidden_size)
    rows = np.arange(len(lengths))
    if context.task.head().of_tokens:
        most = int(_MOST_BYTES / (4 * context.backbone.hidden_size * lengths.mean()))
    if len(lengths) > most:
        rows = np.random.default_rng(context.config.seed).choice(len(lengths), most, replace=False)
    return rows[np.argsort(-lengths[rows], kind="stable")]


def _read(context: Context, adapter: Adapter, trunk: Trunk, rows: np.ndarray) -> Tensor:
    """What the head reads of rows where no layer has learned, ``[rows, hidden]``, float32.

    Of a head that reads every token, ``[tokens, hidden]``.

    Each chunk is computed on one core, and the chunks are those of the lengths alone: neither cores
    nor processes change a bit.
    """
    backbone, group = context.backbone, processes()
    lengths = context.tokens["train"].lengths[rows]
    cut = list(chunks(lengths, CHUNK_TOKENS[backbone.device.type]))
    sizes = [len(part) for part in cut]
    if context.task.head().of_tokens:
        sizes = [int(lengths[part].sum()) for part in cut]
    owners = np.repeat(np.arange(len(cut)) % group.count, sizes)
    own: list[np.ndarray] = [np.empty((0, backbone.hidden_size), np.float32)]
    with (
        track(len(rows), "the head's start", unit="text") as bar,
        workers(torch.get_num_threads(), device=backbone.device) as threads,
    ):
        for begin in range(0, len(cut), _AT_ONCE * group.count):
            some = cut[begin : begin + _AT_ONCE * group.count]
            shares = [some[rank :: group.count] for rank in range(group.count)]
            wanted = [rows[np.concatenate([np.zeros(0, np.int64), *share])] for share in shares]
            hidden = trunk.fetch(wanted) if trunk.fetch else trunk.train
            mine = [rows[part] for part in shares[group.rank]]
            own += threads.map(partial(_read_at_once, context, adapter, hidden), mine)
            bar.update(sum(map(len, some)))
    return torch.from_numpy(group.collect(np.concatenate(own), owners))


def _read_at_once(
    context: Context, adapter: Adapter, hidden: HiddenStates, rows: np.ndarray
) -> np.ndarray:
    with torch.inference_mode():
        read = pooled(context.backbone, *hidden(rows), adapter, updates={})
        return read.cpu().numpy()
