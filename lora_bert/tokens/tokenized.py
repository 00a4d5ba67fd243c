"""Tokenized texts in flat arrays, and padded ones for exported models. Numpy, no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np

from lora_bert.mapped import GrowingArray, mapped, pieces

_TAKEN_AT_ONCE = 1 << 18
"""Tokens of which the places are in memory at once."""


@dataclass(frozen=True)
class PaddedTokens:
    """Some texts, padded on the right to one length.

    Attributes:
        ids: Token ids, int64 ``[rows, length]``.
        mask: True where a token stands, bool ``[rows, length]``.
        token_type_ids: Token-type ids, int64 ``[rows, length]``, or None for all zeros.
    """

    ids: np.ndarray
    mask: np.ndarray
    token_type_ids: np.ndarray | None = None


@dataclass(frozen=True)
class TokenizedTexts:
    """Any number of texts as tokens, one behind the other.

    Attributes:
        ids: Token ids, int32 ``[tokens]``.
        starts: Where each text begins, int64 ``[texts + 1]``; the last one is the end.
        token_type_ids: Token-type ids, uint8 ``[tokens]``, or None for all zeros.
        truncated: Which texts were longer than the tokenizer keeps, bool ``[texts]``.
        pad_id: What fills a row up.
        spans: Where the word stands in its text that the token begins, in characters, int32
            ``[tokens, 2]``, -1 at other tokens; None where words are not asked for. Of windows,
            where each token of the context stands in that.
        texts: The texts themselves, where words are asked for; the context of each window.
        firsts: Which of the texts are the first window of a row, bool ``[texts]``; None: each is a
            row of its own.
    """

    ids: np.ndarray
    starts: np.ndarray
    token_type_ids: np.ndarray | None
    truncated: np.ndarray
    pad_id: int
    spans: np.ndarray | None = None
    texts: Sequence[str] = ()
    firsts: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        ids: Sequence[Sequence[int]],
        pad_id: int,
        *,
        token_type_ids: Sequence[Sequence[int]] | None = None,
        truncated: Sequence[bool] | None = None,
        spans: Sequence[np.ndarray] | None = None,
        firsts: Sequence[bool] | None = None,
    ) -> TokenizedTexts:
        """The encodings of texts whose tokens are given one by one."""
        starts = cu_seqlens([len(row) for row in ids])
        kinds = None
        if token_type_ids is not None:
            kinds = np.fromiter(chain.from_iterable(token_type_ids), np.uint8, starts[-1])
        return cls(
            ids=np.fromiter(chain.from_iterable(ids), np.int32, starts[-1]),
            starts=starts,
            token_type_ids=kinds if kinds is not None and kinds.any() else None,
            truncated=np.asarray(truncated or [False] * len(ids), dtype=bool),
            pad_id=pad_id,
            spans=None if spans is None else np.concatenate([np.empty((0, 2), np.int32), *spans]),
            firsts=None if firsts is None else np.asarray(firsts, dtype=bool),
        )

    @classmethod
    def joined(cls, parts: Iterable[TokenizedTexts]) -> TokenizedTexts:
        """The texts of several, in order; there is at least one part.

        Many tokens are written into a file as they come, part by part.
        """
        ids, types, spans = GrowingArray(np.int32), GrowingArray(np.uint8), GrowingArray(np.int32)
        starts, truncated = GrowingArray(np.int64), GrowingArray(bool)
        firsts = GrowingArray(bool)
        starts.add(np.zeros(1))
        texts: list[str] = []
        for part in parts:
            if part.token_type_ids is not None:
                types.add(np.zeros(ids.size - types.size, np.uint8))  # of parts that have none
                types.add(part.token_type_ids)
            for ends in pieces(part.starts[1:]):
                starts.add(ids.size + ends)
            ids.add(part.ids)
            if part.spans is not None:
                spans.add(part.spans.ravel())
            truncated.add(part.truncated)
            if part.firsts is not None:
                firsts.add(part.firsts)
            texts += part.texts
        if types.size:
            types.add(np.zeros(ids.size - types.size, np.uint8))
        return cls(
            ids=ids.whole(),
            starts=starts.whole(),
            token_type_ids=types.whole() if types.size else None,
            truncated=truncated.whole(),
            pad_id=part.pad_id,
            spans=None if part.spans is None else spans.whole().reshape(-1, 2),
            texts=texts,
            firsts=None if part.firsts is None else firsts.whole(),
        )

    def take(self, rows: np.ndarray) -> TokenizedTexts:
        """Some of the texts, in the order of ``rows``; many are written into a file."""
        step = 1 + _TAKEN_AT_ONCE // int(self.lengths.max(initial=1))
        begins = range(0, max(1, len(rows)), step)
        return TokenizedTexts.joined(self._some(rows[at : at + step]) for at in begins)

    def _some(self, rows: np.ndarray) -> TokenizedTexts:
        lengths = self.lengths[rows]
        index, starts = flat_index(self.starts[rows], lengths), cu_seqlens(lengths)
        types = None if self.token_type_ids is None else self.token_type_ids[index]
        spans = None if self.spans is None else self.spans[index]
        texts = [self.texts[row] for row in rows.tolist()] if self.texts else ()
        truncated = self.truncated[rows]
        firsts = None if self.firsts is None else self.firsts[rows]
        return TokenizedTexts(
            self.ids[index], starts, types, truncated, self.pad_id, spans, texts, firsts
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def row_count(self) -> int:
        """How many rows the texts are, or their windows."""
        return len(self) if self.firsts is None else int(np.count_nonzero(self.firsts))

    def rows_of(self, texts: np.ndarray) -> np.ndarray:
        """The row of each of these texts, which may be windows."""
        if self.firsts is None:
            return texts
        numbers: np.ndarray = np.cumsum(self.firsts)[texts] - 1
        return numbers

    def of_rows(self, begin: int, end: int) -> TokenizedTexts:
        """The texts of neighbouring rows, all windows of each; a view of the same arrays."""
        first, last = begin, end
        if self.firsts is not None:
            first, last = np.append(np.flatnonzero(self.firsts), len(self))[[begin, end]]
        tokens = slice(self.starts[first], self.starts[last])
        return replace(
            self,
            ids=self.ids[tokens],
            starts=self.starts[first : last + 1] - self.starts[first],
            token_type_ids=None if self.token_type_ids is None else self.token_type_ids[tokens],
            truncated=self.truncated[first:last],
            spans=None if self.spans is None else self.spans[tokens],
            texts=self.texts[first:last],
            firsts=None if self.firsts is None else self.firsts[first:last],
        )

    @property
    def plain(self) -> TokenizedTexts:
        """The tokens alone, without what says which words and rows they are of."""
        return replace(self, spans=None, texts=(), firsts=None)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64 ``[texts]``."""
        return mapped(np.diff(self.starts))

    def pad(self, rows: Sequence[int] | np.ndarray, length: int | None = None) -> PaddedTokens:
        """Some texts, at least one, padded to ``length`` tokens (default: those of the longest)."""
        chosen = np.asarray(rows, dtype=np.int64)
        sizes = self.lengths[chosen]
        mask = np.arange(sizes.max() if length is None else length) < sizes[:, None]
        at = flat_index(self.starts[chosen], sizes)
        ids = np.full(mask.shape, self.pad_id, dtype=np.int64)
        ids[mask] = self.ids[at]
        if self.token_type_ids is None:
            return PaddedTokens(ids, mask)
        types = np.zeros(mask.shape, dtype=np.int64)
        types[mask] = self.token_type_ids[at]
        return PaddedTokens(ids, mask, types)


def cu_seqlens(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Where rows begin that stand one behind the other, and the end: int64 ``[rows + 1]``."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def flat_index(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Where the tokens of rows stand in a flat array, one row behind the other, int64 ``[tokens]``.

    The rows have these ``lengths`` and begin at ``starts``.
    """
    offsets = cu_seqlens(lengths)
    index: np.ndarray = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return index
