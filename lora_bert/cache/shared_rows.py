"""Rows whose trunk outputs are spread over processes, each of which keeps those of its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lora_bert.cache.cached_rows import CachedStates
from lora_bert.runtime.distributed import Processes


@dataclass(frozen=True)
class SharedStates:
    """The hidden states of rows, by row number, of which this process has its own.

    A row is read by another process each epoch: what a step needs is handed over before it.

    Attributes:
        processes: That share the rows.
        own: The hidden states of this process's rows, numbered in the order of the rows.
        owners: The rank that has each row, int64 ``[rows]``.
        lengths: Tokens of each row, int64 ``[rows]``.
    """

    processes: Processes
    own: CachedStates
    owners: np.ndarray
    lengths: np.ndarray

    def fetch(self, wanted: Sequence[np.ndarray]) -> CachedStates:
        """Hand over hidden states; every process calls this with the same rows.

        Args:
            wanted: The row numbers that each process is to compute with, by rank.

        Returns:
            The hidden states of ``wanted[rank]``, by row number; of no other row.
        """
        rank, ranks = self.processes.rank, range(self.processes.count)
        given = [self._lines(rows[self.owners[rows] == rank]) for rows in wanted]
        got = [wanted[rank][self.owners[wanted[rank]] == giver] for giver in ranks]
        sizes = [int(self.lengths[rows].sum()) for rows in got]
        parts = self.processes.exchange(given, sizes)
        rows = np.concatenate(got)
        starts = np.zeros(len(self.lengths), dtype=np.int64)
        starts[rows] = 1 + np.cumsum(self.lengths[rows]) - self.lengths[rows]
        data = torch.cat([parts[0].new_zeros(1, parts[0].shape[1]), *parts])
        return CachedStates(data.to(self.own.data.device), starts, self.lengths, self.own.device)

    @cached_property
    def _numbers(self) -> np.ndarray:
        """Row number -> the number of a row among this process's own."""
        numbers: np.ndarray = np.cumsum(self.owners == self.processes.rank) - 1
        return numbers

    def _lines(self, rows: np.ndarray) -> Tensor:
        """The hidden states of rows of this process, one line a token, on the CPU."""
        numbers = self._numbers[rows]
        starts, lengths = self.own.starts[numbers], self.own.lengths[numbers]
        ends = np.cumsum(lengths)
        at = np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)
        index = torch.from_numpy(at).to(self.own.data.device)
        return self.own.data.index_select(0, index).cpu()
