"""The trunk's side of a training: hidden states of rows, kept or computed anew each time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lora_bert.cache.memory_budget import disk_budget, memory_budget
from lora_bert.cache.shared_rows import SharedStates, owners_of
from lora_bert.cache.token_states import CHUNK_TOKENS
from lora_bert.cache.trunk_cache import trunk_cache
from lora_bert.errors import OutputError
from lora_bert.mapped import ArrayFile
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.forward import branch_start, trunk
from lora_bert.runtime.distributed import processes
from lora_bert.tokens.batching import Offsets, TokenBatch
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.training.context import Context
from lora_bert.training.gradients import Fetch, HiddenStates

log = logging.getLogger(__name__)

_PARTS = ("train", "validation")


@dataclass(frozen=True)
class States:
    """The trunk's output for the rows of a part, at the adapter's depth.

    Attributes:
        hidden: For any of its rows.
        fetch: Hands rows over where processes keep them for each other, or None.
    """

    hidden: HiddenStates
    fetch: Fetch | None = None


@dataclass(frozen=True)
class Trunk:
    """The trunk's output for the rows of a training.

    Attributes:
        parts: Of the training rows and of the validation rows, by name.
        validation: Of this process's validation rows, for the batches in which they are answered,
            at :func:`~lora_bert.model.forward.branch_start`.
        owners: The rank of the process that has each validation row.
        key: Of the cache that holds the rows; None where the trunk runs for every slice.
    """

    parts: Mapping[str, States]
    validation: HiddenStates
    owners: np.ndarray
    key: str | None


def trunk_states(context: Context, adapter: Adapter, *, place: str) -> Trunk:
    """Where the hidden states below the layers of ``adapter`` come from.

    ``place``, as ``--trunk-cache`` has it, is where they are kept.
    """
    backbone, limit = context.backbone, context.config.trunk_cache_limit
    limit_bytes = None if limit is None else int(limit * 1e9)
    # The validation rows lie in the cache too, so that another split of the same rows finds it.
    group, rows = processes(), [context.tokens[part] for part in _PARTS]
    room = memory_budget(backbone.device, limit_bytes) // group.near
    longest = CHUNK_TOKENS[backbone.device.type]
    owners = owners_of([part.encodings for part in rows], group.count, longest)
    own = rows
    if group.count > 1:
        mine = [np.flatnonzero(ranks == group.rank) for ranks in owners]
        own = [part.take(numbers) for part, numbers in zip(rows, mine, strict=True)]
    if group.count > 1 and len(np.unique(np.concatenate(owners))) < group.count:
        place = "off"  # so few rows that a process would keep none
    cache = trunk_cache(
        backbone, context.fingerprint, [part.encodings for part in own], adapter.depth,
        place=place, limit_bytes=limit_bytes, name=context.files.name, shared_by=group.near,
    )  # fmt: skip
    if not all(group.gather(cache is not None)):
        cache = None
    states = [States(TrunkBatches(backbone, part.encodings, adapter.depth)) for part in rows]
    file = None
    if cache:
        states = [States(part.hidden) for part in cache.parts]
        if group.count > 1:
            states = [
                States(part.hidden, SharedStates(group, part, ranks, each.lengths).fetch)
                for part, ranks, each in zip(cache.parts, owners, rows, strict=True)
            ]
        room -= cache.size * (cache.place == "memory")
        if cache.place == "disk" and backbone.device.type == "cpu":
            file, room = ArrayFile(), disk_budget(limit_bytes) // group.near
    start = branch_start(backbone, adapter)
    # Embeddings are computed sooner than kept ones are read.
    room = 0 if place == "off" or not start else room
    validation = TrunkBatches(backbone, own[1].encodings, start, room, file)
    parts = dict(zip(_PARTS, states, strict=True))
    return Trunk(parts, validation, owners[1], cache.key if cache else None)


@dataclass(eq=False)
class TrunkBatches:
    """Hidden states of batches, kept from the first time on where there is room for them.

    A row's last bits depend on the batch that it stands in: what is kept are batches, and not rows.

    Attributes:
        backbone: Runs the trunk.
        texts: The rows.
        depth: How many layers.
        room: Bytes that may be kept yet.
        file: Where they are kept; None for memory.
    """

    backbone: Backbone
    texts: TokenizedTexts
    depth: int
    room: int = 0
    file: ArrayFile | None = None
    _kept: dict[bytes, Tensor | int] = field(default_factory=dict)

    def __call__(self, rows: np.ndarray) -> tuple[Tensor, Offsets]:
        """The hidden states of a batch, ``[tokens, hidden]``, and where its rows stand."""
        if (kept := self._kept.get(rows.tobytes())) is not None:
            # Computed again: of many batches they would take as much memory as the rows.
            offsets = Offsets.of(self.texts.lengths[rows])
            return (kept if isinstance(kept, Tensor) else self._read(kept, offsets)), offsets
        batch = TokenBatch.of(self.texts, rows)
        hidden = trunk(self.backbone, batch, self.depth)
        if hidden.nbytes <= self.room:
            self.room -= hidden.nbytes
            self._keep(rows, hidden)
        return hidden, batch.offsets

    def _keep(self, rows: np.ndarray, hidden: Tensor) -> None:
        kept: Tensor | int = hidden
        if self.file is not None:
            try:
                kept = self.file.add(hidden.view(torch.uint8).numpy())
            except OutputError as error:
                self.room = 0
                log.info("Of further validation rows the trunk runs each epoch: %s", error)
                return
        self._kept[rows.tobytes()] = kept

    def _read(self, begin: int, offsets: Offsets) -> Tensor:
        assert self.file is not None
        width, dtype = self.backbone.hidden_size, self.backbone.dtype
        size = offsets.tokens * width * dtype.itemsize
        return torch.from_numpy(self.file.read(begin, size)).view(dtype).view(-1, width)
