"""A whole transformer layer with its backward pass written by hand, for training on a CPU.

Autograd would keep more, copy more and sum in separate passes over memory, which on a CPU costs as
much as the products themselves. Knowing that the weights are frozen, a layer needs little more than
its four products each way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lora_bert.model.activation import Activation
from lora_bert.model.backbone import Layer, Norm
from lora_bert.model.block_layout import HeadLayout
from lora_bert.model.cpu_attention import attend, attend_backward
from lora_bert.model.lora import LoraUpdate, backward_product, forward_product

aten = torch.ops.aten

SLOTS = ("attention_input", "attention_output", "intermediate", "output")


def layer_by_hand(
    hidden: Tensor,
    bias: Tensor | None,
    layer: Layer,
    updates: Sequence[LoraUpdate | None],
    heads: HeadLayout,
    activation: Activation,
) -> Tensor:
    """One layer that normalises after its sublayers: ``hidden [tokens, hidden]`` -> the same.

    ``bias`` is added to the scores, as :func:`~lora_bert.model.cpu_attention.attend` says;
    ``updates`` is what the adapter changes in each of :data:`SLOTS`.
    """
    parts = [part for update in updates if update for part in (update.down, update.up)]
    return _LayerByHand.apply(hidden, bias, layer, updates, heads, activation, *parts)  # type: ignore[no-any-return, no-untyped-call]


class _LayerByHand(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        bias: Tensor | None,
        layer: Layer,
        updates: Sequence[LoraUpdate | None],
        heads: HeadLayout,
        activation: Activation,
        *parts: Tensor,
    ) -> Tensor:
        fused = [layer.fused[slot] for slot in SLOTS]
        qkv, low_qkv = forward_product(hidden, fused[0], updates[0])
        mixed, kept = attend(qkv, bias, heads)
        attended, low_attended = forward_product(mixed, fused[1], updates[1], hidden)
        middle, *statistics = _normalise(attended, layer.norms["attention"])

        inner, low_inner = forward_product(middle, fused[2], updates[2])
        active = activation(inner)
        outer, low_outer = forward_product(active, fused[3], updates[3], middle)
        out, *more_statistics = _normalise(outer, layer.norms["output"])

        ctx.save_for_backward(
            hidden, bias, *kept, mixed, attended, *statistics, middle, inner, active, outer,
            *more_statistics, low_qkv, low_attended, low_inner, low_outer,
        )  # fmt: skip
        ctx.layer, ctx.updates, ctx.heads, ctx.activation = layer, updates, heads, activation
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        (
            x, bias, parts, scores, mixed, attended, mean, deviation, middle, inner, active, outer,
            other_mean, other_deviation, low_qkv, low_attended, low_inner, low_outer,
        ) = ctx.saved_tensors  # fmt: skip
        norms, updates = ctx.layer.norms, ctx.updates
        fused = [ctx.layer.fused[slot] for slot in SLOTS]

        g_outer = _normalise_backward(gradient, outer, other_mean, other_deviation, norms["output"])
        g_active, *of_output = backward_product(g_outer, active, low_outer, fused[3], updates[3])
        g_inner = ctx.activation.derivative(g_active, inner)
        g_middle, *of_inner = backward_product(
            g_inner, middle, low_inner, fused[2], updates[2], g_outer
        )
        g_attended = _normalise_backward(g_middle, attended, mean, deviation, norms["attention"])
        g_mixed, *of_attended = backward_product(
            g_attended, mixed, low_attended, fused[1], updates[1]
        )
        g_qkv = attend_backward(g_mixed, mixed, (parts, scores), bias, ctx.heads)
        wanted = ctx.needs_input_grad[0]
        g_x, *of_qkv = backward_product(
            g_qkv, x, low_qkv, fused[0], updates[0], g_attended, wanted=wanted
        )
        of_updates = (*of_qkv, *of_attended, *of_inner, *of_output)
        given = [part for part in of_updates if part is not None]
        return g_x if wanted else None, None, None, None, None, None, *given


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
