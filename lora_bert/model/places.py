"""Where the tokens of a batch stand when attention looks at them: in blocks of one length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lora_bert.tokens.batching import Blocks, Offsets


@dataclass(frozen=True)
class Places:
    """Which places of :class:`~lora_bert.tokens.batching.Blocks` the tokens of a batch have.

    Attributes:
        count: Of blocks.
        length: Of each.
        token_of: Which token each place holds, ``[count · length]``; an empty one holds some token,
            which a bias hides. None where tokens stand as they come.
        place_of: Which place each token has, ``[tokens]``; filler has the first. None likewise.
        end: Tokens without filler.
        empty: The places without a token; None where there are none.
        row_of: Which row each place belongs to, -1 for empty ones, ``[count, length]``.
        alone: Whether no block holds two rows.
        first: The first token of each row, ``[rows]`` or up to three more.
        queries: First tokens again, as many for every block, ``[count · n]``.
        query_places: Which places of their blocks those have, ``[count, n]``.
        query_of: Which of those belongs to each of ``first``.
    """

    count: int
    length: int
    token_of: Tensor | None
    place_of: Tensor | None
    end: int
    empty: Tensor | None
    row_of: Tensor
    alone: bool
    first: Tensor
    queries: Tensor
    query_places: Tensor
    query_of: Tensor

    @classmethod
    def of(cls, offsets: Offsets, device: torch.device, *, together: bool) -> Places:
        """Those of a batch; ``together``: short rows share a block."""
        starts, lengths = offsets.cu_seqlens[:-1], offsets.lengths
        blocks = Blocks.shared(lengths) if together else Blocks.alone(lengths)
        size = blocks.count * blocks.length
        tokens = np.arange(offsets.cu_seqlens[-1])
        places = tokens + offsets.spread(blocks.block * blocks.length + blocks.begin - starts)
        token_of, row_of = np.zeros(size, dtype=np.int64), np.full(size, -1)
        token_of[places], row_of[places] = tokens, offsets.spread(np.arange(offsets.rows))
        place_of = np.zeros(offsets.tokens, dtype=np.int64)
        place_of[tokens] = places
        as_they_come = size == offsets.tokens and np.array_equal(places, tokens)
        # Few different numbers of queries a block, and of rows.
        most = 1 + int(blocks.before.max())
        most = most if most == 1 else -(-most // 4) * 4
        query_of = blocks.block * most + blocks.before
        queries, query_places = np.zeros((2, blocks.count * most), dtype=np.int64)
        queries[query_of], query_places[query_of] = starts, blocks.begin
        padding = [0] * (-offsets.rows % 4)

        def there(array: np.ndarray, absent: bool = False) -> Any:
            return None if absent else torch.from_numpy(array).to(device)

        return cls(
            count=blocks.count,
            length=blocks.length,
            token_of=there(token_of, as_they_come),
            place_of=there(place_of, as_they_come),
            end=len(tokens),
            empty=there(np.flatnonzero(row_of < 0), len(tokens) == size),
            row_of=there(row_of.reshape(blocks.count, blocks.length)),
            alone=not blocks.before.any(),
            first=there(np.append(starts, starts[padding])),
            queries=there(queries),
            query_places=there(query_places.reshape(blocks.count, most)),
            query_of=there(np.append(query_of, query_of[padding])),
        )

    @property
    def size(self) -> int:
        """How many places there are."""
        return self.count * self.length

    def seen(self) -> Tensor | None:
        """Which places a place sees, ``[count, 1, length or 1, length]``; None for all of a block.

        Empty ones are seen by nobody else.
        """
        if self.alone:
            return None if self.empty is None else (self.row_of >= 0)[:, None, None]
        return (self.row_of[:, :, None] == self.row_of[:, None, :])[:, None]

    def pad(self, x: Tensor) -> Tensor:
        """``[tokens, width]`` -> ``[count · length, width]``; empty places hold finite values."""
        return x if self.token_of is None else x.index_select(0, self.token_of)

    def pad_with_zeros(self, x: Tensor) -> Tensor:
        """As :meth:`pad`, with zeros at empty places."""
        padded = self.pad(x)
        return padded if self.empty is None else padded.index_fill(0, self.empty, 0)

    def unpad(self, x: Tensor) -> Tensor:
        """``[count · length, width]`` -> ``[tokens, width]``; filler holds finite values."""
        return x if self.place_of is None else x.index_select(0, self.place_of)

    def clear_filler(self, x: Tensor) -> Tensor:
        """``x [tokens, width]`` with zeros on filler, in place."""
        x[self.end :].zero_()
        return x


@dataclass(frozen=True)
class Heads:
    """The same head by head: a token is as many pieces as there are heads.

    Attributes:
        places: Where the tokens stand in blocks.
        count: Of heads.
    """

    places: Places
    count: int

    def views(self, x: Tensor, parts: int = 1) -> tuple[Tensor, ...]:
        """``[blocks · length, parts · hidden]`` -> views ``[blocks, heads, length, head size]``."""
        split = x.view(self.places.count, self.places.length, parts, self.count, -1)
        return split.permute(2, 0, 3, 1, 4).unbind()

    def split(self, x: Tensor, parts: int) -> Tensor:
        """``[tokens, parts · hidden]`` -> ``[parts, blocks · heads, length, head size]``."""
        pieces = x.view(-1, x.shape[1] // parts // self.count)
        index = self._tokens_of_three if parts == 3 else self._tokens_of_one
        return pieces.index_select(0, index).view(parts, -1, self.places.length, pieces.shape[1])

    def join(self, x: Tensor) -> Tensor:
        """The way back, ``[tokens, parts · hidden]``; filler holds finite values."""
        parts, _, _, size = x.shape
        index = self._places_of_three if parts == 3 else self._places_of_one
        return x.view(-1, size).index_select(0, index).view(-1, parts * self.count * size)

    def clear_empty(self, x: Tensor) -> Tensor:
        """``x [blocks · heads, length, head size]`` with zeros at empty places, in place."""
        if self._empty is not None:
            x.view(-1, x.shape[-1]).index_fill_(0, self._empty, 0)
        return x

    @cached_property
    def _tokens_of_one(self) -> Tensor:
        return self._tokens(1)

    @cached_property
    def _tokens_of_three(self) -> Tensor:
        return self._tokens(3)

    @cached_property
    def _places_of_one(self) -> Tensor:
        return self._pieces(self._place_of).flatten()

    @cached_property
    def _places_of_three(self) -> Tensor:
        pieces, size = self._pieces(self._place_of), self.places.size * self.count
        return torch.stack([pieces, pieces + size, pieces + 2 * size], dim=1).flatten()

    @cached_property
    def _empty(self) -> Tensor | None:
        return None if self.places.empty is None else self._pieces(self.places.empty).flatten()

    @property
    def _place_of(self) -> Tensor:
        places = self.places
        return torch.arange(places.size) if places.place_of is None else places.place_of

    def _tokens(self, parts: int) -> Tensor:
        """Which piece each place holds, by part, block and head."""
        places = self.places
        token_of = torch.arange(places.size) if places.token_of is None else places.token_of
        share = torch.arange(parts * self.count).view(parts, 1, self.count, 1)
        return (token_of.view(1, -1, 1, places.length) * (parts * self.count) + share).flatten()

    def _pieces(self, places: Tensor) -> Tensor:
        """``[places]`` -> where their pieces stand by block and head, ``[places, heads]``."""
        block, place = places // self.places.length, places % self.places.length
        head = torch.arange(self.count) + (block * self.count)[:, None]
        return head * self.places.length + place[:, None]
