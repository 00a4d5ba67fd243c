"""The torch engine: a backbone with an adapter, or a merged model, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from lora_bert.inference.engines.engine import Crew, shares
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.forward import branch, branch_start, fused_updates, logits
from lora_bert.model.layer import LoraUpdates
from lora_bert.tokens.batching import Offsets, TokenBatch
from lora_bert.tokens.tokenized import TokenizedTexts


class TorchEngine:
    """Computes with torch.

    Args:
        backbone: The shared backbone.
        adapter: The adapter that answers.
        hidden: Row numbers -> what the trunk makes of these rows, in just such a batch, and where
            they stand (:func:`~lora_bert.model.forward.branch_start` has its depth); None runs the
            trunk.
    """

    name = "torch"

    def __init__(
        self,
        backbone: Backbone,
        adapter: Adapter,
        hidden: Callable[[np.ndarray], tuple[Tensor, Offsets]] | None = None,
    ) -> None:
        self._backbone, self._adapter, self._hidden = backbone, adapter, hidden
        self.labels = adapter.head[f"{backbone.family.head.output}.weight"].shape[0]

    def __str__(self) -> str:
        kind = str(self._backbone.word_embeddings.dtype).removeprefix("torch.")
        return f"{self.name} {kind}, {self._backbone.device}"

    @cached_property
    def _updates(self) -> LoraUpdates:
        return fused_updates(self._backbone, self._adapter)

    def logits(self, texts: TokenizedTexts, rows: np.ndarray) -> np.ndarray:
        """The logits of one batch."""
        backbone, adapter, updates = self._backbone, self._adapter, self._updates
        if self._hidden is None:
            return logits(backbone, TokenBatch.of(texts, rows), adapter, updates).cpu().numpy()
        with torch.inference_mode():
            hidden, offsets = self._hidden(rows)
            start = branch_start(backbone, adapter)
            outputs = branch(backbone, hidden, offsets, adapter, start=start, updates=updates)
            return outputs.cpu().numpy()

    @contextmanager
    def crew(self) -> Iterator[Crew]:
        """Threads with their share of the cores; where a GPU computes, one that keeps it busy."""
        before = torch.get_num_threads()
        count, cores = (1, before) if self._backbone.device.type != "cpu" else shares()
        # Here as in the threads: idle members of a larger team would wait busily, on their cores.
        torch.set_num_threads(cores)
        threads = ThreadPoolExecutor(
            count, "lora-bert", initializer=partial(torch.set_num_threads, cores)
        )
        try:
            yield Crew(self.logits, threads)
        finally:
            threads.shutdown(cancel_futures=True)
            torch.set_num_threads(before)
