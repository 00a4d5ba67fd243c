"""Where the tokens of a batch stand when attention looks at them: in blocks of one length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lora_bert.runtime.device import tensor_on
from lora_bert.tokens.batching import Blocks, Offsets


@dataclass(frozen=True)
class BlockLayout:
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
    def of(cls, offsets: Offsets, device: torch.device, *, together: bool) -> BlockLayout:
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

        def on_device(array: np.ndarray, absent: bool = False) -> Any:
            return None if absent else tensor_on(array, device)

        return cls(
            count=blocks.count,
            length=blocks.length,
            token_of=on_device(token_of, as_they_come),
            place_of=on_device(place_of, as_they_come),
            end=len(tokens),
            empty=on_device(np.flatnonzero(row_of < 0), len(tokens) == size),
            row_of=on_device(row_of.reshape(blocks.count, blocks.length)),
            alone=not blocks.before.any(),
            first=on_device(np.append(starts, starts[padding])),
            queries=on_device(queries),
            query_places=on_device(query_places.reshape(blocks.count, most)),
            query_of=on_device(np.append(query_of, query_of[padding])),
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
class HeadLayout:
    """The same head by head: a token is as many pieces as there are heads, in up to three parts.

    Attributes:
        layout: Where the tokens stand in blocks.
        count: Of heads.
        tokens: For one part and for three, which piece of all tokens each place of each head holds.
        pieces: Likewise, where each piece of the tokens stands.
        empty: The empty places of each head; None where there are none.
    """

    layout: BlockLayout
    count: int
    tokens: Mapping[int, Tensor]
    pieces: Mapping[int, Tensor]
    empty: Tensor | None

    @classmethod
    def of(cls, layout: BlockLayout, count: int) -> HeadLayout:
        """Those of blocks on the CPU."""
        length, heads = layout.length, torch.arange(count)

        def standing(at: Tensor) -> Tensor:
            return ((at // length)[:, None] * count + heads) * length + (at % length)[:, None]

        token_of = torch.arange(layout.size) if layout.token_of is None else layout.token_of
        place_of = torch.arange(layout.size) if layout.place_of is None else layout.place_of
        tokens = {
            parts: token_of.view(1, -1, 1, length) * (parts * count)
            + torch.arange(parts * count).view(parts, 1, count, 1)
            for parts in (1, 3)
        }
        first = standing(place_of)
        three = torch.stack([first + part * layout.size * count for part in range(3)], dim=1)
        return cls(
            layout=layout,
            count=count,
            tokens={parts: index.flatten() for parts, index in tokens.items()},
            pieces={1: first.flatten(), 3: three.flatten()},
            empty=None if layout.empty is None else standing(layout.empty).flatten(),
        )

    def views(self, x: Tensor, parts: int = 1) -> tuple[Tensor, ...]:
        """``[blocks · length, parts · hidden]`` -> views ``[blocks, heads, length, head size]``."""
        split = x.view(self.layout.count, self.layout.length, parts, self.count, -1)
        return split.permute(2, 0, 3, 1, 4).unbind()

    def split(self, x: Tensor, parts: int) -> Tensor:
        """``[tokens, parts · hidden]`` -> ``[parts, blocks · heads, length, head size]``."""
        pieces = x.view(-1, x.shape[1] // parts // self.count)
        split = pieces.index_select(0, self.tokens[parts])
        return split.view(parts, -1, self.layout.length, pieces.shape[1])

    def join(self, x: Tensor) -> Tensor:
        """The way back, ``[tokens, parts · hidden]``; filler holds finite values."""
        parts, _, _, size = x.shape
        return (
            x.view(-1, size).index_select(0, self.pieces[parts]).view(-1, parts * self.count * size)
        )

    def clear_empty(self, x: Tensor) -> Tensor:
        """``x [blocks · heads, length, head size]`` with zeros at empty places, in place."""
        if self.empty is not None:
            x.view(-1, x.shape[-1]).index_fill_(0, self.empty, 0)
        return x
