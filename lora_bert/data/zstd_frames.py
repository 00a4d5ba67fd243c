"""Whether a zstd file is whole: pyarrow unpacks one that was cut short without a word.

The format is RFC 8878: frames of blocks, each of which says how long it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_FRAME = 0xFD2FB528
_SKIPPABLE = 0x184D2A50
_REPEATED, _RESERVED = 1, 3


def check_whole(path: Path) -> None:
    """Walk over the blocks of a file without unpacking them.

    Raises:
        ValueError: It ends within a frame, or something else stands between the frames.
    """
    with path.open("rb") as stream:
        while magic := stream.read(4):
            kind = int.from_bytes(magic, "little")
            if kind & ~0xF == _SKIPPABLE:
                _skip(stream, _number(stream, 4))
            elif kind == _FRAME:
                _skip_frame(stream)
            else:
                raise ValueError("something else than zstd stands between its frames")


def _skip_frame(stream: BinaryIO) -> None:
    descriptor = _number(stream, 1)
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    size = (single, 2, 4, 8)[descriptor >> 6]
    _skip(stream, (1 - single) + (0, 1, 2, 4)[descriptor & 3] + size)
    last = 0
    while not last:
        block = _number(stream, 3)
        last, kind = block & 1, block >> 1 & 3
        if kind == _RESERVED:
            raise ValueError("a block of it is of no known kind")
        _skip(stream, 1 if kind == _REPEATED else block >> 3)
    _skip(stream, 4 * checksum)


def _number(stream: BinaryIO, size: int) -> int:
    read = stream.read(size)
    if len(read) < size:
        raise ValueError("it is cut short")
    return int.from_bytes(read, "little")


def _skip(stream: BinaryIO, size: int) -> None:
    if size:
        stream.seek(size - 1, 1)
        _number(stream, 1)
