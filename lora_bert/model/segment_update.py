"""LoRA by segment: what several adapters change in one frozen linear, each in rows of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lora_bert.model.activation import Activation
from lora_bert.model.fused_linear import FusedLinear
from lora_bert.model.lora import LoraUpdate
from lora_bert.runtime.device import has_amx, tensor_on
from lora_bert.tokens.batching import filled

_RANKS = 96
"""Ranks of several adapters that are multiplied at once, where calls cost more than products."""
_STEP = 32
"""Ranks go up in steps, so that few products have to be prepared."""
_BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}


@dataclass(frozen=True)
class _Group:
    """Neighbours that are computed at once.

    Attributes:
        numbers: Which segments.
        start: The first row; ``size``: how many there are.
        padding: Ranks of zeros behind those of the adapters.
        own: All bits of a number where a row meets a rank of its own adapter, none elsewhere,
            ``[size, ranks]``; None: they all do.
    """

    numbers: Sequence[int]
    start: int
    size: int
    padding: int
    own: Tensor | None


@dataclass(frozen=True)
class Segments:
    """Where the segments of a batch stand among the rows that linears read.

    Attributes:
        ends: Segment ``n`` goes from ``ends[n]`` to ``ends[n + 1]``.
        layouts: What was made for linears of the same pass in which adapters have the same ranks.
    """

    ends: list[int]
    layouts: dict[tuple[int, ...], list[_Group]] = field(default_factory=dict)

    def groups(self, ranks: tuple[int, ...], x: Tensor) -> list[_Group]:
        """How the segments are computed whose adapters change so many ranks each, maybe none."""
        key = (len(x), *ranks)
        if (found := self.layouts.get(key)) is None:
            numbers = _neighbours(ranks, most=_ranks_at_once(x.device, x.dtype))
            found = self.layouts[key] = [self._group(each, ranks, x) for each in numbers]
        return found

    def _group(self, numbers: Sequence[int], ranks: Sequence[int], x: Tensor) -> _Group:
        begin, end = self.ends[numbers[0]], self.ends[numbers[-1] + 1]
        # A library prepares a product anew for each number of rows: they go up a ladder.
        size = min(filled(end - begin), len(x))
        start, count = min(begin, len(x) - size), sum(ranks[number] for number in numbers)
        padding = -count % _STEP if len(numbers) > 1 else 0
        own, at = np.zeros((size, count + padding), dtype=f"int{8 * x.element_size()}"), 0
        for number in numbers:
            rows = slice(self.ends[number] - start, self.ends[number + 1] - start)
            own[rows, at : at + ranks[number]] = -1
            at += ranks[number]
        mask = None if own.all() else tensor_on(own, x.device)
        return _Group(numbers, start, size, padding, mask)


@dataclass(frozen=True)
class SegmentUpdate:
    """What adapters change in a :class:`FusedLinear`: the frozen product is one for all of them.

    Attributes:
        segments: Where their rows stand.
        updates: What each of them changes; None for nothing.
    """

    segments: Segments
    updates: Sequence[LoraUpdate | None]

    def product(
        self,
        x: Tensor,
        fused: FusedLinear,
        residual: Tensor | None = None,
        activation: Activation | None = None,
    ) -> Tensor:
        """``x @ weight.T + bias`` plus each segment's LoRA path, ``[rows, in]`` -> ``[rows, out]``.

        Without gradients; ``residual`` and ``activation`` are those of
        :func:`~lora_bert.model.lora.adapted`.
        """
        y = fused.forward(x, residual)
        ranks = tuple(len(update.down) if update else 0 for update in self.updates)
        for group in self.segments.groups(ranks, x):
            updates = [update for number in group.numbers if (update := self.updates[number])]
            down, up = _together(updates, group.padding)
            low = x.narrow(0, group.start, group.size) @ down.t()
            if group.own is not None:
                # Ten times as fast as filling in zeros, and what is not a number does not pass.
                low.view(_BITS[low.dtype]).bitwise_and_(group.own)
            y.narrow(0, group.start, group.size).addmm_(low, up)
        return y if activation is None else activation(y)


def _neighbours(ranks: Sequence[int], most: int) -> Iterator[list[int]]:
    """Numbers of segments that have at most so many ranks together; one has as many as it has."""
    group, count = list[int](), 0
    for number in np.flatnonzero(ranks).tolist():
        if group and count + ranks[number] > most:
            yield group
            group, count = [], 0
        group.append(number)
        count += ranks[number]
    yield group


def _together(updates: Sequence[LoraUpdate], padding: int) -> tuple[Tensor, Tensor]:
    """All their ranks and zeros below one another, ``[ranks, in]`` and ``[ranks, out]``."""
    if len(updates) == 1:
        return updates[0].down, updates[0].up
    downs, ups = [update.down for update in updates], [update.up for update in updates]
    if padding:
        downs.append(downs[0].new_zeros(padding, downs[0].shape[1]))
        ups.append(ups[0].new_zeros(padding, ups[0].shape[1]))
    return torch.cat(downs), torch.cat(ups)


@cache
def _ranks_at_once(device: torch.device, dtype: torch.dtype) -> int:
    """How many ranks to multiply at once; 0: those of one adapter.

    Rows meet the ranks of their neighbours' adapters for nothing then. Where a processor multiplies
    whole tiles of bfloat16, and on a GPU, that costs less than a product for each adapter.
    """
    tiles = device.type != "cpu" or (dtype == torch.bfloat16 and has_amx())
    return _RANKS if tiles else 0
