"""The trunk over many texts, each chunk on one core: how many there are does not change a bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from lora_bert.cache.canonical import Chunk, chunks
from lora_bert.model.backbone import Backbone
from lora_bert.model.branch import trunk
from lora_bert.model.encoder import Batch
from lora_bert.runtime.progress_bar import track
from lora_bert.runtime.threads import workers
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
            texts have had their turn; padding is left out.
    """
    planned = chunks(
        encodings.lengths,
        tokens=CHUNK_TOKENS[backbone.device.type],
        longest=backbone.config.max_length,
    )
    compute = partial(_chunk, backbone, encodings, depth)
    with (
        track(len(encodings), f"layers 1 to {depth}", unit="text") as bar,
        workers(torch.get_num_threads(), device=backbone.device) as threads,
    ):
        while some := list(islice(planned, max(_AT_ONCE, 4 * threads.count))):
            for count, hidden in threads.map(compute, some):
                keep(hidden)
                bar.update(count)


def _chunk(
    backbone: Backbone, encodings: TokenizedTexts, depth: int, chunk: Chunk
) -> tuple[int, Tensor]:
    """How many texts a chunk holds and their tokens' hidden states."""
    batch = Batch.of(encodings.pad(chunk.rows, chunk.width), backbone.device)
    hidden = trunk(backbone, batch, depth)
    return chunk.count, hidden[: chunk.count][batch.mask[: chunk.count]]
