"""What the graph of an exported model takes and gives; what is wrong with one that does not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np

from lora_bert.backbones.fingerprint import Stamp, stamp_of
from lora_bert.errors import AdapterError
from lora_bert.tokens.tokenized import PaddedTokens

IDS, MASK, TYPES, LOGITS = "input_ids", "attention_mask", "token_type_ids", "logits"
"""Inputs, int64 ``[rows, length]``, and output, float32 ``[rows, outputs]``."""
HIDDEN = "hidden_states"
"""What a trunk gives and a branch takes, float32 ``[rows, length, hidden]``."""

Part = Literal["whole", "trunk", "branch"]
"""What a graph is of a classifier."""


def check_classifier(
    graph: Path, inputs: Collection[str], shape: Sequence[object], outputs: int,
    *, of_tokens: bool = False, part: Part = "whole",
) -> None:  # fmt: skip
    """Raise AdapterError for a graph that is none of a classifier with so many outputs, or a part.

    ``shape`` is that of what it gives, ints where it is fixed: ``[rows, outputs]``, or where it
    reads each token by itself ``[rows, length, outputs]``. A trunk's outputs are as wide as its
    layers.
    """
    width, axes = shape[-1], 3 if of_tokens or part == "trunk" else 2
    fits = len(shape) == axes and not (isinstance(width, int) and width != outputs)
    needed = {MASK, HIDDEN if part == "branch" else IDS}
    if part == "trunk" and not (needed <= set(inputs) and fits):
        raise AdapterError(f"'{graph}' is not a trunk that is {outputs} wide.")
    if not needed <= set(inputs) or not fits:
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


def feed(
    padded: PaddedTokens, wanted: Collection[str], hidden: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """A batch as the inputs of a graph that wants those; those of pairs may want types.

    A branch wants ``hidden``, which the trunk gave, in place of tokens.
    """
    if hidden is not None:
        return {HIDDEN: hidden, MASK: padded.mask.astype(np.int64)}
    inputs = {IDS: padded.ids, MASK: padded.mask.astype(np.int64)}
    if TYPES in wanted:
        inputs[TYPES] = (
            np.zeros_like(padded.ids) if padded.token_type_ids is None else padded.token_type_ids
        )
    return inputs
