"""LoRA: the low-rank change of a frozen linear layer (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
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


def adapted(x: Tensor, linear: Linear, factors: Factors | None, dropout: float) -> Tensor:
    """``x @ W.T + b`` plus the LoRA path, in the dtype of ``x``; ``dropout`` acts on that path."""
    y = F.linear(x, linear.weight, linear.bias)
    if factors is None:
        return y
    dropped = F.dropout(x, dropout) if dropout else x
    low = F.linear(dropped, factors.down.to(x.dtype))
    return y + F.linear(low, factors.up.to(x.dtype) * factors.scaling)
