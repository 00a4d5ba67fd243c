"""Rows whose trunk outputs are there: what training reads in place of running the trunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lora_bert.tokens.batching import Offsets, taken


@dataclass(frozen=True)
class CachedStates:
    """The hidden states of rows, by row number. Any number of threads may read.

    Attributes:
        data: One line a token, ``[lines, hidden]``; line 0 is zero, for filler.
        starts: The line at which each row begins, int64 ``[rows]``.
        lengths: Tokens of each row, int64 ``[rows]``.
        device: Where the hidden states are wanted.
    """

    data: Tensor
    starts: np.ndarray
    lengths: np.ndarray
    device: torch.device

    def __len__(self) -> int:
        return len(self.starts)

    def hidden(self, rows: Sequence[int] | np.ndarray) -> tuple[Tensor, Offsets]:
        """Hidden states of some rows, at least one, ready for ``branch``.

        Returns:
            Hidden states ``[tokens, hidden]`` in the backbone's dtype, zero on filler, and where
            the rows stand among them.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        offsets = Offsets.of(self.lengths[chosen])
        index = np.zeros(offsets.tokens, dtype=np.int64)
        index[: offsets.cu_seqlens[-1]] = taken(self.starts[chosen], offsets)
        states = self.data.index_select(0, torch.from_numpy(index).to(self.data.device))
        return states.to(self.device), offsets
