"""Rows whose trunk outputs are there: what training reads in place of running the trunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class CachedStates:
    """The hidden states of rows, by row number. Any number of threads may read.

    Attributes:
        data: One line a token, ``[lines, hidden]``; line 0 is zero, for padding.
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

    def hidden(
        self, rows: Sequence[int] | np.ndarray, length: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Hidden states and mask of some rows, ready for ``branch``.

        Args:
            rows: Which ones; at least one.
            length: Pad to this many tokens; None: to the longest of them.

        Returns:
            Hidden states ``[rows, length, hidden]`` in the backbone's dtype, zero on padding, and
            the mask ``[rows, length]``, True on tokens.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        sizes = self.lengths[chosen]
        at = np.arange(sizes.max() if length is None else length)
        mask = at < sizes[:, None]
        lines = np.where(mask, self.starts[chosen][:, None] + at, 0)
        index = torch.from_numpy(lines.ravel()).to(self.data.device)
        found = self.data.index_select(0, index).view(*mask.shape, -1)
        return found.to(self.device), torch.from_numpy(mask).to(self.device)
