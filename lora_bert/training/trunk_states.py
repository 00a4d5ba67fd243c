"""The trunk's side of a training: hidden states of rows, kept or computed anew each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lora_bert.cache.trunk_cache import trunk_cache
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.forward import branch, lora_updates, trunk
from lora_bert.runtime.threads import Workers
from lora_bert.tokens.batching import Offsets, TokenBatch, by_length
from lora_bert.training.gradients import HiddenStates
from lora_bert.training.tokenize_rows import Tokens

PARTS = ("train", "validation")
"""What is read again every epoch."""


@dataclass(frozen=True)
class Trunk:
    """The trunk's output for the rows of a training.

    Attributes:
        hidden: By part, for each of :data:`PARTS`.
        key: Of the cache that holds it; None where it is computed whenever it is asked for.
    """

    hidden: dict[str, HiddenStates]
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
    cache = trunk_cache(
        backbone,
        fingerprint,
        [tokens[part].encodings for part in PARTS],
        depth,
        place=place,
        limit_bytes=None if limit is None else int(limit * 1e9),
        name=name,
    )
    if cache is None:
        return Trunk({part: computed(backbone, depth, tokens[part]) for part in PARTS}, None)
    parts = zip(PARTS, cache.parts, strict=True)
    return Trunk({part: rows.hidden for part, rows in parts}, cache.key)


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

    batches = by_length(lengths, batch_size)
    outputs = torch.cat(list(workers.map(answer, batches)))
    order = torch.from_numpy(np.concatenate(batches))
    return torch.empty_like(outputs).index_copy_(0, order, outputs)
