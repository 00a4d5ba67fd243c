"""Where the head starts: at random, or where it answers best from the frozen backbone.

Linear probing, then fine-tuning (Kumar et al. 2022, arXiv:2202.10054): the last layer of the head
is fitted before the first step, on what the frozen layers make of the training rows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from lora_bert.tasks.logistic import folds
from lora_bert.tokens.batching import chunks
from lora_bert.tokens.tokenized import cu_seqlens, means_between
from lora_bert.training.all_rows import are_few
from lora_bert.training.context import Context
from lora_bert.training.gradients import HiddenStates
from lora_bert.training.learner import Learner, Validation
from lora_bert.training.methods import starts_fitted
from lora_bert.training.progress import Progress
from lora_bert.training.tokenize_rows import Tokens
from lora_bert.training.trainer import fill, in_words
from lora_bert.training.trunk_states import Trunk

log = logging.getLogger(__name__)

MOST_ROWS = 10_000
"""A head that goes on to learn is fitted on so many rows; they are drawn where there are more."""
_MOST_BYTES = 1 << 28
"""What features may take where the head learns nothing more."""
_PARTS = 4
"""Of few rows, each of which is left out of the fit once."""
_HALVINGS = 20
"""Of the range in which the share lies of what a fitted head says."""
_AT_ONCE = 64
"""Chunks for each process whose hidden states may wait in memory."""


@dataclass(frozen=True)
class Read:
    """What a head reads of rows.

    Attributes:
        vectors: Float32 ``[windows, hidden]``, or ``[tokens, hidden]``, on the CPU.
        counts: How many windows each row has, int64 ``[rows]``.
    """

    vectors: Tensor
    counts: np.ndarray

    def means(self, features: np.ndarray) -> np.ndarray:
        """Features of windows, ``[windows, width]`` -> the mean of each row's.

        The last layer of a head is linear: what it makes of that is the mean of what it makes of
        the windows.
        """
        return means_between(features, cu_seqlens(self.counts))


@dataclass(frozen=True)
class FittedHead:
    """A head that answers best from the frozen backbone, before any step.

    Attributes:
        adapter: Has it.
        read: What it reads of the rows that it was fitted on; None where nothing is fitted on them
            again.
        features: What its last layer reads of them, ``[rows, width]``, where they are few.
        outputs: What it says of them, ``[rows, outputs]``, on the CPU.
        targets: Of the same rows.
    """

    adapter: Adapter
    read: Read | None
    features: np.ndarray | None
    outputs: Tensor
    targets: np.ndarray


def kept_start(
    context: Context, learner: Learner, fresh: Adapter, start: Validation
) -> Validation | None:
    """What validation rows say of a fitted head, or None where it begins at random after all.

    With ``auto`` it does where they find it no better than guessing: ``fresh`` has the head then.
    Few validation rows hold few classes, whose shares among themselves nobody could have guessed;
    so those of the training rows count where they are harder.
    """
    config, task = context.config, context.task
    loss = start.figures["validation_loss"]
    guess = max(task.chance_loss(context.tokens[part].targets) for part in ("train", "validation"))
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


def soften(
    context: Context, learner: Learner, fitted: FittedHead, start: Mapping[str, float]
) -> None:
    """Have the head say less of the rows that it was fitted on: no more than it knows of others.

    A head that answers its own rows too surely leaves the layers no gradient. Its outputs go
    towards their mean, until the loss of these rows is about that of the validation rows, which
    ``start`` has; where those are few, that of rows left out of the fit.
    """
    outputs = fitted.outputs
    loss = start["validation_loss"]
    if fitted.features is not None:
        loss = _loss_of_others(context, fitted.features, fitted.targets)
    # Rounded: its last bits depend on the batches, which are others with other processes.
    wanted = float(f"{loss:.2g}")
    middle = outputs.mean(dim=0)
    low, share = 0.0, 1.0
    if context.task.validation_loss(outputs, fitted.targets) >= wanted:
        return
    for _ in range(_HALVINGS):
        between = (low + share) / 2
        less = middle + between * (outputs - middle)
        if context.task.validation_loss(less, fitted.targets) >= wanted:
            low = between
        else:
            share = between
    name = context.backbone.config.layout.head.output
    with torch.no_grad():
        weight, bias = (learner.parameters[f"{name}.{kind}"] for kind in ("weight", "bias"))
        weight.mul_(share)
        bias.mul_(share).add_((1 - share) * middle.to(bias.device))


def _loss_of_others(context: Context, features: np.ndarray, targets: np.ndarray) -> float:
    """The mean loss of rows by heads that were fitted without them."""
    task, seed = context.task, context.config.seed
    part_of = folds(targets if targets.ndim == 1 else np.zeros(len(targets)), _PARTS, seed)
    total = 0.0
    for part in np.unique(part_of):
        others, own = part_of != part, part_of == part
        found = task.probe(features[others], targets[others], seed=seed) if others.any() else None
        if found is None:
            return task.chance_loss(targets)
        weight, bias = map(torch.from_numpy, found)
        with computing_with(1):
            outputs = torch.from_numpy(features[own]) @ weight.T + bias
        total += int(own.sum()) * task.validation_loss(outputs, targets[own])
    return total / len(targets)


def fitted_head(
    context: Context, adapter: Adapter, trunk: Trunk, begun: Progress | None
) -> FittedHead | None:
    """The adapter with a head that answers best from the frozen backbone, before any step.

    None where it is to start at random, or what it reads of the training rows is no number. A
    training that goes on, whose progress is ``begun``, has its head in the checkpoint; only texts
    that are watched ask how it began.
    """
    if not starts_fitted(context.config, context.task):
        return None
    if begun and not (begun.start and len(context.watched)):
        return None
    rows = _sample(context, adapter)
    read = _read(context, adapter, trunk, "train", rows)
    fitted = _fitted_to(context, adapter, read, context.tokens["train"].targets[rows])
    if fitted is None:
        return None
    if not _takes_all(context, adapter):
        return replace(fitted, read=None, features=None)
    return fitted if are_few(context) else replace(fitted, features=None)


@torch.no_grad()
def fit_to_all(
    context: Context, learner: Learner, adapter: Adapter, trunk: Trunk, fitted: FittedHead | None
) -> bool:
    """Fit a head that is kept as it started once more, on the held-out rows too.

    Of few rows those matter most. What the validation rows said stays what they said before. Not
    done where they are rows of their own, there are more rows than a head is fitted on, or the head
    reads every token.

    Args:
        context: Of the training.
        learner: Has the parameters that are kept.
        adapter: Before any step.
        trunk: Of both parts.
        fitted: The head as it started; None where it stood in a checkpoint.

    Returns:
        Whether it was done.
    """
    train, held_out = (context.tokens[part] for part in ("train", "validation"))
    if not _takes_all(context, adapter):
        return False
    rows, others = (
        _longest_first(part, np.arange(len(part.targets))) for part in (train, held_out)
    )
    first = fitted.read if fitted else None
    if first is None:
        first = _read(context, adapter, trunk, "train", rows)
    second = _read(context, adapter, trunk, "validation", others)
    vectors = torch.cat([first.vectors, second.vectors])
    read = Read(vectors, np.concatenate([first.counts, second.counts]))
    targets = np.concatenate([train.targets[rows], held_out.targets[others]])
    found = _fitted_to(context, adapter, read, targets)
    if found is None:
        return False
    fill(learner.parameters, found.adapter.named_tensors)
    return True


def _fitted_to(
    context: Context, adapter: Adapter, read: Read, targets: np.ndarray
) -> FittedHead | None:
    """The adapter with the head that answers best from what is ``read`` of rows."""
    backbone, config, task = context.backbone, context.config, context.task
    with computing_with(1):  # so that no bit depends on the number of cores
        head = {name: tensor.cpu() for name, tensor in adapter.head.items()}
        head |= identity_dense(backbone, read.vectors, adapter.pooling)
        said = read.means(features(backbone, read.vectors, head, None).numpy())
        found = task.probe(said, targets, seed=config.seed) if np.isfinite(said).all() else None
        if found is None:
            return None
        weight, bias = map(torch.from_numpy, found)
        outputs = torch.from_numpy(said) @ weight.T + bias
    name = backbone.config.layout.head.output
    head |= {f"{name}.weight": weight, f"{name}.bias": bias}
    head = {key: tensor.to(backbone.device) for key, tensor in head.items()}
    return FittedHead(replace(adapter, head=head), read, said, outputs, targets)


def _sample(context: Context, adapter: Adapter) -> np.ndarray:
    """The numbers of the rows that the head is fitted on, the longest first."""
    tokens, most = context.tokens["train"], _most(context, adapter)
    count = len(tokens.targets)
    rows = np.arange(count)
    if count > most:
        rows = np.random.default_rng(context.config.seed).choice(count, most, replace=False)
    return _longest_first(tokens, rows)


def _longest_first(tokens: Tokens, rows: np.ndarray) -> np.ndarray:
    """The numbers of rows, by the length of their first windows."""
    first = tokens.encodings.begins[rows] if tokens.by_row else rows
    longest: np.ndarray = rows[np.argsort(-tokens.lengths[first], kind="stable")]
    return longest


def _most(context: Context, adapter: Adapter) -> int:
    """On how many rows a head is fitted."""
    vectors, tokens = _MOST_BYTES / (4 * context.backbone.hidden_size), context.tokens["train"]
    if context.task.head().of_tokens:
        return int(vectors / tokens.lengths.mean())
    return int((MOST_ROWS if adapter.factors else vectors) * tokens.mean_share)


def _takes_all(context: Context, adapter: Adapter) -> bool:
    """Whether the held-out rows can be fitted on too: of a head that reads texts, and few rows."""
    rows = sum(len(context.tokens[part].targets) for part in ("train", "validation"))
    one_vector = not context.task.head().of_tokens
    return bool(context.splits.held_out) and one_vector and rows <= _most(context, adapter)


def _read(context: Context, adapter: Adapter, trunk: Trunk, part: str, rows: np.ndarray) -> Read:
    """What the head reads of rows where no layer has learned.

    Each chunk is computed on one core, and the chunks are those of the lengths alone: neither cores
    nor processes change a bit.
    """
    backbone, group, states = context.backbone, processes(), trunk.parts[part]
    windows, counts = context.tokens[part].windows_of(rows)
    lengths = context.tokens[part].lengths[windows]
    cut = list(chunks(lengths, CHUNK_TOKENS[backbone.device.type]))
    sizes = [len(part) for part in cut]
    if context.task.head().of_tokens:
        sizes = [int(lengths[part].sum()) for part in cut]
    owners = np.repeat(np.arange(len(cut)) % group.count, sizes)
    own: list[np.ndarray] = [np.empty((0, backbone.hidden_size), np.float32)]
    with (
        track(len(windows), "the head's start", unit="text") as bar,
        workers(torch.get_num_threads(), device=backbone.device) as threads,
    ):
        for begin in range(0, len(cut), _AT_ONCE * group.count):
            some = cut[begin : begin + _AT_ONCE * group.count]
            shares = [some[rank :: group.count] for rank in range(group.count)]
            wanted = [windows[np.concatenate([np.zeros(0, np.int64), *share])] for share in shares]
            hidden = states.fetch(wanted) if states.fetch else states.hidden
            mine = [windows[part] for part in shares[group.rank]]
            own += threads.map(partial(_read_at_once, context, adapter, hidden), mine)
            bar.update(sum(map(len, some)))
    return Read(torch.from_numpy(group.collect(np.concatenate(own), owners)), counts)


def _read_at_once(
    context: Context, adapter: Adapter, hidden: HiddenStates, rows: np.ndarray
) -> np.ndarray:
    with torch.inference_mode():
        read = pooled(context.backbone, *hidden(rows), adapter, updates={})
        return read.cpu().numpy()
