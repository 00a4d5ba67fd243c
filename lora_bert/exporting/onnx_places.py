"""What the layers of an exported classifier share: which tokens see which, where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lora_bert.backbones.config import EncoderConfig
from lora_bert.exporting.onnx_writer import Writer
from lora_bert.inference.engines.graph_inputs import MASK

Tensors = Mapping[str, np.ndarray]
_UNSEEN = np.float32(-3e4)  # what is added to a masked score: exp gives 0, in float16 too


@dataclass(frozen=True)
class Places:
    """Writes what layers share: which tokens see which, and where they stand.

    Values are known by their names.
    """

    writer: Writer
    tensors: Tensors
    config: EncoderConfig

    def bias(self, local: bool) -> str:
        """What is added to the scores, ``[rows, heads or 1, length or 1, length]``."""
        op, layout = self.writer.op, self.config.layout
        seen = op("Unsqueeze", self.writer.cast(MASK, "BOOL"), [1, 2])
        if local:
            within = op("LessOrEqual", op("Abs", self._apart()), np.int64(self.config.local_window))
            seen = op("And", within, seen)
        bias = op("Where", seen, np.float32(0), _UNSEEN)
        if local or not layout.relative or self.config.relative_kinds:
            return bias
        table = self.tensors[f"{layout.prefix}{layout.relative}.weight"]
        return op("Add", bias, self._looked_up(table[self._buckets()].T, axis=1))

    def turned(self, states: str, local: bool) -> str:
        """Rotary positions (Su et al. 2021, arXiv:2104.09864), ``[rows, heads, length, size]``."""
        op, writer = self.writer.op, self.writer
        cosines, sines = self._angles(local)
        in_pairs = self.config.rotary == "pairs"
        first, second = writer.halves(
            op("Reshape", states, [0, 0, 0, -1, 2]) if in_pairs else states
        )
        across = op("Concat", op("Neg", second), first, axis=-1)
        if in_pairs:
            across = op("Reshape", across, [0, 0, 0, self.config.head_size])
        return op("Add", op("Mul", states, cosines), op("Mul", across, sines))

    def disentangled(
        self, scores: str, query: str, key: str, positions: Mapping[str, np.ndarray], first: bool
    ) -> str:
        """``scores [rows, heads, length, length]`` and what relative positions add to them.

        The query is scaled, the key is not, ``[rows, heads, length, size]`` each; ``positions`` are
        what queries (``c2p``) and keys (``p2c``, scaled) meet, ``[heads, distances, size]``. With
        ``first``, the queries are the first tokens alone.
        """
        op = self.writer.op
        shape = op("Concat", op("Shape", scores, end=2), [1, 1], axis=0)
        for kind, met in positions.items():
            states, index = (query, self._rows(1)) if kind == "c2p" else (key, self._rows(-1))
            if first:
                index = self.writer.first(index, 0 if kind == "c2p" else 1)
            every = op("MatMul", states, np.ascontiguousarray(met.transpose(0, 2, 1)))
            added = op("GatherElements", every, op("Expand", index, shape), axis=-1)
            if kind == "p2c":
                added = op("Transpose", added, perm=[0, 1, 3, 2])
            scores = op("Add", scores, added)
        return scores

    @cached_property
    def distances(self) -> np.ndarray:
        """Embeddings of all relative positions, normalised, ``[distances, hidden]``."""
        layout, eps = self.config.layout, self.config.layer_norm_eps
        table = self.tensors[f"{layout.prefix}{layout.relative}.weight"]
        if not layout.relative_norm:
            return table
        middle, spread = table.mean(-1, keepdims=True), table.var(-1, keepdims=True)
        norm = f"{layout.prefix}{layout.relative_norm}"
        scaled = (table - middle) / np.sqrt(spread + eps)
        normed: np.ndarray = scaled * self.tensors[f"{norm}.weight"] + self.tensors[f"{norm}.bias"]
        return normed

    def length(self) -> str:
        """The length of the batch, ``[1]``."""
        return self.writer.op("Shape", MASK, start=1, end=2)

    def _rows(self, sign: int) -> str:
        """Which row of the table belongs to a query and a key, ``[length, length]``.

        ``sign`` is -1 for the same seen from the key.
        """
        span = len(self.distances) // 2
        return self._looked_up((sign * self._buckets() + span).clip(0, 2 * span - 1), axis=0)

    def _buckets(self) -> np.ndarray:
        """The bucket of every distance, query's place less key's, from the least one on."""
        import torch

        from lora_bert.model.relative import deberta_buckets, mpnet_buckets

        most, span = self.config.max_length, self.config.relative_span
        apart = torch.arange(1 - most, most)
        disentangled = self.config.relative_kinds
        buckets = deberta_buckets(apart, span) if disentangled else mpnet_buckets(-apart)
        return buckets.numpy()

    def _looked_up(self, entries: np.ndarray, axis: int) -> str:
        """Of entries for every distance along an axis, those of all queries and keys."""
        index = self.writer.op("Add", self._apart(), np.int64(self.config.max_length - 1))
        return self.writer.op("Gather", entries, index, axis=axis)

    def _apart(self) -> str:
        """Query's place less key's, ``[length, length]``."""
        op = self.writer.op
        return op("Sub", op("Unsqueeze", self._at(), [1]), op("Unsqueeze", self._at(), [0]))

    def _at(self) -> str:
        """0, 1, 2 … ``[length]``."""
        op = self.writer.op
        return op("Range", np.int64(0), op("Squeeze", self.length(), [0]), np.int64(1))

    def _angles(self, local: bool) -> tuple[str, str]:
        """Cosines and sines of rotary positions, ``[length, head size]`` each."""
        op, size = self.writer.op, self.config.head_size
        steps = np.arange(0, size, 2, dtype=np.float32)
        speeds = 1 / self.config.rotary_base(local=local) ** (steps / size)
        speeds = np.tile(speeds, 2) if self.config.rotary == "halves" else np.repeat(speeds, 2)
        places = op("Unsqueeze", self.writer.cast(self._at(), "FLOAT"), [1])
        angles = op("Mul", places, speeds[None].astype(np.float32))
        return op("Cos", angles), op("Sin", angles)
