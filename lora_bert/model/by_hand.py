"""A whole transformer layer with its backward pass written by hand, for training on a CPU.

Autograd would keep more, copy more and sum in separate passes over memory, which on a CPU costs as
much as the products themselves. Knowing that the weights are frozen, a layer needs little more than
its four products each way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lora_bert.model.backbone import Layer, Norm
from lora_bert.model.lora import Change, backward_product, forward_product

aten = torch.ops.aten

Derivative = Callable[[Tensor, Tensor], Tensor]
"""(gradient of the output, input) -> gradient of the input."""

DERIVATIVES: Mapping[str, Derivative] = {
    "gelu": aten.gelu_backward,
    "gelu_new": partial(aten.gelu_backward, approximate="tanh"),
    "gelu_pytorch_tanh": partial(aten.gelu_backward, approximate="tanh"),
    "relu": partial(aten.threshold_backward, threshold=0),
    "silu": aten.silu_backward,
    "swish": aten.silu_backward,
}
SLOTS = ("attention_input", "attention_output", "intermediate", "output")


@dataclass(frozen=True)
class Shape:
    """What a layer needs to know beside its tensors."""

    rows: int
    length: int
    heads: int
    head_size: int
    act: Callable[[Tensor], Tensor]
    derivative: Derivative

    def split(self, x: Tensor) -> Tensor:
        """``[tokens, n · hidden]`` -> ``[n, rows · heads, length, head size]``, copied."""
        parts = x.view(self.rows, self.length, -1, self.heads, self.head_size)
        return parts.permute(2, 0, 3, 1, 4).reshape(
            -1, self.rows * self.heads, self.length, self.head_size
        )

    def join(self, x: Tensor) -> Tensor:
        """The way back."""
        parts = x.view(-1, self.rows, self.heads, self.length, self.head_size)
        return parts.permute(1, 3, 0, 2, 4).reshape(self.rows * self.length, -1)


def layer_by_hand(
    hidden: Tensor,
    bias: Tensor,
    layer: Layer,
    changes: Sequence[Change | None],
    shape: Shape,
) -> Tensor:
    """One layer that normalises after its sublayers: ``[rows, length, hidden]`` -> the same.

    Args:
        hidden: The layer's input.
        bias: Added to the scores, ``[rows · heads, 1, length]``: very negative on padding.
        layer: The frozen weights.
        changes: What the adapter changes in each of :data:`SLOTS`.
        shape: Dimensions and activation.
    """
    tensors = [part for change in changes for part in _parts(change)]
    return _LayerByHand.apply(hidden, bias, layer, shape, *tensors)  # type: ignore[no-any-return, no-untyped-call]


class _LayerByHand(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, bias: Tensor, layer: Layer, shape: Shape, *tensors: Tensor | None
    ) -> Tensor:
        changes = _changes(tensors)
        stacks = [layer.stacks[slot] for slot in SLOTS]
        x = hidden.reshape(shape.rows * shape.length, -1)

        qkv, low_qkv = forward_product(x, stacks[0], changes[0])
        query, key, value = parts = shape.split(qkv)
        scores = torch.baddbmm(bias, query, key.transpose(1, 2), alpha=shape.head_size**-0.5)
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(x.dtype)
        mixed = shape.join(weights @ value)
        attended, low_attended = forward_product(mixed, stacks[1], changes[1])
        attended += x
        middle, *statistics = _normalise(attended, layer.norms["attention"])

        inner, low_inner = forward_product(middle, stacks[2], changes[2])
        active = shape.act(inner)
        outer, low_outer = forward_product(active, stacks[3], changes[3])
        outer += middle
        out, *more_statistics = _normalise(outer, layer.norms["output"])

        ctx.save_for_backward(
            x, parts, weights, mixed, attended, *statistics, middle, inner, active, outer,
            *more_statistics, low_qkv, low_attended, low_inner, low_outer, *tensors,
        )  # fmt: skip
        ctx.layer, ctx.shape = layer, shape
        return out.view_as(hidden)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        (
            x, parts, weights, mixed, attended, mean, deviation, middle, inner, active, outer,
            other_mean, other_deviation, low_qkv, low_attended, low_inner, low_outer, *tensors,
        ) = ctx.saved_tensors  # fmt: skip
        shape, norms = ctx.shape, ctx.layer.norms
        stacks, changes = [ctx.layer.stacks[slot] for slot in SLOTS], _changes(tensors)

        g = gradient.reshape(len(x), -1)
        g_outer = _normalise_backward(g, outer, other_mean, other_deviation, norms["output"])
        g_active, *of_output = backward_product(g_outer, active, low_outer, stacks[3], changes[3])
        g_inner = shape.derivative(g_active, inner)
        g_middle, *of_inner = backward_product(g_inner, middle, low_inner, stacks[2], changes[2])
        g_middle += g_outer
        g_attended = _normalise_backward(g_middle, attended, mean, deviation, norms["attention"])
        g_mixed, *of_attended = backward_product(
            g_attended, mixed, low_attended, stacks[1], changes[1]
        )
        g_qkv = _attention_backward(g_mixed, mixed, weights, parts, shape)
        wanted = ctx.needs_input_grad[0]
        g_x, *of_qkv = backward_product(g_qkv, x, low_qkv, stacks[0], changes[0], wanted=wanted)
        towards_hidden = g_x.add_(g_attended).view_as(gradient) if wanted else None
        return towards_hidden, None, None, None, *of_qkv, *of_attended, *of_inner, *of_output


def _attention_backward(
    g: Tensor, mixed: Tensor, weights: Tensor, parts: Tensor, shape: Shape
) -> Tensor:
    """The gradient of the mixed values -> that of queries, keys and values, ``[tokens, 3 · …]``.

    The softmax's sum over keys of weight times gradient equals that of output times gradient
    (Dao et al. 2022, arXiv:2205.14135), which is far shorter.
    """
    query, key, value = parts
    scale = shape.head_size**-0.5
    sums = (g * mixed).view(shape.rows, shape.length, shape.heads, shape.head_size).sum(-1)
    sums = sums.transpose(1, 2).reshape(-1, shape.length, 1)
    (g_mixed,) = shape.split(g)
    g_parts = torch.empty_like(parts)
    torch.bmm(weights.transpose(1, 2), g_mixed, out=g_parts[2])
    g_scores = torch.baddbmm(sums, g_mixed, value.transpose(1, 2), beta=-scale, alpha=scale)
    g_scores *= weights
    torch.bmm(g_scores, key, out=g_parts[0])
    torch.bmm(g_scores.transpose(1, 2), query, out=g_parts[1])
    return shape.join(g_parts)


def _normalise(x: Tensor, norm: Norm) -> tuple[Tensor, Tensor, Tensor]:
    """The normalised rows, and the means and reciprocal deviations that the way back needs."""
    found: tuple[Tensor, Tensor, Tensor] = aten.native_layer_norm(
        x, x.shape[-1:], norm.weight, norm.bias, norm.eps
    )
    return found


def _normalise_backward(
    g: Tensor, x: Tensor, mean: Tensor, deviation: Tensor, norm: Norm
) -> Tensor:
    found: Tensor = aten.native_layer_norm_backward(
        g, x, x.shape[-1:], mean, deviation, norm.weight, norm.bias, [True, False, False]
    )[0]
    return found


def _parts(change: Change | None) -> tuple[Tensor | None, Tensor | None]:
    return (change.down, change.up) if change else (None, None)


def _changes(tensors: Sequence[Tensor | None]) -> list[Change | None]:
    return [
        None if down is None or up is None else Change(down, up)
        for down, up in zip(tensors[::2], tensors[1::2], strict=True)
    ]
