"""The torch engine: a backbone with an adapter, or a merged model, on a CPU or a GPU."""

from __future__ import annotations

import threading
from functools import cached_property
from weakref import WeakValueDictionary

import numpy as np

from lora_bert.inference.engines.engine import shares
from lora_bert.model.backbone import Backbone
from lora_bert.model.branch import Adapter, fused_updates, logits, lora_updates
from lora_bert.model.encoder import Batch, LoraUpdates
from lora_bert.runtime.threads import Workers
from lora_bert.tokens.tokenized import PaddedTokens

_FUSED: WeakValueDictionary[int, TorchEngine] = WeakValueDictionary()
"""By the layers of a backbone, whose adapter has a copy of its wide weights fused with its own.

It is the first adapter on them, so that the last bits of its answers do not depend on what the
others do; as long as it lives, theirs do without.
"""
_LOCK = threading.Lock()


class TorchEngine:
    """Computes with torch.

    Args:
        backbone: The shared backbone.
        adapter: The adapter that answers.
    """

    name = "torch"

    def __init__(self, backbone: Backbone, adapter: Adapter) -> None:
        self._backbone, self._adapter = backbone, adapter
        self.labels = adapter.head[f"{backbone.family.head.output}.weight"].shape[0]
        with _LOCK:
            self._fuses = _FUSED.setdefault(id(backbone.layers), self) is self

    def __str__(self) -> str:
        kind = str(self._backbone.word_embeddings.dtype).removeprefix("torch.")
        return f"{self.name} {kind}, {self._backbone.device}"

    @cached_property
    def _changes(self) -> LoraUpdates:
        return (fused_updates if self._fuses else lora_updates)(self._backbone, self._adapter)

    def length(self, longest: int) -> int:
        """As the backbone wants it."""
        return self._backbone.padded_length(longest)

    def logits(self, padded: PaddedTokens) -> np.ndarray:
        """The logits of one batch."""
        batch = Batch.of(padded, self._backbone.device)
        scores = logits(self._backbone, batch, self._adapter, self._changes)
        return scores.cpu().numpy()

    share = logits

    def workers(self) -> Workers:
        """Threads with their share of the cores; where a GPU computes, one that keeps it busy."""
        _ = self._changes  # here, or each of the threads would make them
        return Workers(*shares()) if self._backbone.device.type == "cpu" else Workers(1)
