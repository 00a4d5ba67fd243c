"""Multiplying by a frozen weight in eight bits."""

from __future__ import annotations

import logging
import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.errors import UnavailableError
from lora_bert.model.activation import ACTIVATIONS, Activation
from lora_bert.model.packed_linear import PACKED_FOR
from lora_bert.runtime.device import has_amx, multiplies_int8

log = logging.getLogger(__name__)


class Int8Linear:
    """``x [rows, in]`` -> ``x @ weight.T + bias``, without gradients, in the dtype of ``x``.

    The weight has a scale for each output and is rounded to -127..127 once. What it is multiplied
    by is rounded to 0..255, between its own smallest and largest number, anew each time (dynamic
    quantisation; Jacob et al. 2017, arXiv:1712.05877). A scale that is alike on both sides of zero
    would waste half of its steps on what leaves a GELU, which is hardly ever negative.

    Args:
        weight: ``[out, in]``, frozen, on the CPU.
        bias: ``[out]``.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        wide = weight.float()
        self._scales = wide.abs().amax(dim=1).clamp_(min=torch.finfo(torch.float32).tiny) / 127
        rounded = (wide / self._scales[:, None]).round_().to(torch.int8)
        prepack = torch.ops.onednn.qlinear_prepack
        self._packed: Tensor = prepack(rounded, [PACKED_FOR, weight.shape[1]])
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        # oneDNN reads a bias as if it were contiguous.
        self._bias = None if bias is None else bias.float().contiguous()

    def __call__(
        self, x: Tensor, residual: Tensor | None = None, activation: Activation | None = None
    ) -> Tensor:
        """The product plus ``residual``, activated, where these are given; all ``[rows, out]``."""
        operands = (*_quantised(x), self._packed, self._scales, self._zeros)
        multiply, output = torch.ops.onednn.qlinear_pointwise, (1.0, 0, x.dtype)
        fused = activation.fused if activation is not None and residual is None else None
        name, way = fused or ("none", "")
        y: Tensor = (
            multiply(*operands, self._bias, *output, name, [], way)
            if residual is None
            else multiply.binary(
                *operands, residual, self._bias, *output, 1.0, 0, "add", 1.0, name, [], way
            )
        )
        return y if activation is None or fused else activation(y)

    def beside(self, x: Tensor, low: Tensor, up: Tensor, residual: Tensor | None = None) -> Tensor:
        """The product plus ``low [rows, rank] @ up [rank, out]``, plus ``residual`` if given."""
        return self(x, residual).addmm_(low, up)


def check_int8(device: torch.device) -> None:
    """Raise UnavailableError where int8 would not be fast, or not right."""
    if device.type != "cpu":
        raise UnavailableError(
            f"--dtype int8: eight bits are multiplied on CPUs, not on {device.type}.",
            hint="Add --device cpu, or leave --dtype out.",
        )
    if not (multiplies_int8(device) and _can_multiply()):
        raise UnavailableError(
            "--dtype int8: this processor has no products of eight bits (VNNI), or this torch does "
            "not use them.",
            hint="Leave --dtype out.",
        )
    if has_amx():
        log.warning("--dtype int8: with AMX, which this processor has, bfloat16 is faster.")


def _quantised(x: Tensor) -> tuple[Tensor, float, int]:
    """``x`` as uint8 ``q``, and the scale and zero point with ``x ≈ scale · (q - zero point)``.

    The scale is NaN, and so is the product, where an element is no number.
    """
    lowest, highest = (float(end) for end in torch.aminmax(x))
    if not math.isfinite(highest - lowest):
        return torch.zeros_like(x, dtype=torch.uint8), math.nan, 0
    lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    scale = max((highest - lowest) / 255, torch.finfo(torch.float32).tiny)
    zero_point = round(-lowest / scale)
    wide, middle = x.to(torch.float32, copy=True), torch.tensor(zero_point - 128.0)
    torch.add(middle, wide, alpha=1 / scale, out=wide)
    # By way of -128..127: torch is three times as fast in making those of floats.
    return (
        wide.round_().clamp_(-128, 127).to(torch.int8).view(torch.uint8).add_(128),
        scale,
        zero_point,
    )


@cache
def _can_multiply() -> bool:
    """Whether this torch has the operators that its compiler uses for eight bits."""
    weight = torch.linspace(-1, 1, 32 * 32).view(32, 32)
    try:
        product = Int8Linear(weight)
        found = product(weight, weight)
        product(weight, activation=ACTIVATIONS["gelu"])
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    right = F.linear(weight, weight) + weight
    return bool((found - right).norm() < 0.05 * right.norm())
