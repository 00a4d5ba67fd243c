"""Attention in parts, with its backward pass written by hand, for training on a CPU.

In float32 torch's fused kernel does it. In bfloat16 that kernel's backward pass is up to ten times
as slow as its parts, one after the other, which keep the attention weights for the way back. Where
a processor has no unit for matrices, they are faster without a way back too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lora_bert.model.block_layout import HeadLayout

aten = torch.ops.aten
flash = aten._scaled_dot_product_flash_attention_for_cpu
flash_backward = aten._scaled_dot_product_flash_attention_for_cpu_backward

_SCORES = 2**19
"""Attention scores computed at once: with their gradients they fit a core's cache."""

Kept = tuple[Tensor, ...]
"""What the way back needs: queries, keys and values by head, and what became of the scores."""


class Group(NamedTuple):
    """Some heads of some blocks.

    Attributes:
        whole: Their slice of all blocks · heads; ``blocks`` and ``heads`` of either.
    """

    whole: slice
    blocks: slice
    heads: slice


@dataclass(frozen=True)
class BlockAttention:
    """Attention within blocks, both ways.

    Attributes:
        heads: Where the tokens stand.
        bias: Added to the scores, ``[blocks or 1, heads or 1, length or 1, length]``, or None.
    """

    heads: HeadLayout
    bias: Tensor | None

    def attend(self, qkv: Tensor) -> tuple[Tensor, Kept]:
        """Queries, keys and values ``[tokens, 3 · hidden]`` -> what they mix to, and what is kept.

        The former is ``[tokens, hidden]``.
        """
        heads = self.heads
        if qkv.dtype == torch.float32:
            padded = heads.layout.pad(qkv)
            mixed, sums = flash(*heads.views(padded, 3), attn_mask=self.bias)
            mixed = mixed.transpose(1, 2).flatten(2).flatten(0, 1)
            return heads.layout.unpad(mixed), (padded, sums)
        query, key, value = parts = heads.split(qkv, 3)
        weights = [self._weights(query, key, group) for group in _groups(heads)]
        whole = weights[0] if len(weights) == 1 else torch.cat(weights)
        return heads.join(torch.bmm(whole, value)[None]), (parts, whole)

    def mixed(self, qkv: Tensor) -> Tensor:
        """What :meth:`attend` mixes them to in bfloat16, keeping nothing."""
        query, key, value = self.heads.split(qkv, 3)
        mixed = torch.empty_like(value)
        for group in _groups(self.heads):
            weights = self._weights(query, key, group)
            torch.bmm(weights, value[group.whole], out=mixed[group.whole])
        return self.heads.join(mixed[None])

    def _weights(self, query: Tensor, key: Tensor, group: Group) -> Tensor:
        """The attention weights of a group, ``[its blocks · heads, length, length]``."""
        layout = self.heads.layout
        scores = _scaled(query[group.whole], key[group.whole].mT, query.shape[-1] ** -0.5)
        if self.bias is not None:
            bias = self.bias.expand(layout.count, self.heads.count, -1, -1)
            hidden = bias[group.blocks, group.heads]
            scores.view(*hidden.shape[:2], *scores.shape[1:]).add_(hidden)
        # Where a row of scores does not fill the processor's vectors, float32 is faster.
        exact = torch.float32 if layout.length % 32 else query.dtype
        return torch.softmax(scores, -1, dtype=exact).to(query.dtype)

    def attend_backward(self, g: Tensor, mixed: Tensor, kept: Kept) -> Tensor:
        """The gradient of what :meth:`attend` gave -> that of its input, ``[tokens, 3 · hidden]``.

        It is zero on filler.
        """
        if g.dtype == torch.float32:
            backward = _flash_backward(g, mixed, kept, self.bias, self.heads)
        else:
            backward = _backward_in_parts(g, kept, self.heads)
        return self.heads.layout.clear_filler(backward)


def _flash_backward(
    g: Tensor, mixed: Tensor, kept: Kept, bias: Tensor | None, heads: HeadLayout
) -> Tensor:
    qkv, sums = kept
    (gradient,) = heads.views(heads.layout.pad_with_zeros(g))
    (output,) = heads.views(heads.layout.pad(mixed))
    inputs = heads.views(qkv, 3)
    parts = flash_backward(gradient, *inputs, output, sums, 0.0, False, attn_mask=bias)
    g_qkv = torch.empty_like(qkv)
    for target, part in zip(heads.views(g_qkv, 3), parts, strict=True):
        target.copy_(part)
    return heads.layout.unpad(g_qkv)


def _backward_in_parts(g: Tensor, kept: Kept, heads: HeadLayout) -> Tensor:
    (query, key, value), weights = kept
    (g_mixed,) = heads.clear_empty(heads.split(g, 1))
    g_parts = g.new_empty(3, *query.shape)
    g_query, g_key, g_value = g_parts
    scale = query.shape[-1] ** -0.5
    torch.bmm(weights.mT, g_mixed, out=g_value)
    for group in (each.whole for each in _groups(heads)):
        g_weights = torch.bmm(g_mixed[group], value[group].mT)
        g_scores = aten._softmax_backward_data(g_weights, weights[group], -1, g.dtype)
        _scaled(g_scores, key[group], scale, out=g_query[group])
        _scaled(g_scores.mT, query[group], scale, out=g_key[group])
    return heads.join(g_parts)


def _scaled(a: Tensor, b: Tensor, scale: float, out: Tensor | None = None) -> Tensor:
    """``scale · a @ b``, scaled while it is in the processor's registers."""
    return torch.baddbmm(a.new_empty(1, 1, 1), a, b, beta=0, alpha=scale, out=out)


def _groups(heads: HeadLayout) -> Iterator[Group]:
    """What fits the core's cache together."""
    blocks, count = heads.layout.count, heads.count
    fitting = max(1, _SCORES // heads.layout.length**2)
    if fitting >= blocks * count:
        yield Group(slice(None), slice(None), slice(None))
    elif fitting >= count:
        for begin in range(0, blocks, fitting // count):
            end = min(begin + fitting // count, blocks)
            yield Group(slice(begin * count, end * count), slice(begin, end), slice(None))
    else:
        size = max(size for size in range(1, fitting + 1) if count % size == 0)
        for begin in range(0, blocks * count, size):
            block, head = divmod(begin, count)
            whole = slice(begin, begin + size)
            yield Group(whole, slice(block, block + 1), slice(head, head + size))
