"""Whether an epoch has moved the adapter at all."""

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


class Movement:
    """Watches the gradients and the weights of one epoch.

    A change that is smaller than float32 rounds the largest weight counts as none: some weights
    begin at zero, and no rate is too small to move those by something.

    Args:
        parameters: By name, as they are before the epoch's first step.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._parameters = parameters
        self._before = {name: tensor.detach().clone() for name, tensor in parameters.items()}
        self._largest_norm = 0.0

    def note(self, norm: float) -> None:
        """Take note of a step's gradient, by its norm."""
        self._largest_norm = max(self._largest_norm, norm)

    def warn(self, config: TrainConfig, *, epoch: int, loss: float) -> bool:
        """Warn if the epoch came to nothing, or nothing reached the LoRA matrices; whether it did.

        Args:
            config: Says what may have been the reason.
            epoch: Counted from 1.
            loss: Its mean: where it is zero there is nothing left to learn.
        """
        if loss < _LEARNT:
            return False
        moved = self._moved(self._before)
        least = torch.finfo(torch.float32).eps * max(map(_largest, self._parameters.values()))
        if self._largest_norm == 0:
            sentence = f"Epoch {epoch} learned nothing: every gradient was zero. {_SCALED}"
        elif moved <= least:
            sentence = (
                f"Epoch {epoch} learned nothing: no weight moved by more than {moved:.0e}. "
                f"{_remedy(config)}"
            )
        elif (deep := self._moved_deep()) <= least:
            why = (
                f"those of the layers by {deep:.0e} at most. {_remedy(config)}"
                if deep
                else (f"no gradient reached the layers. {_SCALED}")
            )
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
