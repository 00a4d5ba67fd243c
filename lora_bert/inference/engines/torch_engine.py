"""The torch engine: a backbone with an adapter, or a merged model, on a CPU or a GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property, partial
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from lora_bert.inference.engines.engine import Compute, shares
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.forward import branch, branch_start, logits, merged_updates
from lora_bert.model.layer import LoraUpdates
from lora_bert.model.segments import PreparedAdapter
from lora_bert.runtime.threads import Workers
from lora_bert.tokens.batching import Offsets, TokenBatch, by_length, by_tokens
from lora_bert.tokens.tokenized import TokenizedTexts

_WORTH_MERGING = 512
"""Texts for which merging takes less time than it saves, a tenth, and on a GPU a quarter. Fewer do
without, copy or no copy: no bit of an answer depends on what others ask."""

_BUSY: WeakValueDictionary[int, TorchEngine] = WeakValueDictionary()
"""By the layers of a backbone, the one engine that has a copy of them, merged with its adapter."""
_LOCK = threading.Lock()


class TorchEngine:
    """Computes with torch.

    ``hidden`` is row numbers -> what the trunk makes of these rows, in just such a batch, and where
    they stand (:func:`~lora_bert.model.forward.branch_start` has its depth); None runs the trunk.
    """

    name = "torch"

    def __init__(
        self,
        backbone: Backbone,
        adapter: Adapter,
        hidden: Callable[[np.ndarray], tuple[Tensor, Offsets]] | None = None,
    ) -> None:
        self._backbone, self._adapter, self._hidden = backbone, adapter, hidden
        self.outputs = adapter.head[f"{backbone.config.layout.head.output}.weight"].shape[0]
        self.of_tokens = adapter.pooling == "none"
        self.cut = by_length if backbone.device.type == "cpu" else by_tokens
        self._copy: LoraUpdates | None = None

    def __str__(self) -> str:
        return f"{self.name} {self._backbone.precision}, {self._backbone.device}"

    @cached_property
    def prepared(self) -> PreparedAdapter:
        """The adapter as it answers together with others."""
        return PreparedAdapter.of(self._backbone, self._adapter)

    @property
    def own_bytes(self) -> int:
        """What the adapter takes: its tensors, and what it changes in the backbone's precision."""
        tensors = list(self.prepared.adapter.tensors)
        for update in self.prepared.updates.values():
            tensors += [update.down, update.up]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def logits(self, texts: TokenizedTexts, rows: np.ndarray) -> np.ndarray:
        """The logits of one batch."""
        return self._logits(self.prepared.updates, texts, rows)

    def side_by_side(self, texts: int | None) -> tuple[Compute, Workers]:
        """Threads with their share of the cores; where a GPU computes, two take turns.

        While one waits for its answers the other one makes the next batch ready.
        """
        many = texts is None or texts >= _WORTH_MERGING
        updates = self._merged() if many else self.prepared.updates
        return partial(self._logits, updates), self.threads()

    def threads(self) -> Workers:
        """The threads on which many batches are computed."""
        return Workers(*shares()) if self._backbone.device.type == "cpu" else Workers(2)

    def _logits(self, updates: LoraUpdates, texts: TokenizedTexts, rows: np.ndarray) -> np.ndarray:
        backbone, adapter = self._backbone, self._adapter
        if self._hidden is None:
            return logits(backbone, TokenBatch.of(texts, rows), adapter, updates).cpu().numpy()
        with torch.inference_mode():
            hidden, offsets = self._hidden(rows)
            start = branch_start(backbone, adapter)
            outputs = branch(backbone, hidden, offsets, adapter, start=start, updates=updates)
            return outputs.cpu().numpy()

    def _merged(self) -> LoraUpdates:
        """The updates with a copy of weights, which the adapter that had one has no more."""
        with _LOCK:
            if self._copy is None:
                if before := _BUSY.get(id(self._backbone.layers)):
                    before._copy = None
                self._copy = merged_updates(self._backbone, self._adapter)
                _BUSY[id(self._backbone.layers)] = self
            return self._copy
