"""What the graph of an exported model takes and gives; what is wrong with one that does not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from lora_bert.backbones.fingerprint import Stamp, stamp_of
from lora_bert.errors import AdapterError
from lora_bert.tokens.tokenized import PaddedTokens

IDS, MASK, TYPES, LOGITS = "input_ids", "attention_mask", "token_type_ids", "logits"
"""Inputs, int64 ``[rows, length]``, and output, float32 ``[rows, outputs]``."""


def check_classifier(
    graph: Path, inputs: Collection[str], shape: Sequence[object], outputs: int,
    *, of_tokens: bool = False,
) -> None:  # fmt: skip
    """Raise AdapterError for a graph that is none of a classifier with so many outputs.

    ``shape`` is that of what it gives, ints where it is fixed: ``[rows, outputs]``, or where it
    reads each token by itself ``[rows, length, outputs]``.
    """
    width, axes = shape[-1], 3 if of_tokens else 2
    fits = len(shape) == axes and not (isinstance(width, int) and width != outputs)
    if not {IDS, MASK} <= set(inputs) or not fits:
        kind = "tagger" if of_tokens else "text classifier"
        raise AdapterError(f"'{graph}' is not a {kind} with {outputs} labels.")


def damaged(graph: Path, reader: str) -> AdapterError:
    """The error for a graph that its reader rejects."""
    return AdapterError(
        f"'{graph}' is damaged: {reader} cannot read it.",
        hint="Copy the directory again, or export the model again.",
    )


def check_same(graph: Path, files: Iterable[Path], stamp: Stamp) -> None:
    """Raise AdapterError for a graph whose ``files`` have another ``stamp`` now.

    What is read of it later must be of the same model.
    """
    with suppress(OSError):
        if stamp_of(files) == stamp:
            return
    raise AdapterError(f"'{graph}' was replaced while it was in use.", hint="Load the model again.")


def feed(padded: PaddedTokens, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """A batch as the inputs of a graph that wants those; those of pairs may want types."""
    inputs = {IDS: padded.ids, MASK: padded.mask.astype(np.int64)}
    if TYPES in wanted:
        inputs[TYPES] = (
            np.zeros_like(padded.ids) if padded.token_type_ids is None else padded.token_type_ids
        )
    return inputs
