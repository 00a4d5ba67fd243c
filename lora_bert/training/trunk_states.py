"""The trunk's side of a training: hidden states of rows, kept or computed anew each time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lora_bert.cache.memory_budget import memory_budget
from lora_bert.cache.trunk_cache import trunk_cache
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.forward import branch_start, trunk
from lora_bert.tokens.batching import Offsets, TokenBatch
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.training.context import Context
from lora_bert.training.gradients import HiddenStates

PARTS = ("train", "validation")
"""What is read again every epoch. Both lie in the cache, so that another split finds them there."""


@dataclass(frozen=True)
class Trunk:
    """The trunk's output for the rows of a training.

    Attributes:
        train: For any training rows, at the adapter's depth.
        validation: For the batches in which its rows are answered, at
            :func:`~lora_bert.model.forward.branch_start`.
        key: Of the cache that holds the training rows; None where the trunk runs for every slice.
    """

    train: HiddenStates
    validation: HiddenStates
    key: str | None


def trunk_states(context: Context, adapter: Adapter, *, place: str) -> Trunk:
    """Where the hidden states below the layers of ``adapter`` come from.

    Args:
        context: Of the training.
        adapter: Has the depth.
        place: Where they are kept: ``--trunk-cache``.
    """
    backbone, limit = context.backbone, context.config.trunk_cache_limit
    limit_bytes = None if limit is None else int(limit * 1e9)
    room = memory_budget(backbone.device, limit_bytes)
    cache = trunk_cache(
        backbone,
        context.fingerprint,
        [context.tokens[part].encodings for part in PARTS],
        adapter.depth,
        place=place,
        limit_bytes=limit_bytes,
        name=context.files.name,
    )
    train: HiddenStates = TrunkBatches(backbone, context.tokens["train"].encodings, adapter.depth)
    if cache:
        train, room = cache.parts[0].hidden, room - cache.size * (cache.place == "memory")
    start = branch_start(backbone, adapter)
    # Embeddings are found sooner than kept.
    room = 0 if place == "off" or not start else room
    validation = TrunkBatches(backbone, context.tokens["validation"].encodings, start, room)
    return Trunk(train, validation, cache.key if cache else None)


class TrunkBatches:
    """Hidden states of batches, kept from the first time on where there is room for them.

    A row's last bits depend on the batch that it stands in: what is kept are batches, and not rows.

    Args:
        backbone: Runs the trunk.
        texts: The rows.
        depth: How many layers.
        room: Bytes that may be kept.
    """

    def __init__(
        self, backbone: Backbone, texts: TokenizedTexts, depth: int, room: int = 0
    ) -> None:
        self._backbone, self._texts, self._depth, self._room = backbone, texts, depth, room
        self._kept: dict[bytes, tuple[Tensor, Offsets]] = {}

    def __call__(self, rows: np.ndarray) -> tuple[Tensor, Offsets]:
        """The hidden states of a batch, ``[tokens, hidden]``, and where its rows stand."""
        if there := self._kept.get(rows.tobytes()):
            return there
        batch = TokenBatch.of(self._texts, rows)
        hidden = trunk(self._backbone, batch, self._depth)
        if hidden.nbytes <= self._room:
            self._room -= hidden.nbytes
            self._kept[rows.tobytes()] = hidden, batch.offsets
        return hidden, batch.offsets
