"""What is said of a training whose numbers break."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_NAMES = {"lora_A": "lora_A.weight", "lora_B": "lora_B.weight"}

LOWER = "Lower --learning-rate."


def advice(step: int) -> str:
    """What to do about a loss or a gradient that is not finite at a step, counted from 1."""
    if step == 1:
        return (
            "No step was made before it, so it is not the --learning-rate: weights of the backbone "
            "are not finite or badly scaled. Try another backbone."
        )
    return LOWER


def worst_gradient(parameters: Mapping[str, Tensor]) -> tuple[str, str]:
    """The first tensor whose gradient is not finite, else that with the largest; what it is."""
    gradients = {name: part.grad for name, part in parameters.items() if part.grad is not None}
    broken = (name for name, gradient in gradients.items() if not gradient.isfinite().all())
    if name := next(broken, ""):
        what = "nan" if gradients[name].isnan().any() else "inf"
    else:
        name = max(gradients, key=lambda name: float(gradients[name].abs().max()))
        what = "too large for float32"
    stem, _, part = name.rpartition(".")
    return f"{stem}.{_NAMES[part]}" if part in _NAMES else name, what
