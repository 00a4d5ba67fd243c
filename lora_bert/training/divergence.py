"""What is said of a training whose numbers break."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lora_bert.errors import DivergedError

_NAMES = {"lora_A": "lora_A.weight", "lora_B": "lora_B.weight"}


def diverged(what: str, step: int = 0, steps: int = 0) -> DivergedError:
    """The error that says ``what`` is wrong, at a step where it was found at one."""
    at, hint = f" at step {step} of {steps}" if step else "", "Lower --learning-rate."
    if step == 1:
        hint = (
            "No step was made before it, so it is not the --learning-rate: weights of the backbone "
            "are not finite or badly scaled. Try another backbone."
        )
    return DivergedError(f"Training diverged: {what}{at}.", hint=hint)


def worst_gradient(parameters: Mapping[str, Tensor]) -> str:
    """The first gradient that is not finite, else the largest; in words."""
    gradients = {name: part.grad for name, part in parameters.items() if part.grad is not None}
    broken = (name for name, gradient in gradients.items() if not gradient.isfinite().all())
    if name := next(broken, ""):
        what = "nan" if gradients[name].isnan().any() else "inf"
    else:
        name = max(gradients, key=lambda name: float(gradients[name].abs().max()))
        what = "too large for float32"
    stem, _, part = name.rpartition(".")
    in_file = f"{stem}.{_NAMES[part]}" if part in _NAMES else name
    return f"the gradient of '{in_file}' is {what}"
