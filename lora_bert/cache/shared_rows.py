"""Rows whose trunk outputs are spread over processes, each of which keeps those of its own rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lora_bert.cache.canonical import canonical
from lora_bert.cache.trunk_cache import CachedStates
from lora_bert.runtime.distributed import Processes
from lora_bert.tokens.batching import Offsets, chunks
from lora_bert.tokens.tokenized import TokenizedTexts, flat_index


def owners_of(parts: Sequence[TokenizedTexts], count: int, chunk_tokens: int) -> list[np.ndarray]:
    """The rank of the one of ``count`` processes that keeps each row, int64 ``[rows]`` for a part.

    Texts that the trunk reads at once, ``chunk_tokens`` of them, stay together, so that each of the
    ``count`` processes computes the same bits as one that keeps all rows.
    """
    if count == 1:
        return [np.zeros(len(part), dtype=np.int64) for part in parts]
    texts, numbers_of = canonical(parts)
    owners = np.empty(len(texts), dtype=np.int64)
    for number, rows in enumerate(chunks(texts.lengths, chunk_tokens)):
        owners[rows] = number % count
    return [owners[numbers] for numbers in numbers_of]


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

    def fetch(self, wanted: Sequence[np.ndarray]) -> Callable[[np.ndarray], tuple[Tensor, Offsets]]:
        """Hand over hidden states; every process calls this with the same rows.

        ``wanted`` are the row numbers that each process is to compute with, by rank. What comes
        back is :meth:`CachedStates.hidden` of ``wanted[rank]``, by row number; of no other row.
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
        near = data.to(self.own.data.device)
        return CachedStates(near, starts, self.lengths, self.own.device).hidden

    @cached_property
    def _numbers(self) -> np.ndarray:
        """Row number -> the number of a row among this process's own."""
        numbers: np.ndarray = np.cumsum(self.owners == self.processes.rank) - 1
        return numbers

    def _lines(self, rows: np.ndarray) -> Tensor:
        """The hidden states of rows of this process, one line a token, on the CPU."""
        numbers = self._numbers[rows]
        offsets = Offsets.of(self.own.lengths[numbers])
        index = torch.from_numpy(flat_index(self.own.starts[numbers], offsets.lengths))
        return self.own.data.index_select(0, index.to(self.own.data.device)).cpu()
