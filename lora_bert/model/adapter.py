"""An adapter in memory: what was learned for one task, as tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lora_bert.backbones.config import Pooling
from lora_bert.model.lora import LoraFactors


@dataclass(frozen=True)
class Adapter:
    """What was learned for one task, as tensors.

    Attributes:
        factors: LoRA factors by the name of the linear layer they change.
        head: The classification head's tensors by their names in ``transformers``, float32.
        depth: Index of the lowest layer it changes: the trunk is the layers below.
        dropout: Dropout on the LoRA path while training.
        pooling: What the head reads: ``cls``: the first token of a text; ``mean``: the mean of its
            tokens, see :func:`~lora_bert.model.heads.mean_normed`; ``none``: every token.
    """

    factors: Mapping[str, LoraFactors]
    head: Mapping[str, Tensor]
    depth: int
    dropout: float = 0.0
    pooling: Pooling = "cls"

    def __repr__(self) -> str:
        return (
            f"Adapter({len(self.factors):,} linear layers changed, "
            f"{self.parameter_count:,} parameters)"
        )

    @property
    def named_tensors(self) -> dict[str, Tensor]:
        """Every tensor that training changes, by a name of its own."""
        named: dict[str, Tensor] = {}
        for name, pair in self.factors.items():
            named |= {f"{name}.lora_A": pair.lora_A, f"{name}.lora_B": pair.lora_B}
        return named | dict(self.head)

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor that training changes."""
        return list(self.named_tensors.values())

    @property
    def parameter_count(self) -> int:
        """Number of trained weights."""
        return sum(tensor.numel() for tensor in self.tensors)

    def to(self, device: torch.device) -> Adapter:
        """The same adapter on another device."""
        return self._with_each(lambda tensor: tensor.to(device))

    def copy(self) -> Adapter:
        """A detached copy, not changed by further training."""
        return self._with_each(lambda tensor: tensor.detach().clone())

    def _with_each(self, change: Callable[[Tensor], Tensor]) -> Adapter:
        """The same adapter, each of its tensors changed."""
        factors = {
            name: replace(pair, lora_A=change(pair.lora_A), lora_B=change(pair.lora_B))
            for name, pair in self.factors.items()
        }
        head = {name: change(tensor) for name, tensor in self.head.items()}
        return replace(self, factors=factors, head=head)
