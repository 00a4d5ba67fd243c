"""Frozen linear layers, and those that read the same input as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lora_bert.model.int8_linear import Int8Linear
from lora_bert.model.packed_linear import PackedLinear

Product = PackedLinear | Int8Linear
"""What multiplies by a frozen weight."""


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
        int8: Whether it multiplies in eight bits.
    """

    linears: tuple[Linear, ...]
    weight: Tensor
    bias: Tensor | None
    int8: bool = False

    @classmethod
    def of(cls, linears: Sequence[Linear], *, int8: bool = False) -> FusedLinear:
        """Put layers together; their tensors are held once."""
        if len(linears) == 1:
            return cls(tuple(linears), linears[0].weight, linears[0].bias, int8)
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
        return cls(tuple(views), weight, bias, int8)

    @property
    def name(self) -> str:
        """What it is known by: the name of its first layer."""
        return self.linears[0].name

    def product(self, weight: Tensor) -> Product:
        """``x @ weight.T + bias`` for a ``weight`` like its own, in the precision of its own."""
        return Int8Linear(weight, self.bias) if self.int8 else PackedLinear(weight, self.bias)

    @cached_property
    def forward(self) -> Product:
        """``x @ weight.T + bias``."""
        return self.product(self.weight)

    @cached_property
    def backward(self) -> PackedLinear:
        """``g @ weight``, which leads from the gradient of the output to that of the input."""
        return PackedLinear(self.weight.t())
