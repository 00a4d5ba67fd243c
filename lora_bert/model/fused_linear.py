"""Frozen linear layers, and those that read the same input as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lora_bert.model.packed_linear import PackedLinear


@dataclass(frozen=True)
class Linear:
    """A frozen linear layer and the name it has in ``transformers``."""

    name: str
    weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True)
class FusedLinear:
    """Linear layers that read the same input, computed as one.

    Attributes:
        linears: The layers, in the order of their outputs; their weights are views of ``weight``.
        weight: ``[out, in]``, all of them below one another.
        bias: ``[out]``.
    """

    linears: tuple[Linear, ...]
    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, linears: Sequence[Linear]) -> FusedLinear:
        """Put layers together; their tensors are held once."""
        if len(linears) == 1:
            return cls(tuple(linears), linears[0].weight, linears[0].bias)
        weight, bias = torch.cat([linear.weight for linear in linears]), None
        biases = [linear.bias for linear in linears]
        if any(part is not None for part in biases):
            bias = torch.cat(
                [weight.new_zeros(len(linear.weight)) if linear.bias is None else linear.bias
                 for linear in linears]
            )  # fmt: skip
        sizes = [len(linear.weight) for linear in linears]
        shares = [None] * len(linears) if bias is None else torch.split(bias, sizes)
        views = [
            Linear(linear.name, part, None if linear.bias is None else share)
            for linear, part, share in zip(linears, torch.split(weight, sizes), shares, strict=True)
        ]
        return cls(tuple(views), weight, bias)

    @property
    def is_wide(self) -> bool:
        """Whether its output is wider than its input."""
        return self.weight.shape[0] > self.weight.shape[1]

    @property
    def name(self) -> str:
        """What it is known by: the name of its first layer."""
        return self.linears[0].name

    @cached_property
    def forward(self) -> PackedLinear:
        """``x @ weight.T + bias``."""
        return PackedLinear(self.weight, self.bias)

    @cached_property
    def backward(self) -> PackedLinear:
        """``g @ weight``, which leads from the gradient of the output to that of the input."""
        return PackedLinear(self.weight.t())
