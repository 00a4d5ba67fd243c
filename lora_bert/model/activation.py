"""Activations: the function, its derivative, and the name under which a product applies it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.errors import BackboneError

aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """An element-wise function.

    Attributes:
        function: Computes it.
        derivative: (gradient of the output, input) -> gradient of the input, in place of the
            former; None where only autograd knows it.
        fused: What oneDNN calls it and the way it is computed; None where it has none.
    """

    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor], Tensor] | None = None
    fused: tuple[str, str] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """The activated values."""
        return self.function(x)


def activation_named(name: str) -> Activation:
    """The activation that ``config.json`` calls ``name``.

    Raises:
        BackboneError: Not one we know.
    """
    try:
        return ACTIVATIONS[name]
    except KeyError:
        known = ", ".join(sorted(ACTIVATIONS))
        raise BackboneError(
            f"The backbone uses the activation '{name}', which is not supported.",
            hint=f"Supported: {known}.",
        ) from None


def _in_place(operator: Any, **settings: Any) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda g, x: operator.grad_input(g, x, grad_input=g, **settings)


_GELU = Activation(F.gelu, _in_place(aten.gelu_backward), ("gelu", "none"))
_GELU_TANH = Activation(
    partial(F.gelu, approximate="tanh"),
    _in_place(aten.gelu_backward, approximate="tanh"),
    ("gelu", "tanh"),
)
_SILU = Activation(F.silu, _in_place(aten.silu_backward))
ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": _GELU,
    "gelu_new": _GELU_TANH,
    "gelu_pytorch_tanh": _GELU_TANH,
    "relu": Activation(F.relu, _in_place(aten.threshold_backward, threshold=0), ("relu", "")),
    "silu": _SILU,
    "swish": _SILU,
    "tanh": Activation(torch.tanh),
}
