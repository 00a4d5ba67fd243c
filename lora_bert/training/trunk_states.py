"""The trunk's side of a training: hidden states of rows, kept or computed anew each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lora_bert.cache.compute import CHUNK_TOKENS
from lora_bert.cache.shared_rows import SharedStates, owners_of
from lora_bert.cache.trunk_cache import trunk_cache
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.forward import branch, lora_updates, trunk
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.threads import Workers
from lora_bert.tokens.batching import Offsets, TokenBatch, by_length
from lora_bert.training.gradients import Fetch, HiddenStates
from lora_bert.training.tokenize_rows import Tokens

PARTS = ("train", "validation")
"""What is read again every epoch."""


@dataclass(frozen=True)
class Trunk:
    """The trunk's output for the rows of a training.

    Attributes:
        hidden: By part, for each of :data:`PARTS`; of the validation rows, this process's own.
        owners: The rank of the process that has each validation row.
        fetch: Hands training rows over where processes keep them for each other, or None.
        key: Of the cache that holds it; None where it is computed whenever it is asked for.
    """

    hidden: Mapping[str, HiddenStates]
    owners: np.ndarray
    fetch: Fetch | None
    key: str | None


def hidden_states(
    backbone: Backbone,
    depth: int,
    tokens: Mapping[str, Tokens],
    *,
    place: str,
    limit: float | None,
    fingerprint: str,
    name: str,
) -> Trunk:
    """Where the hidden states below layer ``depth`` come from.

    Args:
        backbone: Computes them.
        depth: The lowest layer that is adapted.
        tokens: The rows, by part.
        place: Where they are kept: ``--trunk-cache``.
        limit: Gigabytes they may take; None: half of what is free.
        fingerprint: Of the backbone.
        name: Of the backbone.
    """
    us, rows = processes(), [tokens[part] for part in PARTS]
    longest = CHUNK_TOKENS[backbone.device.type]
    owners = owners_of([part.encodings for part in rows], us.count, longest)
    own = rows
    if us.count > 1:
        mine = [np.flatnonzero(ranks == us.rank) for ranks in owners]
        own = [part.take(numbers) for part, numbers in zip(rows, mine, strict=True)]
    if len(np.unique(np.concatenate(owners))) < us.count:
        place = "off"  # so few rows that a process would keep none
    cache = trunk_cache(
        backbone, fingerprint, [part.encodings for part in own], depth, place=place,
        limit_bytes=None if limit is None else int(limit * 1e9), name=name, shared_by=us.near,
    )  # fmt: skip
    everywhere = all(us.gather(cache is not None))
    if cache is None or not everywhere:
        sources = [computed(backbone, depth, part) for part in (rows[0], own[1])]
        return Trunk(dict(zip(PARTS, sources, strict=True)), owners[1], None, None)
    hidden = {part: states.hidden for part, states in zip(PARTS, cache.parts, strict=True)}
    shared = SharedStates(us, cache.parts[0], owners[0], rows[0].lengths)
    return Trunk(hidden, owners[1], shared.fetch if us.count > 1 else None, cache.key)


def computed(backbone: Backbone, depth: int, tokens: Tokens) -> HiddenStates:
    """Hidden states that are computed whenever they are asked for."""

    def hidden(rows: np.ndarray) -> tuple[Tensor, Offsets]:
        batch = TokenBatch.of(tokens.encodings, rows)
        return trunk(backbone, batch, depth), batch.offsets

    return hidden


def validation_logits(
    backbone: Backbone,
    adapter: Adapter,
    hidden: HiddenStates,
    lengths: np.ndarray,
    batch_size: int,
    workers: Workers,
) -> Tensor:
    """Logits ``[rows, labels]`` of all rows of a part, on the CPU, float32; no dropout."""
    with torch.no_grad():
        updates = lora_updates(backbone, adapter)

    def answer(rows: np.ndarray) -> Tensor:
        with torch.inference_mode():
            return branch(backbone, *hidden(rows), adapter, updates=updates).cpu()

    if not len(lengths):
        return torch.empty(0)
    batches = by_length(lengths, batch_size)
    outputs = torch.cat(list(workers.map(answer, batches)))
    order = torch.from_numpy(np.concatenate(batches))
    return torch.empty_like(outputs).index_copy_(0, order, outputs)
