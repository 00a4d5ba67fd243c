"""What the graph of an exported model takes and gives, by name."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from lora_bert.tokens.tokenized import PaddedTokens

IDS, MASK, LOGITS = "input_ids", "attention_mask", "logits"
"""Inputs, int64 ``[rows, length]``, and output, float32 ``[rows, labels]``."""

_TYPES = "token_type_ids"


def feed(padded: PaddedTokens, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """A batch as the inputs of a graph that wants those; one exported elsewhere may want types."""
    found = {IDS: padded.ids, MASK: padded.mask.astype(np.int64)}
    if _TYPES in wanted:
        found[_TYPES] = np.zeros_like(padded.ids) if padded.types is None else padded.types
    return found
