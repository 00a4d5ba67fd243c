"""What the graph of an exported model takes and gives; what is wrong with one that does not."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from lora_bert.errors import AdapterError
from lora_bert.tokens.tokenized import PaddedTokens

IDS, MASK, LOGITS = "input_ids", "attention_mask", "logits"
"""Inputs, int64 ``[rows, length]``, and output, float32 ``[rows, labels]``."""

_TYPES = "token_type_ids"


def check_classifier(graph: Path, inputs: Collection[str], outputs: object, labels: int) -> None:
    """Check names of inputs and the number of outputs, which is an int where it is fixed.

    Raises:
        AdapterError: They are not those of a text classifier with so many labels.
    """
    if not {IDS, MASK} <= set(inputs) or (isinstance(outputs, int) and outputs != labels):
        raise AdapterError(f"'{graph}' is not a text classifier with {labels} labels.")


def damaged(graph: Path, reader: str) -> AdapterError:
    """The error for a graph that its reader rejects."""
    return AdapterError(
        f"'{graph}' is damaged: {reader} cannot read it.",
        hint="Copy the directory again, or export the model again.",
    )


def feed(padded: PaddedTokens, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """A batch as the inputs of a graph that wants those; one exported elsewhere may want types."""
    found = {IDS: padded.ids, MASK: padded.mask.astype(np.int64)}
    if _TYPES in wanted:
        found[_TYPES] = np.zeros_like(padded.ids) if padded.types is None else padded.types
    return found
