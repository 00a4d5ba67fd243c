"""Rows as windows: a text that has more tokens than are read at once comes in several.

Windows next to each other share tokens. Of a pair one text stands whole in each window beside a
part of the other: of a question and its context that is the context's, so that an answer with no
more tokens than windows share is whole in one of them; else the longer text's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lora_bert.errors import TextError

LEAST_ROOM = 8
"""Tokens of a context that a window has at least."""


@dataclass(frozen=True)
class _Row:
    """A row as the tokenizer gives it; its tokens from ``begin`` to ``end`` come in parts.

    ``spans`` are those of its tokens, int32 ``[tokens, 2]``, or None.
    """

    ids: list[int]
    types: list[int]
    spans: np.ndarray | None
    begin: int
    end: int

    def without(self, begin: int, end: int) -> _Row:
        """The same without the tokens from ``begin`` to ``end``, which are beside its own part."""
        ids, types = (kept[:begin] + kept[end:] for kept in (self.ids, self.types))
        moved = end - begin if begin < self.begin else 0
        return _Row(ids, types, self.spans, self.begin - moved, self.end - moved)


@dataclass(frozen=True)
class Windows:
    """The windows of rows, one behind the other; see :class:`.TokenizedTexts`."""

    ids: list[list[int]] = field(default_factory=list)
    types: list[list[int]] = field(default_factory=list)
    spans: list[np.ndarray] = field(default_factory=list)
    firsts: list[bool] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)

    def add(
        self, row: _Row, max_length: int, stride: int, *, central: bool, truncated: bool = False
    ) -> None:
        """The windows of a row; with ``central``, spans stand in one of them each."""
        begin, end = row.begin, row.end
        room = max_length - (len(row.ids) - (end - begin))
        shared = min(stride, room // 2)
        step = max(1, room - shared)
        starts = range(begin, max(begin, end - room) + step, step)
        for at in starts:
            cut = slice(at, min(at + room, end))
            self.ids.append(row.ids[:begin] + row.ids[cut] + row.ids[end:])
            self.types.append(row.types[:begin] + row.types[cut] + row.types[end:])
            self.firsts.append(at == begin)
            self.truncated.append(truncated and at == begin)
            if row.spans is None:
                continue
            spans = row.spans[cut].copy()
            if central and at != begin:
                spans[: (shared + 1) // 2] = -1
            if central and at != starts[-1]:
                spans[len(spans) - shared // 2 :] = -1
            self.spans.append(np.concatenate([row.spans[:begin], spans, row.spans[end:]]))


def windows_of_contexts(
    encodings: Sequence[Any], pairs: Sequence[tuple[str, str]], *, max_length: int, stride: int
) -> Windows:
    """The windows of questions and contexts; spans are where tokens of a context stand in it.

    Args:
        encodings: What the tokenizer made of each pair, uncut.
        pairs: The same pairs, for messages.
        max_length: Tokens of a window, the question and special ones included.
        stride: Tokens that windows next to each other share; at most half of a window's part of
            the context.

    Raises:
        TextError: A question leaves no room for its context.
    """
    made = Windows()
    for number, encoding in enumerate(encodings):
        sides = encoding.sequence_ids
        begin = sides.index(1) if 1 in sides else len(sides)
        end = begin + sides.count(1)
        room = max_length - (len(sides) - (end - begin))
        if room < min(LEAST_ROOM, end - begin):
            raise TextError(
                f"The question '{pairs[number][0]:.60}' has {sides.count(0):,} tokens: a window of "
                f"{max_length:,} leaves no room for its context.",
                number=number, hint="Shorten it, or train with a larger --max-length.",
            )  # fmt: skip
        spans = np.full((len(sides), 2), -1, dtype=np.int32)
        spans[begin:end] = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)[begin:end]
        row = _Row(encoding.ids, encoding.type_ids, spans, begin, end)
        made.add(row, max_length, stride, central=False)
    return made


def windows_of_texts(
    encodings: Sequence[Any], spans: Sequence[np.ndarray] | None, *, max_length: int, stride: int
) -> Windows:
    """The windows of texts, or of pairs: of those the longer text comes in parts.

    The shorter one is kept whole, but for what goes beyond half of a window's room.

    Args:
        encodings: What the tokenizer made of each row, uncut.
        spans: Where the words stand that its tokens begin, see :class:`.TokenizedTexts`; None of
            tasks that ask for none. A token that several windows have keeps its own in the one in
            which it stands most central: of the tokens that two share, the first half in the first.
        max_length: Tokens of a window, special ones included.
        stride: Tokens that windows next to each other share; at most half of a window's part of
            the text.
    """
    made = Windows()
    for number, encoding in enumerate(encodings):
        ids, types = encoding.ids, encoding.type_ids
        own = None if spans is None else spans[number]
        if len(ids) <= max_length:
            made.add(_Row(ids, types, own, 0, len(ids)), max_length, stride, central=False)
            continue
        sides = encoding.sequence_ids
        counts = sides.count(0), sides.count(1)
        longer = 0 if counts[0] > counts[1] else 1
        begin, other = sides.index(longer), 1 - longer
        row = _Row(ids, types, own, begin, begin + counts[longer])
        half = (max_length - (len(ids) - sum(counts))) // 2
        if long := counts[other] > half:
            first = sides.index(other)
            row = row.without(first + half, first + counts[other])
        made.add(row, max_length, stride, central=True, truncated=long)
    return made
