"""Multiplying by a weight that never changes, in the layout the processor multiplies fastest."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.model.activation import Activation

PACKED_FOR = 1024
"""Rows that the packed layout is chosen for; every other number works too."""


class PackedLinear:
    """``x [rows, in]`` -> ``x @ weight.T + bias``, without gradients.

    In bfloat16 on a CPU oneDNN reorders a weight before each product; here that is done once. In
    float32, where there is a bias, torch would write it down before it multiplies, a pass over
    memory that oneDNN does without.

    Args:
        weight: ``[out, in]``, frozen.
        bias: ``[out]``.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        # oneDNN reads a bias as if it were contiguous.
        self.bias = None if bias is None else bias.contiguous()
        wanted = weight.dtype == torch.bfloat16 or (
            weight.dtype == torch.float32 and bias is not None
        )
        packs = weight.device.type == "cpu" and wanted and _can_pack()
        self.packed = _pack(weight) if packs else None
        self._weight = weight.new_empty(0) if packs else weight

    def __call__(
        self, x: Tensor, residual: Tensor | None = None, activation: Activation | None = None
    ) -> Tensor:
        """The product plus ``residual``, activated, where these are given; all ``[rows, out]``."""
        if self.packed is None:
            y = F.linear(x, self._weight, self.bias)
            y = y if residual is None else y.add_(residual)
        elif residual is None and activation is not None and activation.fused:
            return _multiply(x, self.packed, self.bias, fused=activation.fused)
        else:
            y = _multiply(x, self.packed, self.bias, residual)
        return y if activation is None else activation(y)

    def beside(self, x: Tensor, low: Tensor, up: Tensor, residual: Tensor | None = None) -> Tensor:
        """The product plus ``low [rows, rank] @ up [rank, out]``, plus ``residual`` if given.

        Of a GPU's time a narrow product is all memory: there it is the first one, and the wide one,
        which is all arithmetic, adds to it.
        """
        if not _narrow_first(x):
            return self(x, residual).addmm_(low, up)
        first = residual if self.bias is None else self.bias
        y = low @ up if first is None else torch.addmm(first, low, up)
        if residual is not None and first is not residual:
            y.add_(residual)
        return y.addmm_(x, self._weight.t())


def _narrow_first(x: Tensor) -> bool:
    return x.device.type != "cpu"


@cache
def _can_pack() -> bool:
    """Whether this torch has the operators that its compiler uses for packed weights."""
    weight = torch.linspace(-1, 1, 32 * 32).view(32, 32).to(torch.bfloat16)
    try:
        found = _multiply(weight, _pack(weight), None, weight)
        _multiply(weight, _pack(weight), None, fused=("gelu", "none"))
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return torch.allclose(found, F.linear(weight, weight) + weight, rtol=1e-2, atol=1e-2)


def _pack(weight: Tensor) -> Tensor:
    reorder = torch.ops.mkldnn._reorder_linear_weight
    return reorder(weight.contiguous(), PACKED_FOR)  # type: ignore[no-any-return]


def _multiply(
    x: Tensor,
    packed: Tensor,
    bias: Tensor | None,
    residual: Tensor | None = None,
    fused: tuple[str, str] = ("none", ""),
) -> Tensor:
    multiply = torch.ops.mkldnn._linear_pointwise
    if residual is None:
        return multiply(x, packed, bias, fused[0], [], fused[1])  # type: ignore[no-any-return]
    return multiply.binary(x, residual, packed, bias, "add")  # type: ignore[no-any-return]
