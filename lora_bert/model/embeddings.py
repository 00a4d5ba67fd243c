"""Token ids -> hidden states below the first layer."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from lora_bert.model.backbone import Backbone
from lora_bert.model.lora import adapted
from lora_bert.runtime.device import tensor_on
from lora_bert.tokens.batching import TokenBatch


def embed(backbone: Backbone, batch: TokenBatch) -> Tensor:
    """Hidden states ``[tokens, hidden]``, those of filler included."""

    def looked_up(numbers: np.ndarray, table: Tensor) -> Tensor:
        return F.embedding(tensor_on(numbers, table.device), table)

    hidden = looked_up(batch.ids, backbone.word_embeddings)
    if backbone.position_embeddings is not None:
        hidden = hidden + looked_up(_positions(backbone, batch), backbone.position_embeddings)
    if (types := backbone.token_type_embeddings) is not None:
        given = batch.token_type_ids
        hidden = hidden + (types[0] if given is None else looked_up(given, types))
    if backbone.projection is None:
        return backbone.embedding_norm(hidden)
    if backbone.config.projects_first:
        return backbone.embedding_norm(adapted(hidden, backbone.projection, None))
    return adapted(backbone.embedding_norm(hidden), backbone.projection, None)


def _positions(backbone: Backbone, batch: TokenBatch) -> np.ndarray:
    """The position of each token; those of RoBERTa begin after the padding id and skip padding."""
    offsets = batch.offsets
    if not backbone.config.position_offset:
        return offsets.positions
    padding = backbone.config.pad_token_id
    real = batch.ids != padding
    counted = np.concatenate([[0], np.cumsum(real)])
    before = np.zeros(offsets.tokens, dtype=np.int64)
    before[: offsets.cu_seqlens[-1]] = offsets.spread(counted[offsets.cu_seqlens[:-1]])
    positions: np.ndarray = (counted[1:] - before) * real + padding
    return positions
