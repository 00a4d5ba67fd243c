"""The gradient of one optimizer step: slices of its batches side by side, summed exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lora_bert.config import TrainConfig
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.dropout import derived_seed
from lora_bert.model.forward import branch, layer_graphs
from lora_bert.model.layer import LoraUpdates
from lora_bert.model.layer_graphs import LayerGraphs
from lora_bert.runtime.device import tensor_on
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.memory import is_out_of_memory
from lora_bert.runtime.threads import Workers
from lora_bert.tasks.base import Task
from lora_bert.tokens.batching import Offsets, slice_count, slices
from lora_bert.training.rounded_factors import GatheredFactors, RoundedFactors
from lora_bert.training.tokenize_rows import Tokens

HiddenStates = Callable[[np.ndarray], tuple[Tensor, Offsets]]
"""Row numbers -> what the trunk makes of them, ``[tokens, hidden]``, and where the rows stand."""

Fetch = Callable[[Sequence[np.ndarray]], HiddenStates]
"""The rows that each process is to compute with, by rank -> those of this one's."""

_TOKENS_A_WORKER = 256
"""Fewer tokens are not worth another thread."""


def most_workers(config: TrainConfig, rows: Tokens) -> int:
    """How many threads a batch is worth."""
    tokens = config.batch_tokens or config.batch_size * float(rows.lengths.mean())
    return max(1, min(config.batch_size, int(tokens / _TOKENS_A_WORKER)))


def shares_of(config: TrainConfig, rows: Tokens, device: torch.device) -> tuple[int, int]:
    """The threads that share a batch, in all processes together, and the cores that each has."""
    group = processes()
    threads = group.add_threads()
    count = min(most_workers(config, rows), threads) if device.type == "cpu" else group.count
    return count, max(1, threads // count)


@dataclass(frozen=True)
class Gradients:
    """Computes gradients of the summed loss.

    Attributes:
        backbone: Frozen.
        adapter: Its tensors get the gradients.
        hidden: Gives the trunk's output.
        lengths: Tokens of every row.
        targets: The target of every row, which may be a window.
        task: Has the loss.
        workers: Who computes, in this process.
        seed: Of dropout.
        checkpointing: Recompute each layer instead of keeping its activations.
        parts: Into how many slices a batch is cut at least; 0: one a worker. They decide the
            dropout and the last bits, so they are one a worker of all processes together.
        fetch: Hands over the trunk's output where processes keep it for each other, or None.
        shares: What each row counts in the loss, float32; None: all count 1.
    """

    backbone: Backbone
    adapter: Adapter
    hidden: HiddenStates
    lengths: np.ndarray
    targets: np.ndarray
    task: Task
    workers: Workers
    seed: int
    checkpointing: bool = False
    parts: int = 0
    fetch: Fetch | None = None
    shares: np.ndarray | None = None

    def __call__(
        self, batches: Sequence[np.ndarray], weight: float, step: int, cuts: int = 1
    ) -> Tensor:
        """Set the gradients of ``loss / weight`` over some batches of row numbers.

        Args:
            batches: Row numbers.
            weight: Divides the loss.
            step: Decides the dropout, together with the slice.
            cuts: Into how many times as many slices as usual batches are cut, to need less memory.

        Returns:
            The summed loss, float64: whoever reads it waits for the GPU.
        """
        factors = self._factors
        factors.refresh()

        group = processes()
        numbered = list(enumerate(rows for batch in batches for rows in self._slices(batch, cuts)))
        shares = [numbered[rank :: group.count] for rank in range(group.count)]
        hidden = self.fetch(list(map(_rows, shares))) if self.fetch else self.hidden

        # Whoever computes which part, the sum is the same: in float32 of two, in float64 of more.
        exact = torch.float64 if len(numbered) > 2 else torch.float32

        # Where memory has run out none is held for other batches.
        graphs = self._graphs if cuts == 1 else None

        def turn(piece: tuple[int, np.ndarray]) -> tuple[Tensor, Tensor]:
            number, rows = piece
            seed = derived_seed(self.seed, step, number)
            part = self._loss(rows, hidden, factors.updates, seed, graphs)
            gradients = torch.autograd.grad(part / weight, factors.leaves)
            return part.detach().double(), factors.joined(gradients, exact)

        summed, gradient = self._sum(turn, shares[group.rank], exact)
        factors.pass_on(gradient)
        return summed

    @cached_property
    def _factors(self) -> RoundedFactors:
        kind = RoundedFactors if self.backbone.device.type == "cpu" else GatheredFactors
        return kind(self.backbone, self.adapter)

    @cached_property
    def _graphs(self) -> LayerGraphs | None:
        if self.checkpointing:
            return None
        longest = int(self.lengths.max())
        return layer_graphs(self.backbone, self.adapter, self._factors.updates, longest)

    def spare_memory(self) -> bool:
        """Hold no memory from now on that is not needed; whether some was held."""
        graphs = self.__dict__.get("_graphs")
        return bool(graphs and graphs.stop())

    def _sum(
        self,
        turn: Callable[[tuple[int, np.ndarray]], tuple[Tensor, Tensor]],
        share: Sequence[tuple[int, np.ndarray]],
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """The loss and the gradient of all slices, of which this process computes a share."""
        group, total = processes(), None
        summed, lacking = torch.zeros((), dtype=torch.float64, device=self.backbone.device), 0
        try:
            for loss, gradient in self.workers.map(turn, share):
                summed = summed + loss
                total = gradient if total is None else total.add_(gradient)
        except (MemoryError, RuntimeError) as error:
            if group.count == 1 or not is_out_of_memory(error):
                raise
            lacking = 1  # the others are told, and try again with this one
        if group.count > 1:
            status = group.add(torch.tensor([float(summed), lacking], dtype=torch.float64))
            summed = status[0]
            if status[1]:
                raise MemoryError("Memory ran out in one of the processes.")
        if total is None:  # there were fewer slices than processes
            numbers = sum(leaf.numel() for leaf in self._factors.leaves)
            total = torch.zeros(numbers, dtype=dtype, device=self.backbone.device)
        return summed, group.add(total).float()

    def _slices(self, batch: np.ndarray, cuts: int) -> list[np.ndarray]:
        """A batch's rows in parts: one a worker, or a multiple of that where rows are long."""
        count = self.parts or self.workers.count
        if self.backbone.device.type == "cpu":
            count = slice_count(int(self.lengths[batch].sum()), count)
        return slices(batch, self.lengths, cuts * count)

    def _loss(
        self,
        rows: np.ndarray,
        hidden: HiddenStates,
        updates: LoraUpdates,
        seed: int,
        graphs: LayerGraphs | None,
    ) -> Tensor:
        outputs = branch(
            self.backbone, *hidden(rows), self.adapter,
            updates=updates, seed=seed, checkpointing=self.checkpointing, graphs=graphs,
        )  # fmt: skip
        targets = tensor_on(self.targets[rows], outputs.device)
        if self.shares is None:
            return self.task.loss(outputs, targets)
        # A loss is a sum over rows, so those that count alike are summed together.
        shares, alike = np.unique(self.shares[rows], return_inverse=True)
        parts = []
        for number, share in enumerate(shares.tolist()):
            some = tensor_on(np.flatnonzero(alike == number), outputs.device)
            parts.append(share * self.task.loss(outputs[some], targets[some]))
        return torch.stack(parts).sum()


def _rows(share: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
    """The row numbers of some slices."""
    return np.concatenate([np.zeros(0, np.int64), *(rows for _, rows in share)])
