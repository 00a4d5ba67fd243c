"""Whether a zstd file is whole: pyarrow unpacks one that was cut short without a word.

The format is RFC 8878: frames of blocks, each of which says how long it is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_FRAME = 0xFD2FB528
_SKIPPABLE = 0x184D2A50
_REPEATED, _RESERVED = 1, 3
_CUT = "it is cut short"


def check_whole(path: Path) -> None:
    """Walk over the blocks of a file without unpacking them.

    Raises:
        ValueError: It ends within a frame, or something else stands between the frames.
    """
    with path.open("rb") as stream:
        while magic := stream.read(4):
            kind = int.from_bytes(magic, "little")
            if kind & ~0xF == _SKIPPABLE:
                stream.seek(_number(stream, 4), os.SEEK_CUR)
            elif kind == _FRAME:
                _skip_frame(stream)
            else:
                raise ValueError("something else than zstd stands between its frames")
        if stream.tell() > path.stat().st_size:
            raise ValueError(_CUT)


def _skip_frame(stream: BinaryIO) -> None:
    descriptor = _number(stream, 1)
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    size = (single, 2, 4, 8)[descriptor >> 6]
    stream.seek((1 - single) + (0, 1, 2, 4)[descriptor & 3] + size, os.SEEK_CUR)
    last = 0
    while not last:
        block = _number(stream, 3)
        last, kind = block & 1, block >> 1 & 3
        if kind == _RESERVED:
            raise ValueError("a block of it is of no known kind")
        stream.seek(1 if kind == _REPEATED else block >> 3, os.SEEK_CUR)
    stream.seek(4 * checksum, os.SEEK_CUR)


def _number(stream: BinaryIO, size: int) -> int:
    read = stream.read(size)
    if len(read) < size:
        raise ValueError(_CUT)
    return int.from_bytes(read, "little")
