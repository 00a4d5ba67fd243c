"""LoRA: the low-rank change of a frozen linear layer (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lora_bert.model.activation import Activation
from lora_bert.model.dropout import dropout
from lora_bert.model.fused_linear import FusedLinear, Linear, Product


@dataclass(frozen=True)
class LoraFactors:
    """The change ``scaling · lora_B @ lora_A`` of one linear layer.

    Attributes:
        lora_A: ``[rank, in]``.
        lora_B: ``[out, rank]``.
        scaling: ``alpha / rank`` (rank-stabilised: ``alpha / sqrt(rank)``).
    """

    lora_A: Tensor
    lora_B: Tensor
    scaling: float

    def delta(self) -> Tensor:
        """The change of the weight, ``[out, in]``."""
        return (self.lora_B @ self.lora_A) * self.scaling


def initial_lora_factors(
    linear: Linear, rank: int, alpha: float, generator: torch.Generator
) -> LoraFactors:
    """As PEFT draws them, float32: ``lora_A`` Kaiming-uniform (a = √5), ``lora_B`` zero."""
    out_features, in_features = linear.weight.shape
    bound = 1 / math.sqrt(in_features)
    lora_A = torch.empty(rank, in_features).uniform_(-bound, bound, generator=generator)
    return LoraFactors(lora_A, torch.zeros(out_features, rank), alpha / rank)


@dataclass(frozen=True)
class LoraUpdate:
    """What an adapter changes in a :class:`FusedLinear`: ``x @ down.T @ up``.

    Attributes:
        down: ``[ranks, in]``: ``lora_A``, the ranks of all changed layers together.
        up: ``[ranks, out]``: ``lora_B`` turned round and scaled; zero where an output does not
            belong to a rank's layer. Both lie along the ranks, so that their products share shapes.
        merged: ``x @ (weight + up.T @ down).T + bias``, the changed layers in one product: a copy
            of their weights, for an adapter that answers many texts.
    """

    down: Tensor
    up: Tensor
    merged: Product | None = None

    @cached_property
    def transposed(self) -> tuple[Tensor, Tensor]:
        """``down.T`` and ``up.T``, for passes that know their gradients."""
        return self.down.detach().t(), self.up.detach().t()

    def merged_with(self, linears: FusedLinear) -> LoraUpdate:
        """The same with the product by the weights of ``linears`` and what it changes in them."""
        weight = torch.addmm(linears.weight.float(), self.up.t().float(), self.down.float())
        product = linears.product(weight.to(linears.weight.dtype))
        return LoraUpdate(self.down, self.up, product)

    def to(self, dtype: torch.dtype) -> LoraUpdate:
        """The same in another dtype."""
        return LoraUpdate(self.down.to(dtype), self.up.to(dtype))


def lora_update(fused: FusedLinear, factors: Mapping[str, LoraFactors]) -> LoraUpdate | None:
    """The change of a stack, float32, differentiable in the factors; None where there is none."""
    pairs = [factors.get(linear.name) for linear in fused.linears]
    if not any(pairs):
        return None
    blocks = [
        linear.weight.new_zeros(len(linear.weight), 0, dtype=torch.float32)
        if pair is None
        else pair.lora_B * pair.scaling
        for linear, pair in zip(fused.linears, pairs, strict=True)
    ]
    down = torch.cat([pair.lora_A for pair in pairs if pair])
    return LoraUpdate(down, torch.block_diag(*blocks).t().contiguous())  # type: ignore[no-untyped-call]


def adapted(
    x: Tensor,
    fused: FusedLinear,
    update: LoraUpdate | None,
    residual: Tensor | None = None,
    activation: Activation | None = None,
    *,
    dropout_rate: float = 0.0,
    seed: int = 0,
) -> Tensor:
    """``x @ weight.T + bias`` plus the LoRA path.

    Args:
        x: ``[…, in]``.
        fused: The frozen layers.
        update: What the adapter changes in them, None for nothing.
        residual: ``[…, out]``, added to the result.
        activation: Applied at the end.
        dropout_rate: Dropout of the LoRA path's input.
        seed: Which elements that drops.

    Returns:
        ``[…, out]``, in the dtype of ``x``.
    """
    if not dropout_rate and not torch.is_grad_enabled():
        below = None if residual is None else residual.reshape(-1, residual.shape[-1])
        y, _ = forward_product(x.reshape(-1, x.shape[-1]), fused, update, below, activation)
        return y.view(*x.shape[:-1], -1)
    if not dropout_rate:
        parts = (update.down, update.up) if update else ()
        y = _Adapted.apply(x, fused, update, *parts)  # type: ignore[no-untyped-call]
    else:
        y = F.linear(x, fused.weight, fused.bias)
        if update is not None:
            y = y + F.linear(dropout(x, dropout_rate, seed), update.down) @ update.up
    y = y if residual is None else residual + y
    return y if activation is None else activation(y)


def forward_product(
    x: Tensor,
    fused: FusedLinear,
    update: LoraUpdate | None,
    residual: Tensor | None = None,
    activation: Activation | None = None,
) -> tuple[Tensor, Tensor | None]:
    """As :func:`adapted`, ``[rows, in]`` -> ``[rows, out]`` and the low-rank activations.

    The latter are ``[rows, ranks]``; None without an ``update``, or where it is merged.
    """
    if update is None:
        return fused.forward(x, residual, activation), None
    if update.merged is not None:
        return update.merged(x, residual, activation), None
    low = x @ update.transposed[0]
    y = fused.forward.beside(x, low, update.up, residual)
    return y if activation is None else activation(y), low


def backward_product(
    g: Tensor,
    x: Tensor,
    low: Tensor | None,
    fused: FusedLinear,
    update: LoraUpdate | None,
    residual: Tensor | None = None,
    *,
    wanted: bool = True,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The output's gradient -> those of ``x`` (empty if not ``wanted``), ``down`` and ``up``.

    The weights are frozen: nothing is computed for them, and both paths share one gradient of
    ``x``, summed inside the products together with ``residual``, which comes another way.
    """
    if update is None or low is None:
        return fused.backward(g, residual) if wanted else g.new_empty(0), None, None
    narrow = g @ update.transposed[1]
    towards_x = g.new_empty(0)
    if wanted:
        towards_x = fused.backward.beside(g, narrow, update.down, residual)
    return towards_x, narrow.t() @ x, low.t() @ g


class _Adapted(torch.autograd.Function):
    """:func:`adapted` with a backward pass that knows what is frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, fused: FusedLinear, update: LoraUpdate | None, *parts: Tensor
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        y, low = forward_product(rows, fused, update)
        ctx.save_for_backward(rows, low)
        ctx.fused, ctx.update = fused, update
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        rows, low = ctx.saved_tensors
        g, wanted = gradient.reshape(len(rows), -1), ctx.needs_input_grad[0]
        towards_x, *towards = backward_product(g, rows, low, ctx.fused, ctx.update, wanted=wanted)
        shaped = towards_x.view(*gradient.shape[:-1], -1) if wanted else None
        return shaped, None, None, *(part for part in towards if part is not None)
