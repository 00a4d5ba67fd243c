"""A tiny SentencePiece model, written by hand: its file is protobuf, of which this is enough."""

from __future__ import annotations

import struct


def field(number: int, value: bytes | int) -> bytes:
    """A field of a protobuf message: bytes of any length, or a small number."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    length, left = b"", len(value)
    while left > 127:
        length, left = length + bytes([left & 127 | 128]), left >> 7
    return bytes([number << 3 | 2]) + length + bytes([left]) + value


def piece(text: str, score: float = 0.0, kind: int = 1) -> bytes:
    """An entry of the vocabulary."""
    packed = bytes([2 << 3 | 5]) + struct.pack("<f", score)
    return field(1, field(1, text.encode()) + packed + field(3, kind))


SMALL = piece("<unk>", kind=2) + piece("▁a", -1.5) + field(2, field(3, 1)) + field(3, field(4, 0))
"""Two pieces; spaces are kept as they are."""
USUAL = b"".join(
    [
        piece("[PAD]", kind=3), piece("[CLS]", kind=3), piece("[SEP]", kind=3),
        piece("[UNK]", kind=2), piece("[MASK]", kind=4), piece("▁", -2.0), piece("▁good", -3.0),
        piece("很好", -4.0), piece("o", -5.0), piece("<0x41>", -1.0, kind=6),
        field(2, field(3, 1)), field(3, field(1, b"identity")),
    ]
)  # fmt: skip
"""As DeBERTa's begins."""
