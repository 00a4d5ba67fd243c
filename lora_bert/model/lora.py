"""LoRA: the low-rank change of a frozen linear layer (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


@dataclass(frozen=True)
class Factors:
    """The change ``scaling · up @ down`` of one linear layer.

    Attributes:
        down: ``[rank, in]``, PEFT's ``lora_A``.
        up: ``[out, rank]``, PEFT's ``lora_B``.
        scaling: ``alpha / rank`` (rank-stabilised: ``alpha / sqrt(rank)``).
    """

    down: Tensor
    up: Tensor
    scaling: float

    def delta(self) -> Tensor:
        """The change of the weight, ``[out, in]``."""
        return (self.up @ self.down) * self.scaling


@dataclass(frozen=True)
class Linear:
    """A frozen linear layer and the name it has in ``transformers``."""

    name: str
    weight: Tensor
    bias: Tensor | None


def initial_factors(linear: Linear, rank: int, alpha: float, generator: torch.Generator) -> Factors:
    """Fresh factors as PEFT draws them: Kaiming-uniform (a = √5) down, zero up; float32."""
    out_features, in_features = linear.weight.shape
    bound = 1 / math.sqrt(in_features)
    down = torch.empty(rank, in_features).uniform_(-bound, bound, generator=generator)
    return Factors(down, torch.zeros(out_features, rank), alpha / rank)


def adapted(
    x: Tensor, linears: Sequence[Linear], factors: Sequence[Factors | None], dropout: float = 0.0
) -> tuple[Tensor, ...]:
    """``x @ W.T + b`` plus the LoRA path, for every linear layer that reads the same ``x``.

    Args:
        x: ``[…, in]``.
        linears: The frozen layers.
        factors: What the adapter changes in each of them, None for nothing.
        dropout: Of the LoRA path's input, drawn anew for each layer.

    Returns:
        One ``[…, out]`` a layer, in the dtype of ``x``.
    """
    if not torch.is_grad_enabled() or dropout or not any(factors):
        return tuple(
            _plain(x, linear, pair, dropout) for linear, pair in zip(linears, factors, strict=True)
        )
    tensors = [part for pair in factors if pair for part in (pair.down, pair.up)]
    return _Adapted.apply(x, linears, factors, *tensors)  # type: ignore[no-any-return, no-untyped-call]


def _plain(x: Tensor, linear: Linear, pair: Factors | None, dropout: float) -> Tensor:
    y = F.linear(x, linear.weight, linear.bias)
    if pair is None:
        return y
    low = F.linear(F.dropout(x, dropout), pair.down.to(x.dtype))
    return y + F.linear(low, pair.up.to(x.dtype) * pair.scaling)


class _Adapted(torch.autograd.Function):
    """The same with a backward pass of its own, which knows that the weights are frozen.

    All sums are made inside the products (``addmm_``): the frozen and the low-rank path share one
    output, all layers share one gradient of ``x``, and nothing but ``x`` and the low-rank
    activations is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        linears: Sequence[Linear],
        factors: Sequence[Factors | None],
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        rows = x.reshape(-1, x.shape[-1])
        outputs: list[Tensor] = []
        saved: list[Tensor] = []
        for linear, pair in zip(linears, factors, strict=True):
            y = F.linear(rows, linear.weight, linear.bias)
            if pair is not None:
                down, up = pair.down.to(x.dtype), (pair.up * pair.scaling).to(x.dtype)
                low = rows @ down.t()
                y.addmm_(low, up.t())
                saved += [low, down, up]
            outputs.append(y.view(*x.shape[:-1], -1))
        ctx.save_for_backward(rows, *saved)
        ctx.linears, ctx.factors, ctx.shape = linears, factors, x.shape
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Any, ...]:
        rows, *saved = ctx.saved_tensors
        wanted = ctx.needs_input_grad[0]
        towards_x = torch.zeros_like(rows) if wanted else None
        gradients: list[Tensor] = []
        parts = iter(saved)
        for linear, pair, gradient in zip(ctx.linears, ctx.factors, upstream, strict=True):
            g = gradient.reshape(rows.shape[0], -1)
            if towards_x is not None:
                towards_x.addmm_(g, linear.weight)
            if pair is None:
                continue
            low, down, up = next(parts), next(parts), next(parts)
            narrow = g @ up
            if towards_x is not None:
                towards_x.addmm_(narrow, down)
            gradients += [(narrow.t() @ rows).float(), (g.t() @ low).float() * pair.scaling]
        shaped = towards_x.view(ctx.shape) if towards_x is not None else None
        return shaped, None, None, *gradients
