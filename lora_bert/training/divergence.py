"""What is said of a training whose numbers break, or whose weights do not move."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from lora_bert.config import TrainConfig

log = logging.getLogger(__name__)

_LEARNT = 1e-6
"""Below this loss gradients vanish because there is nothing left to learn."""
SMALLEST_NORM = 1e-6
"""A ``--max-grad-norm`` below this leaves nothing that float32 sees."""
_SMALL_RATE = 1e-5
"""A learning rate above this moves weights wherever gradients come through."""
_SCALED = "Weights of the backbone are probably badly scaled: try another backbone."

LOWER = "Lower --learning-rate."


class Movement:
    """Watches the gradients and the weights of one epoch.

    A change that is smaller than float32 rounds the largest weight counts as none: some weights
    begin at zero, and no rate is too small to move those by something.

    Args:
        parameters: By name, as they are before the epoch's first step.

    Attributes:
        largest_norm: Of the gradients of its steps so far.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._parameters = parameters
        self._before = {name: tensor.detach().clone() for name, tensor in parameters.items()}
        self.largest_norm = 0.0

    def warn(self, config: TrainConfig, *, epoch: int, loss: float) -> bool:
        """Warn if the epoch came to nothing, or nothing reached the LoRA matrices; whether it did.

        Where ``loss``, the epoch's mean, is zero, there is nothing left to learn.
        """
        if loss < _LEARNT:
            return False
        moved = self._moved(self._before)
        least = torch.finfo(torch.float32).eps * max(map(_largest, self._parameters.values()))
        if self.largest_norm == 0:
            sentence = f"Epoch {epoch} learned nothing: every gradient was zero. {_SCALED}"
        elif moved <= least:
            sentence = (
                f"Epoch {epoch} learned nothing: no weight moved by more than {moved:.0e}. "
                f"{_remedy(config)}"
            )
        elif (deep := self._moved_deep()) <= least:
            why = f"no gradient reached the layers. {_SCALED}"
            if deep:
                why = f"those of the layers by {deep:.0e} at most. {_remedy(config)}"
            sentence = f"Epoch {epoch} moved the head alone: {why}"
        else:
            return False
        log.warning("%s", sentence)
        return True

    def _moved_deep(self) -> float:
        """How far the LoRA matrices went that begin at zero; infinite where there are none.

        The others are moved by weight decay alone.
        """
        deep = [name for name in self._before if "lora_B" in name]
        return self._moved(deep) if deep else math.inf

    def _moved(self, names: Iterable[str]) -> float:
        return max(_largest(self._parameters[name] - self._before[name]) for name in names)


def _largest(tensor: Tensor) -> float:
    return float(tensor.detach().abs().max())


def _remedy(config: TrainConfig) -> str:
    limit = config.max_grad_norm
    if 0 < limit < SMALLEST_NORM:
        return f"--max-grad-norm {limit:g} leaves nothing of the gradients: raise it."
    if config.learning_rate < _SMALL_RATE:
        return f"Raise --learning-rate: {config.learning_rate:g} is too small."
    return _SCALED


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
    return f"{name}.weight" if name.endswith((".lora_A", ".lora_B")) else name, what
