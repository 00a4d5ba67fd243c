"""A whole transformer layer with its backward pass written by hand, for training.

Autograd would keep more, copy more and sum in separate passes over memory, which on a CPU costs as
much as the products themselves, and on a GPU more launches than small batches have time for.
Knowing that the weights are frozen, a layer needs little more than its four products each way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lora_bert.model.activation import Activation
from lora_bert.model.backbone import Layer, Norm
from lora_bert.model.lora import LoraUpdate, backward_product, forward_product

aten = torch.ops.aten

SLOTS = ("attention_input", "attention_output", "intermediate", "output")


class Attention(Protocol):
    """Attention that knows the way back."""

    def attend(self, qkv: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Queries, keys and values ``[tokens, 3 · hidden]`` -> what they mix to, and what is kept.

        The former is ``[tokens, hidden]``; the latter is for :meth:`attend_backward`.
        """

    def attend_backward(self, g: Tensor, mixed: Tensor, kept: tuple[Tensor, ...]) -> Tensor:
        """The gradient of what :meth:`attend` gave -> that of its input; zero on filler."""


def layer_by_hand(
    hidden: Tensor,
    layer: Layer,
    updates: Sequence[LoraUpdate | None],
    attention: Attention,
    activation: Activation,
) -> Tensor:
    """One layer that normalises after its sublayers: ``hidden [tokens, hidden]`` -> the same.

    ``updates`` is what the adapter changes in each of :data:`SLOTS`.
    """
    parts = [part for update in updates if update for part in (update.down, update.up)]
    return _LayerByHand.apply(hidden, layer, updates, attention, activation, *parts)  # type: ignore[no-any-return, no-untyped-call]


class _LayerByHand(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        layer: Layer,
        updates: Sequence[LoraUpdate | None],
        attention: Attention,
        activation: Activation,
        *parts: Tensor,
    ) -> Tensor:
        fused = [layer.fused[slot] for slot in SLOTS]
        qkv, low_qkv = forward_product(hidden, fused[0], updates[0])
        mixed, kept = attention.attend(qkv)
        attended, low_attended = forward_product(mixed, fused[1], updates[1], hidden)
        middle, *statistics = _normalise(attended, layer.norms["attention"])

        inner, low_inner = forward_product(middle, fused[2], updates[2])
        active = activation(inner)
        outer, low_outer = forward_product(active, fused[3], updates[3], middle)
        out, *more_statistics = _normalise(outer, layer.norms["output"])

        ctx.save_for_backward(
            hidden, mixed, attended, *statistics, middle, inner, active, outer, *more_statistics,
            low_qkv, low_attended, low_inner, low_outer, *kept,
        )  # fmt: skip
        ctx.layer, ctx.updates = layer, updates
        ctx.attention, ctx.activation = attention, activation
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        (
            x, mixed, attended, mean, deviation, middle, inner, active, outer,
            other_mean, other_deviation, low_qkv, low_attended, low_inner, low_outer, *kept,
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
        g_qkv = ctx.attention.attend_backward(g_mixed, mixed, tuple(kept))
        wanted = ctx.needs_input_grad[0]
        g_x, *of_qkv = backward_product(
            g_qkv, x, low_qkv, fused[0], updates[0], g_attended, wanted=wanted
        )
        of_updates = (*of_qkv, *of_attended, *of_inner, *of_output)
        given = [part for part in of_updates if part is not None]
        return g_x if wanted else None, None, None, None, None, *given


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
