"""What is said of a training whose numbers break."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from lora_bert.errors import DivergedError

_NAMES = {"lora_A": "lora_A.weight", "lora_B": "lora_B.weight"}


def check_loss(loss: float, step: int, steps: int) -> None:
    """Check the loss of a step.

    Raises:
        DivergedError: It is not finite.
    """
    if not math.isfinite(loss):
        raise DivergedError(
            f"Training diverged: the loss is {loss} at step {step} of {steps}.", hint=_advice(step)
        )


def check_figures(figures: Mapping[str, float]) -> None:
    """Check what the validation rows say.

    Raises:
        DivergedError: A figure is not a number.
    """
    for name, value in figures.items():
        if not math.isfinite(value):
            raise DivergedError(
                f"Training diverged: the {name} of the validation rows is {value}.",
                hint="Lower --learning-rate.",
            )


def broken_gradient(parameters: Mapping[str, Tensor], step: int, steps: int) -> DivergedError:
    """The error of gradients of which one is not finite, or so large that their norm is not."""
    name, what = _worst(parameters)
    return DivergedError(
        f"Training diverged: the gradient of '{name}' is {what} at step {step} of {steps}.",
        hint=_advice(step),
    )


def _advice(step: int) -> str:
    if step == 1:
        return (
            "No step was made before it, so it is not the --learning-rate: weights of the backbone "
            "are not finite or badly scaled. Try another backbone."
        )
    return "Lower --learning-rate."


def _worst(parameters: Mapping[str, Tensor]) -> tuple[str, str]:
    """The first tensor whose gradient is not finite, else the one with the largest; what it is."""
    gradients = {name: part.grad for name, part in parameters.items() if part.grad is not None}
    for name, gradient in gradients.items():
        if not gradient.isfinite().all():
            return _name_in_file(name), "nan" if gradient.isnan().any() else "inf"
    largest = max(gradients, key=lambda name: float(gradients[name].abs().max()))
    return _name_in_file(largest), "too large for float32"


def _name_in_file(name: str) -> str:
    """The name that a parameter has in the adapter's file."""
    stem, _, part = name.rpartition(".")
    return f"{stem}.{_NAMES[part]}" if part in _NAMES else name
