"""Trunk outputs as lines, one a token: computed into memory or a file, mapped from a file.

Each chunk of texts is computed on one core: how many cores there are does not change a bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lora_bert.model.backbone import Backbone
from lora_bert.model.forward import trunk
from lora_bert.runtime.progress_bar import track
from lora_bert.runtime.threads import workers
from lora_bert.tokens.batching import TokenBatch, chunks
from lora_bert.tokens.tokenized import TokenizedTexts

CHUNK_TOKENS = {"cpu": 1024, "cuda": 32768}
"""Tokens that the trunk reads at once. On a CPU, fewer wait on overhead, more leave the cache."""

_AT_ONCE = 64
"""Chunks whose results may wait in memory; four a core where there are many cores."""


@dataclass(frozen=True)
class TokenStates:
    """What the layers below ``depth`` make of texts in canonical order, before it is computed.

    Line 0 is zero and stands for filler; the texts' tokens follow one behind the other.
    """

    backbone: Backbone
    encodings: TokenizedTexts
    depth: int

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and what each is wide."""
        return 1 + len(self.encodings.ids), self.backbone.hidden_size

    @property
    def size(self) -> int:
        """Bytes."""
        lines, width = self.shape
        return lines * width * self.backbone.dtype.itemsize

    def in_memory(self) -> Tensor:
        """Compute them into the memory of the backbone's device, ``[lines, hidden]``."""
        data = torch.empty(self.shape, dtype=self.backbone.dtype, device=self.backbone.device)
        data[0] = 0
        end = 1
        for hidden in self._computed():
            data[end : end + len(hidden)] = hidden
            end += len(hidden)
        return data

    def write(self, path: Path) -> None:
        """Compute them into a file: the numbers in the backbone's dtype and nothing else."""
        with path.open("wb") as stream:
            stream.write(bytes(self.size // self.shape[0]))
            for hidden in self._computed():
                stream.write(hidden.cpu().view(torch.uint8).numpy().data)

    def mapped(self, path: Path) -> Tensor:
        """The lines in a file, read where and when they are needed.

        Raises:
            OSError, ValueError: The file cannot be opened, or is too short.
        """
        lines, width = self.shape
        shape = (lines, width * self.backbone.dtype.itemsize)
        raw = np.memmap(path, dtype=np.uint8, mode="r", shape=shape)
        with warnings.catch_warnings():
            # torch knows no read-only tensors; nobody writes to this one.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return torch.from_numpy(raw).view(self.backbone.dtype)

    def _computed(self) -> Iterator[Tensor]:
        """Run the trunk; the texts' lines, some texts at a time."""
        planned = chunks(self.encodings.lengths, CHUNK_TOKENS[self.backbone.device.type])
        with (
            track(len(self.encodings), f"layers 1 to {self.depth}", unit="text") as bar,
            workers(torch.get_num_threads(), device=self.backbone.device) as threads,
        ):
            while some := list(islice(planned, max(_AT_ONCE, 4 * threads.count))):
                for rows, hidden in zip(some, threads.map(self._chunk, some), strict=True):
                    yield hidden
                    bar.update(len(rows))

    def _chunk(self, rows: np.ndarray) -> Tensor:
        """The hidden states of some texts' tokens, without filler."""
        batch = TokenBatch.of(self.encodings, rows)
        return trunk(self.backbone, batch, self.depth)[: batch.offsets.cu_seqlens[-1]]
