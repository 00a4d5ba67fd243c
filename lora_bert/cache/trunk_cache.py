"""The trunk cache: the layers below an adapter run once for the rows of a run.

They are frozen: what they make of a text depends on the backbone, the text's tokens, the depth and
the precision, and on nothing that training changes. That is the key of an entry on disk.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lora_bert._version import __version__
from lora_bert.cache.canonical import canonical
from lora_bert.cache.entries import entry_path, find_entry, new_entry, reject
from lora_bert.cache.memory_budget import disk_budget, memory_budget
from lora_bert.cache.token_states import CHUNK_TOKENS, TokenStates
from lora_bert.errors import OutputError
from lora_bert.mapped import mapped
from lora_bert.model.backbone import Backbone
from lora_bert.runtime.device import processor_of, tensor_on
from lora_bert.tokens.batching import LAYOUT, Offsets
from lora_bert.tokens.tokenized import TokenizedTexts, flat_index
from lora_bert.wording import amount

log = logging.getLogger(__name__)

_FORMAT = 3
_KIND, _FILE = "trunk", "hidden.bin"
_WHERE = {"memory": "in memory", "disk": "on disk"}
_WORTH_A_FILE = 16_000_000
"""Bytes that a CPU core or two compute again in about a second."""


@dataclass(frozen=True)
class CachedStates:
    """The hidden states of rows, by row number. Any number of threads may read.

    Attributes:
        data: One line a token, ``[lines, hidden]``; line 0 is zero, for filler.
        starts: The line at which each row begins, int64 ``[rows]``.
        lengths: Tokens of each row, int64 ``[rows]``.
        device: Where the hidden states are wanted.
    """

    data: Tensor
    starts: np.ndarray
    lengths: np.ndarray
    device: torch.device

    def hidden(self, rows: Sequence[int] | np.ndarray) -> tuple[Tensor, Offsets]:
        """Hidden states ``[tokens, hidden]`` of some rows, at least one, and where the rows stand.

        They are ready for ``branch``: in the backbone's dtype, zero on filler.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        offsets = Offsets.of(self.lengths[chosen])
        index = np.zeros(offsets.tokens, dtype=np.int64)
        index[: offsets.cu_seqlens[-1]] = flat_index(self.starts[chosen], offsets.lengths)
        states = self.data.index_select(0, tensor_on(index, self.data.device))
        return states.to(self.device), offsets


@dataclass(frozen=True)
class TrunkCache:
    """What the layers below ``depth`` make of the rows of a run.

    Attributes:
        parts: The rows of each part, in the order the parts were given.
        place: ``memory`` or ``disk``.
        size: Bytes.
        key: Of everything that its bits depend on.
    """

    parts: tuple[CachedStates, ...]
    place: str
    size: int
    key: str


def trunk_cache(
    backbone: Backbone,
    fingerprint: str,
    parts: Sequence[TokenizedTexts],
    depth: int,
    *,
    place: str = "auto",
    limit_bytes: int | None = None,
    name: str = "",
    shared_by: int = 1,
) -> TrunkCache | None:
    """Run the layers below ``depth`` once over all rows of a run.

    Args:
        backbone: Runs them, where it is, in its precision.
        fingerprint: Of its weights.
        parts: The rows, for instance those of training and those of validation.
        depth: How many layers; below the first there is nothing worth keeping.
        place: ``memory``, ``disk``, ``off``, or ``auto``: on a CPU a file, which the next run
            finds, or memory if it is small or the disk has no room; on a GPU its memory, or a file
            if that has no room. A file that is there is used whatever the place, but for ``off``.
        limit_bytes: What it may take, in place of half of what is free.
        name: What ``lora-bert cache`` calls the backbone.
        shared_by: Processes of this machine that each keep as much, in the same room.

    Returns:
        None with ``off``, with depth 0, without rows, or where there is no room: the trunk then
        runs for every batch.

    Raises:
        ConfigError: ``$LORA_BERT_CACHE_LIMIT`` is not a number.
    """
    if place == "off" or not depth or not any(map(len, parts)):
        return None
    texts, numbers_of = canonical(parts)
    states = TokenStates(backbone, texts, depth)
    making = _Making(states, fingerprint, limit_bytes, name, shared_by)
    made = making.from_disk() or making.computed(place)
    if made is None:
        return None
    data, kept = made
    rows = (
        CachedStates(
            data, mapped(1 + texts.starts[numbers]), mapped(texts.lengths[numbers]), backbone.device
        )
        for numbers in numbers_of
    )
    return TrunkCache(tuple(rows), kept, states.size, making.key)


