"""LoRA by segment: what several adapters change in one frozen linear, each in rows of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lora_bert.model.activation import Activation
from lora_bert.model.fused_linear import FusedLinear
from lora_bert.model.lora import LoraUpdate
from lora_bert.tokens.batching import filled

Part = tuple[int, int, LoraUpdate]
"""Where a segment begins and ends in the input of a linear, and what its adapter changes there."""


@dataclass(frozen=True)
class SegmentUpdate:
    """What adapters change in a :class:`FusedLinear`: the frozen product is one for all of them.

    Attributes:
        parts: Of the adapters that change something.
    """

    parts: tuple[Part, ...]

    def product(
        self,
        x: Tensor,
        fused: FusedLinear,
        residual: Tensor | None = None,
        activation: Activation | None = None,
    ) -> Tensor:
        """``x @ weight.T + bias`` plus each segment's LoRA path, ``[rows, in]`` -> ``[rows, out]``.

        Without gradients; ``residual`` and ``activation`` are those of
        :func:`~lora_bert.model.lora.adapted`.
        """
        y = fused.forward(x, residual)
        for begin, end, start, stop, update in self._windows(len(x)):
            low = x[start:stop] @ update.transposed[0]
            # Rows of other adapters get an exact zero.
            low[: begin - start].zero_()
            low[end - start :].zero_()
            y[start:stop].addmm_(low, update.up)
        return y if activation is None else activation(y)

    def _windows(self, rows: int) -> Iterator[tuple[int, int, int, int, LoraUpdate]]:
        """Each part, and around it as many rows as a step of the ladder has.

        A processor's library prepares a product anew for each number of rows, so there must be few.
        """
        for begin, end, update in self.parts:
            size = min(filled(end - begin), rows)
            start = min(begin, rows - size)
            yield begin, end, start, start + size, update
