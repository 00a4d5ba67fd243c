"""The trunk over many texts, each chunk on one core: how many there are does not change a bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from lora_bert.model.backbone import Backbone
from lora_bert.model.forward import trunk
from lora_bert.runtime.progress_bar import track
from lora_bert.runtime.threads import workers
from lora_bert.tokens.batching import TokenBatch, chunks
from lora_bert.tokens.tokenized import TokenizedTexts

CHUNK_TOKENS = {"cpu": 1024, "cuda": 32768}
"""Tokens that the trunk reads at once. On a CPU, fewer wait on overhead, more leave the cache."""

_AT_ONCE = 64
"""Chunks whose results may wait in memory; four a core where there are many cores."""


def hidden_states(
    backbone: Backbone, encodings: TokenizedTexts, depth: int, keep: Callable[[Tensor], object]
) -> None:
    """Run the layers below ``depth`` over texts in canonical order.

    Args:
        backbone: Where it is, there is computed.
        encodings: Sorted by length.
        depth: How many layers.
        keep: Takes the hidden states of the next texts' tokens, ``[tokens, hidden]``, until all
            texts have had their turn.
    """
    planned = chunks(encodings.lengths, CHUNK_TOKENS[backbone.device.type])
    compute = partial(_chunk, backbone, encodings, depth)
    with (
        track(len(encodings), f"layers 1 to {depth}", unit="text") as bar,
        workers(torch.get_num_threads(), device=backbone.device) as threads,
    ):
        while some := list(islice(planned, max(_AT_ONCE, 4 * threads.count))):
            for rows, hidden in zip(some, threads.map(compute, some), strict=True):
                keep(hidden)
                bar.update(len(rows))


def _chunk(backbone: Backbone, encodings: TokenizedTexts, depth: int, rows: np.ndarray) -> Tensor:
    """The hidden states of some texts' tokens, without filler."""
    batch = TokenBatch.of(encodings, rows)
    return trunk(backbone, batch, depth)[: batch.offsets.cu_seqlens[-1]]