@dataclass(frozen=True)
class _Making:
    """Finds, or computes, the lines of a cache and says what it does."""

    states: TokenStates
    fingerprint: str
    limit: int | None
    name: str
    shared_by: int

    def from_disk(self) -> tuple[Tensor, str] | None:
        """The lines from an entry on disk."""
        path = find_entry(_KIND, self.key)
        if path is None:
            return None
        try:
            data = self.states.mapped(path / _FILE)
        except (OSError, ValueError) as error:
            reject(path, error)
            return None
        log.info("%s need not run: the cache has their output (%s).", self.what, self.amount)
        return self.near(data), "disk"

    def computed(self, place: str) -> tuple[Tensor, str] | None:
        """The lines, computed now, where there is room for them."""
        rooms = {
            "memory": memory_budget(self.states.backbone.device, self.limit) // self.shared_by,
            "disk": disk_budget(self.limit) // self.shared_by,
        }
        choices = [place]
        if place == "auto":
            on_cpu = self.states.backbone.device.type == "cpu"
            to_file = on_cpu and self.states.size >= _WORTH_A_FILE
            choices = ["disk", "memory"] if to_file else ["memory", "disk"]
        fitting = [choice for choice in choices if self.states.size <= rooms[choice]]
        if not fitting:
            free = " and ".join(f"{amount(rooms[choice])} {_WHERE[choice]}" for choice in choices)
            lack = f"{self.amount}, and there is room for {free}"
            log.info("%s run for every batch: their output would take %s.", self.what, lack)
        for choice in fitting:
            where = _WHERE[choice]
            log.info("%s run once: their output is kept %s (%s).", self.what, where, self.amount)
            try:
                return (self.states.in_memory() if choice == "memory" else self.on_disk()), choice
            except OutputError as error:
                log.warning("%s It is not kept %s.", error, where)
        return None

    @property
    def what(self) -> str:
        """The beginning of a sentence."""
        return f"Layers 1 to {self.states.depth} of {len(self.states.backbone.layers)}"

    @property
    def amount(self) -> str:
        """What the lines take."""
        return amount(self.states.size)

    def on_disk(self) -> Tensor:
        """Compute the lines into a new entry."""
        states = self.states
        dtype = str(states.backbone.dtype).removeprefix("torch.")
        texts, tokens = len(states.encodings), len(states.encodings.ids)
        layers = f"{states.depth} of {len(states.backbone.layers)} layers"
        facts = {
            "what": f"{self.name or 'a backbone'}, {layers}, {dtype}, {texts:,} texts",
            "backbone": self.name,
            "texts": texts,
            "tokens": tokens,
            "hidden_size": states.backbone.hidden_size,
            **self.parts_of_key,
        }
        with new_entry(_KIND, self.key, states.size, facts) as work:
            states.write(work / _FILE)
        # In its place: Windows moves no file that is mapped.
        try:
            return self.near(states.mapped(entry_path(_KIND, self.key) / _FILE))
        except (OSError, ValueError) as error:
            raise OutputError(f"What was just cached cannot be read: {error}.") from error

    def near(self, data: Tensor) -> Tensor:
        """Mapped lines, in the memory of a GPU if the backbone is there and they fit."""
        device = self.states.backbone.device
        if device.type == "cpu" or self.states.size > memory_budget(device, self.limit):
            return data
        return data.to(device)

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything that the lines depend on."""
        texts = self.states.encodings
        digest = hashlib.sha256(json.dumps(self.parts_of_key, sort_keys=True).encode())
        for array in (texts.starts, texts.ids, texts.token_type_ids):
            digest.update(b"" if array is None else array.data)
        return digest.hexdigest()

    @property
    def parts_of_key(self) -> dict[str, str | int]:
        """The same without the tokens."""
        backbone = self.states.backbone
        processor = processor_of(backbone.device)
        return {
            "format": _FORMAT,
            "fingerprint": self.fingerprint,
            "depth": self.states.depth,
            "dtype": str(backbone.dtype).removeprefix("torch."),
            # Other programs and processors round otherwise.
            "computed_by": f"lora-bert {__version__}, torch {torch.__version__}, {processor}",
            "chunk_tokens": CHUNK_TOKENS[backbone.device.type],
            "layout": LAYOUT,
        }
