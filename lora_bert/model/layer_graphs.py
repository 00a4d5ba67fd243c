"""CUDA graphs of a branch's layers: a training step that a GPU is told of in a few calls.

A layer is some ninety kernels, and a GPU is through with those of a small batch long before a CPU
has told it of the next ones. A graph has them all, forward or backward. What it computes has one
shape and stands in one place, so batches are filled up to few shapes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lora_bert.model.lora import LoraUpdate
from lora_bert.model.row_attention import RowAttention
from lora_bert.tokens.batching import Offsets

log = logging.getLogger(__name__)

Updates = Mapping[str, LoraUpdate]
"""What an adapter changes, by the name of the fused linear; the tensors change in place."""

Layers = Callable[[Tensor, RowAttention, Updates], Tensor]
"""Hidden states ``[tokens, hidden]``, where their rows stand, and the updates -> what comes out of
the last layer. It depends on nothing else."""

_MOST_TOKENS = 1 << 18
"""Of all recordings together: of so many stands what goes in, what comes out and its gradient."""
_MOST_SEEN = 256
"""Shapes that are remembered to have come once."""

_LONGEST_FILLER = 256
"""No row of filler has more tokens."""

_SMALL = 4096
"""Tokens up to which two shapes an octave will do: it is the CPU that is waited for there. Of more
there are sixteen, and filler costs what it is."""


@dataclass(frozen=True)
class Shape:
    """What a graph computes: so many tokens in so many rows, filler and its rows included."""

    tokens: int
    rows: int

    @classmethod
    def of(cls, offsets: Offsets) -> Shape:
        """The one that a batch is filled up to; every row of filler has a token, and not many."""
        real = int(offsets.cu_seqlens[-1])
        rows = offsets.rows + max(8, real // 2048)
        rows = _up(rows, 1 << max(3, rows.bit_length() - 2))
        tokens = real + rows - offsets.rows
        apart = 1 << max(5, tokens.bit_length() - (2 if tokens < _SMALL else 5))
        return cls(_up(tokens, apart), rows)

    def ends(self, offsets: Offsets) -> np.ndarray:
        """Where the rows begin, int32 ``[rows + 1]``: those of filler stand behind the others."""
        real, spare = int(offsets.cu_seqlens[-1]), self.rows - offsets.rows
        filler = real + np.arange(1, spare + 1) * (self.tokens - real) // spare
        return np.concatenate([offsets.cu_seqlens, filler]).astype(np.int32)


class LayerGraphs:
    """The layers of a branch in training, by graphs from the second batch of a shape on.

    Args:
        layers: What is recorded.
        updates: The adapter's.
        heads: Attention heads.
        longest: Tokens of the longest row in any batch.
    """

    def __init__(self, layers: Layers, updates: Updates, heads: int, longest: int) -> None:
        self._layers, self._updates, self._heads = layers, updates, heads
        self._leaves = [part for each in updates.values() for part in (each.down, each.up)]
        self._longest = max(longest, _LONGEST_FILLER)
        self._room = _MOST_TOKENS
        self._seen: dict[Shape, None] = {}
        self.recordings: dict[Shape, Recording] = {}
        self._stream: torch.cuda.Stream | None = None
        self._pool: Any = None

    def __call__(self, hidden: Tensor, offsets: Offsets) -> Tensor | None:
        """What comes out of the last layer, filler included; None: compute it as ever.

        It is overwritten by the next batch, which must not come before the gradient was taken.
        """
        shape = Shape.of(offsets)
        if shape not in self.recordings and not self._record(shape, hidden, offsets):
            return None
        recording = self.recordings[shape]
        return _Replay.apply(recording, hidden, offsets, *self._leaves)  # type: ignore[no-any-return, no-untyped-call]

    def stop(self) -> bool:
        """Give back the memory that recordings hold, and make no more; whether there was any."""
        held = bool(self.recordings)
        self.recordings, self._seen, self._room = {}, {}, 0
        self._stream = self._pool = None
        return held

    def _record(self, shape: Shape, hidden: Tensor, offsets: Offsets) -> bool:
        """Record a shape that comes again, where there is room for it."""
        if shape.tokens > self._room:
            return False
        if shape not in self._seen:
            self._seen[shape] = None
            if len(self._seen) > _MOST_SEEN:
                del self._seen[next(iter(self._seen))]
            return False
        try:
            attention = RowAttention(
                torch.from_numpy(shape.ends(offsets)).to(hidden.device), self._longest, self._heads
            )
            recording = Recording(self._layers, self._updates, shape, attention)
            recording.fill(hidden, offsets)
            recording.record(*self._place(hidden.device))
        except RuntimeError as error:
            log.warning("Steps are not recorded as CUDA graphs, which takes longer: %s", error)
            self.stop()
            return False
        self.recordings[shape] = recording
        self._room -= shape.tokens
        return True

    def _place(self, device: torch.device) -> tuple[torch.cuda.Stream | None, Any]:
        """The stream and the pool of all recordings: there they share what they need meanwhile."""
        if device.type == "cuda" and self._stream is None:
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()
        return self._stream, self._pool


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, recording: Recording, hidden: Tensor, offsets: Offsets, *leaves: Tensor
    ) -> Tensor:
        ctx.recording = recording
        return recording.forward(hidden, offsets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *ctx.recording.backward(gradient)


class Recording:
    """What the layers do with batches of one shape, forward and backward, as two graphs.

    Args:
        layers: What is recorded.
        updates: The adapter's.
        shape: Of the batches.
        attention: Where the rows of the first one stand; later ones are told of in its place.
    """

    def __init__(
        self, layers: Layers, updates: Updates, shape: Shape, attention: RowAttention
    ) -> None:
        self._layers, self._shape, self._attention = layers, shape, attention
        # Leaves of their own, made where they are used: autograd ties a leaf to its stream.
        self._updates = {
            name: LoraUpdate(each.down.detach().requires_grad_(), each.up.detach().requires_grad_())
            for name, each in updates.items()
        }
        self._hidden: Tensor | None = None

    def forward(self, hidden: Tensor, offsets: Offsets) -> Tensor:
        """What the layers give; it stands there until the next batch of this shape."""
        self.fill(hidden, offsets)
        self._forward()
        return self._output.detach()

    def backward(self, gradient: Tensor) -> tuple[Tensor, ...]:
        """The output's gradient -> those of the updates' tensors, which stand there likewise."""
        self._gradient.copy_(gradient)
        self._backward()
        return self._gradients

    def fill(self, hidden: Tensor, offsets: Offsets) -> None:
        """Put a batch where it is computed; what another one left behind it belongs to no row."""
        if self._hidden is None:
            self._hidden = hidden.new_zeros(self._shape.tokens, hidden.shape[1])
        real = int(offsets.cu_seqlens[-1])
        self._hidden[:real].copy_(hidden[:real])
        ends = torch.from_numpy(self._shape.ends(offsets))
        self._attention.cu_seqlens.copy_(ends, non_blocking=True)

    def record(self, stream: torch.cuda.Stream | None, pool: Any) -> None:
        """Capture both ways, on a stream of their own."""
        assert stream is not None
        current = torch.cuda.current_stream(stream.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            # Once as it is: libraries make ready what must not be made in a graph.
            self._compute_forward()
            self._gradient = torch.zeros_like(self._output)
            self._compute_backward()
            self._forward, self._backward = (
                _captured(function, stream, pool)
                for function in (self._compute_forward, self._compute_backward)
            )
        current.wait_stream(stream)
        del self._history

    def _compute_forward(self) -> None:
        assert self._hidden is not None
        with torch.enable_grad():
            self._history = self._layers(self._hidden, self._attention, self._updates)
        self._output = self._history.detach()

    def _compute_backward(self) -> None:
        leaves = [part for each in self._updates.values() for part in (each.down, each.up)]
        self._gradients = torch.autograd.grad(self._history, leaves, self._gradient)


def _captured(
    function: Callable[[], None], stream: torch.cuda.Stream, pool: Any
) -> Callable[[], None]:
    """What does the same again, in the same places."""
    graph = torch.cuda.CUDAGraph()
    # Other threads may use the GPU meanwhile.
    with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
        function()
    return graph.replay


def _up(number: int, step: int) -> int:
    """The multiple of ``step`` that is not below ``number``."""
    return -(-number // step) * step
