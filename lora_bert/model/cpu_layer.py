"""A whole transformer layer with its backward pass written by hand, for training on a CPU.

Autograd would keep more, copy more and sum in separate passes over memory, which on a CPU costs as
much as the products themselves. Knowing that the weights are frozen, a layer needs little more than
its four products each way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lora_bert.model.activation import Activation
from lora_bert.model.attention import Rows
from lora_bert.model.backbone import Layer, Norm
from lora_bert.model.lora import LoraUpdate, backward_product, forward_product

aten = torch.ops.aten
flash = aten._scaled_dot_product_flash_attention_for_cpu
flash_backward = aten._scaled_dot_product_flash_attention_for_cpu_backward

_SCORES = 2**19
"""Attention scores computed at once: with their gradients they fit a core's cache."""
SLOTS = ("attention_input", "attention_output", "intermediate", "output")


@dataclass(frozen=True)
class Shape:
    """What a layer needs to know beside its tensors."""

    rows: Rows
    heads: int
    act: Activation

    def groups(self) -> list[tuple[slice, slice]]:
        """Rows whose attention fits the core's cache together: their places, and their heads."""
        count, length = self.rows.count, self.rows.length
        fitting = max(1, _SCORES // (self.heads * length**2))
        size = fitting if fitting < 4 else fitting // 4 * 4  # few shapes
        cuts = [*range(0, count, size), count]
        return [
            (slice(begin * length, end * length), slice(begin * self.heads, end * self.heads))
            for begin, end in pairwise(cuts)
        ]

    def by_head(self, x: Tensor, parts: int = 1) -> tuple[Tensor, ...]:
        """``[rows · length, parts · hidden]`` -> views ``[rows, heads, length, head size]``."""
        split = x.view(self.rows.count, self.rows.length, parts, self.heads, -1)
        return split.permute(2, 0, 3, 1, 4).unbind()

    def split(self, x: Tensor, parts: int = 1) -> Tensor:
        """``[places, parts · hidden]`` -> ``[parts, rows · heads, length, head size]``, copied."""
        apart = x.view(-1, self.rows.length, parts, self.heads, x.shape[1] // parts // self.heads)
        return apart.permute(2, 0, 3, 1, 4).reshape(parts, -1, *apart.shape[1::3])

    def join(self, x: Tensor, out: Tensor) -> None:
        """The way back, into ``out``."""
        parts, _, length, size = x.shape
        out.view(-1, length, parts, self.heads, size).copy_(
            x.view(parts, -1, self.heads, length, size).permute(1, 3, 0, 2, 4)
        )


def layer_by_hand(
    hidden: Tensor,
    bias: Tensor | None,
    layer: Layer,
    updates: Sequence[LoraUpdate | None],
    shape: Shape,
) -> Tensor:
    """One layer that normalises after its sublayers: ``hidden [tokens, hidden]`` -> the same.

    ``bias [rows, 1, 1, length]`` is added to the scores, very negative on padding; ``updates`` is
    what the adapter changes in each of :data:`SLOTS`.
    """
    tensors = [part for update in updates for part in _parts(update)]
    return _LayerByHand.apply(hidden, bias, layer, shape, *tensors)  # type: ignore[no-any-return, no-untyped-call]


class _LayerByHand(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        bias: Tensor | None,
        layer: Layer,
        shape: Shape,
        *tensors: Tensor | None,
    ) -> Tensor:
        updates = _changes(tensors)
        fused = [layer.fused[slot] for slot in SLOTS]
        qkv, low_qkv = forward_product(hidden, fused[0], updates[0])
        padded = shape.rows.pad(qkv)
        mixed, sums = _attend(padded, bias, shape)
        attended, low_attended = forward_product(mixed, fused[1], updates[1], hidden)
        middle, *statistics = _normalise(attended, layer.norms["attention"])

        inner, low_inner = forward_product(middle, fused[2], updates[2])
        active = shape.act(inner)
        outer, low_outer = forward_product(active, fused[3], updates[3], middle)
        out, *more_statistics = _normalise(outer, layer.norms["output"])

        ctx.save_for_backward(
            hidden, padded, bias, mixed, sums, attended, *statistics, middle, inner, active, outer,
            *more_statistics, low_qkv, low_attended, low_inner, low_outer, *tensors,
        )  # fmt: skip
        ctx.layer, ctx.shape = layer, shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        (
            x, padded, bias, mixed, sums, attended, mean, deviation, middle, inner, active, outer,
            other_mean, other_deviation, low_qkv, low_attended, low_inner, low_outer, *tensors,
        ) = ctx.saved_tensors  # fmt: skip
        shape, norms = ctx.shape, ctx.layer.norms
        fused, updates = [ctx.layer.fused[slot] for slot in SLOTS], _changes(tensors)

        g_outer = _normalise_backward(gradient, outer, other_mean, other_deviation, norms["output"])
        g_active, *of_output = backward_product(g_outer, active, low_outer, fused[3], updates[3])
        g_inner = shape.act.derivative(g_active, inner)
        g_middle, *of_inner = backward_product(
            g_inner, middle, low_inner, fused[2], updates[2], g_outer
        )
        g_attended = _normalise_backward(g_middle, attended, mean, deviation, norms["attention"])
        g_mixed, *of_attended = backward_product(
            g_attended, mixed, low_attended, fused[1], updates[1]
        )
        backward = _fused_backward if g_mixed.dtype == torch.float32 else _backward_in_parts
        g_qkv = backward(g_mixed, mixed, sums, padded, bias, shape)
        wanted = ctx.needs_input_grad[0]
        g_x, *of_qkv = backward_product(
            g_qkv, x, low_qkv, fused[0], updates[0], g_attended, wanted=wanted
        )
        of_changes = (*of_qkv, *of_attended, *of_inner, *of_output)
        return g_x if wanted else None, None, None, None, *of_changes


def _attend(qkv: Tensor, bias: Tensor | None, shape: Shape) -> tuple[Tensor, Tensor]:
    """Padded queries, keys and values, ``[rows · length, 3 · hidden]`` -> what they are mixed to.

    These are ``[tokens, hidden]``. And the logarithms of the softmax's sums, ``[rows, heads, …]``.
    """
    mixed, sums = flash(*shape.by_head(qkv, 3), attn_mask=bias)
    return shape.rows.unpad(mixed.transpose(1, 2).flatten(2).flatten(0, 1)), sums


def _fused_backward(
    g: Tensor, mixed: Tensor, sums: Tensor, qkv: Tensor, bias: Tensor | None, shape: Shape
) -> Tensor:
    """The gradient of the mixed values -> that of queries, keys and values, by torch's kernel.

    ``g`` and ``mixed`` are ``[tokens, hidden]``, ``qkv`` is padded, the result
    ``[tokens, 3 · hidden]``.
    """
    rows = shape.rows
    (gradient,), (output,) = shape.by_head(rows.pad_with_zeros(g)), shape.by_head(rows.pad(mixed))
    inputs = shape.by_head(qkv, 3)
    parts = flash_backward(gradient, *inputs, output, sums, 0.0, False, attn_mask=bias)
    g_qkv = torch.empty_like(qkv)
    for target, part in zip(shape.by_head(g_qkv, 3), parts, strict=True):
        target.copy_(part)
    return rows.clear_filler(rows.unpad(g_qkv))


def _backward_in_parts(
    g: Tensor, mixed: Tensor, sums: Tensor, qkv: Tensor, bias: Tensor | None, shape: Shape
) -> Tensor:
    """As :func:`_fused_backward`; in bfloat16 up to ten times as fast as torch's kernel.

    The attention weights are computed again, a few rows at a time. The softmax's sum over keys of
    weight times gradient equals that of output times gradient, which is far shorter. Both are of
    Dao et al. 2022, arXiv:2205.14135.
    """
    rows, heads, size = shape.rows, shape.heads, g.shape[1] // shape.heads
    scale = size**-0.5
    shifts = sums.neg().unsqueeze(-1).to(g.dtype)
    shifts = (shifts if bias is None else shifts + bias).flatten(0, 1)
    dots = rows.pad_with_zeros((g * mixed).view(-1, heads, size).sum(-1))
    dots = dots.view(rows.count, -1, heads).transpose(1, 2).reshape(-1, rows.length, 1)
    g = rows.pad_with_zeros(g)
    g_qkv = torch.empty_like(qkv)
    for places, of_heads in shape.groups():
        query, key, value = parts = shape.split(qkv[places], 3)
        weights = torch.baddbmm(shifts[of_heads], query, key.transpose(1, 2), alpha=scale).exp_()
        (g_mixed,) = shape.split(g[places])
        g_parts = torch.empty_like(parts)
        torch.bmm(weights.transpose(1, 2), g_mixed, out=g_parts[2])
        g_scores = torch.baddbmm(
            dots[of_heads], g_mixed, value.transpose(1, 2), beta=-scale, alpha=scale
        )
        g_scores *= weights
        torch.bmm(g_scores, key, out=g_parts[0])
        torch.bmm(g_scores.transpose(1, 2), query, out=g_parts[1])
        shape.join(g_parts, g_qkv[places])
    return rows.clear_filler(rows.unpad(g_qkv))


def _normalise(x: Tensor, norm: Norm) -> tuple[Tensor, Tensor, Tensor]:
    """The normalised rows, and the means and reciprocal deviations that the way back needs."""
    shape = x.shape[-1:]
    return aten.native_layer_norm(x, shape, norm.weight, norm.bias, norm.eps)  # type: ignore[no-any-return]


def _normalise_backward(
    g: Tensor, x: Tensor, mean: Tensor, deviation: Tensor, norm: Norm
) -> Tensor:
    wanted, shape = [True, False, False], x.shape[-1:]
    return aten.native_layer_norm_backward(  # type: ignore[no-any-return]
        g, x, shape, mean, deviation, norm.weight, norm.bias, wanted
    )[0]


def _parts(update: LoraUpdate | None) -> tuple[Tensor | None, Tensor | None]:
    return (update.lora_A, update.lora_B) if update else (None, None)


def _changes(tensors: Sequence[Tensor | None]) -> list[LoraUpdate | None]:
    return [
        None if lora_A is None or lora_B is None else LoraUpdate(lora_A, lora_B)
        for lora_A, lora_B in zip(tensors[::2], tensors[1::2], strict=True)
    ]
