"""Questions beside their contexts, as windows: a context that is too long comes in several.

Each window has the whole question and a part of the context; next to each other they share tokens,
so that an answer that is shorter than these is whole in one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lora_bert.errors import TextError

LEAST_ROOM = 8
"""Tokens of a context that a window has at least."""


@dataclass(frozen=True)
class Windows:
    """The windows of rows, one behind the other; see :class:`.TokenizedTexts`."""

    ids: list[list[int]]
    types: list[list[int]]
    spans: list[np.ndarray]
    firsts: list[bool]


def windows(
    encodings: Sequence[Any], pairs: Sequence[tuple[str, str]], *, max_length: int, stride: int
) -> Windows:
    """The windows of questions and contexts.

    Args:
        encodings: What the tokenizer made of each pair, uncut.
        pairs: The same pairs, for messages.
        max_length: Tokens of a window, the question and special ones included.
        stride: Tokens that windows next to each other share; at most half of a window's part of
            the context.

    Raises:
        TextError: A question leaves no room for its context.
    """
    made = Windows([], [], [], [])
    for number, encoding in enumerate(encodings):
        ids, types, sides = encoding.ids, encoding.type_ids, encoding.sequence_ids
        begin = sides.index(1) if 1 in sides else len(sides)
        end = begin + sides.count(1)
        room = max_length - (len(ids) - (end - begin))
        if room < min(LEAST_ROOM, end - begin):
            raise TextError(
                f"The question '{pairs[number][0]:.60}' has {sides.count(0):,} tokens: a window of "
                f"{max_length:,} leaves no room for its context.",
                number=number, hint="Shorten it, or train with a larger --max-length.",
            )  # fmt: skip
        spans = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
        step = max(1, room - min(stride, room // 2))
        at = begin
        while True:
            cut, before = slice(at, min(at + room, end)), slice(0, begin)
            made.ids.append(ids[before] + ids[cut] + ids[end:])
            made.types.append(types[before] + types[cut] + types[end:])
            own = np.full((len(made.ids[-1]), 2), -1, dtype=np.int32)
            own[begin : begin + cut.stop - cut.start] = spans[cut]
            made.spans.append(own)
            made.firsts.append(at == begin)
            if at + room >= end:
                break
            at += step
    return made
