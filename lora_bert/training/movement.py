"""Whether an epoch has moved the adapter at all."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import torch
from torch import Tensor

from lora_bert.config import TrainConfig
from lora_bert.model.branch import Adapter

log = logging.getLogger(__name__)

_LEARNT = 1e-6
"""Below this loss gradients vanish because there is nothing left to learn."""
_SCALED = "Weights of the backbone are probably badly scaled: try another backbone."


class Movement:
    """Watches the gradients and the weights of one epoch.

    A change that is smaller than float32 rounds the adapter's largest weight counts as none: some
    weights begin at zero, and no rate is too small to move those by something.

    Args:
        adapter: As it is before the epoch's first step.
    """

    def __init__(self, adapter: Adapter) -> None:
        self.adapter, self._before = adapter, adapter.copy()
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
        moved = _moved(self._before.tensors, self.adapter.tensors)
        least = torch.finfo(torch.float32).eps * max(map(_largest, self.adapter.tensors))
        if self._largest_norm == 0:
            said = f"Epoch {epoch} learned nothing: every gradient was zero. {_SCALED}"
        elif moved <= least:
            said = (
                f"Epoch {epoch} learned nothing: no weight moved by more than {moved:.0e}. "
                f"{_remedy(config)}"
            )
        elif self.adapter.factors and _moved(_ups(self._before), _ups(self.adapter)) <= least:
            # Those begin at zero; the others are moved by weight decay alone.
            said = f"Epoch {epoch} moved the head alone: no gradient reached the layers. {_SCALED}"
        else:
            return False
        log.warning("%s", said)
        return True


def _ups(adapter: Adapter) -> list[Tensor]:
    return [pair.up for pair in adapter.factors.values()]


def _moved(before: Iterable[Tensor], now: Iterable[Tensor]) -> float:
    return max(_largest(one - other) for one, other in zip(now, before, strict=True))


def _largest(tensor: Tensor) -> float:
    return float(tensor.detach().abs().max())


def _remedy(config: TrainConfig) -> str:
    limit = config.max_grad_norm
    if 0 < limit < 1e-6:
        return f"--max-grad-norm {limit:g} leaves nothing of the gradients: raise it."
    return f"Raise --learning-rate: {config.learning_rate:g} is too small."
