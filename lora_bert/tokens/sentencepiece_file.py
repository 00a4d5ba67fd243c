"""Reads a SentencePiece model (``spm.model``, ``spiece.model``): protobuf, by its few fields.

It is a stranger's file, and what is wanted of it are pieces with scores and a few settings; so it
is read here, in bounds, and neither sentencepiece nor protobuf is needed to open it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from lora_bert.errors import LoraBertError
from lora_bert.json_files import read_bytes

_LONGEST_PIECE = 1000
"""Characters; sentencepiece makes none above 16 unless it is told to."""
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5

Value = TypeVar("Value", int, bytes)


class Kind(IntEnum):
    """What a piece is for."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Algorithm(IntEnum):
    """How a text is cut into pieces."""

    UNIGRAM = 1
    BPE = 2
    WORD = 3
    CHARACTER = 4


@dataclass(frozen=True)
class Piece:
    """An entry of the vocabulary; its place is its id."""

    text: str
    score: float
    kind: Kind


@dataclass(frozen=True)
class SentencePieceModel:
    """What decides how a text is cut; the defaults are those of sentencepiece's own format.

    Attributes:
        pieces: In the order of their ids.
        algorithm: Of the cutting.
        characters: Table of replacements made before, as sentencepiece compiles it; may be empty.
        rule: What the table was made of, such as ``nmt_nfkc``.
        adds_prefix: Whether a text begins with a space that is added to it.
        trims: Whether spaces at the ends go, and several become one.
        escapes: Whether spaces become ``▁``.
        splits_at_spaces: Whether no piece goes on behind a space.
        space_last: Whether the ``▁`` of a word stands behind it.
        falls_back: Whether unknown characters become their bytes.
    """

    pieces: tuple[Piece, ...]
    algorithm: Algorithm = Algorithm.UNIGRAM
    characters: bytes = b""
    rule: str = ""
    adds_prefix: bool = True
    trims: bool = True
    escapes: bool = True
    splits_at_spaces: bool = True
    space_last: bool = False
    falls_back: bool = False

    @property
    def unknown(self) -> int:
        """Id of the piece that stands for what no other covers."""
        return next(at for at, piece in enumerate(self.pieces) if piece.kind == Kind.UNKNOWN)


def read_sentencepiece(path: Path, error: type[LoraBertError]) -> SentencePieceModel:
    """Read a model's file.

    Raises:
        error: It cannot be read, is too large, or no SentencePiece model.
    """
    content = read_bytes(path, error)
    try:
        return _model(content)
    except ValueError as problem:
        raise error(
            f"'{path}' is damaged or no SentencePiece model: {problem}.",
            hint="Copy or download it again.",
        ) from problem


def _model(content: bytes) -> SentencePieceModel:
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for number, value in _fields(content):
        if number == 1:
            pieces.append(_piece(dict(_fields(_of_kind(bytes, value)))))
        elif number in (2, 3):
            (trainer if number == 2 else normalizer).update(_fields(_of_kind(bytes, value)))
    unknown = sum(piece.kind == Kind.UNKNOWN for piece in pieces)
    if unknown != 1:
        raise ValueError(f"{unknown} of its {len(pieces)} pieces stand for the unknown, not one")
    return SentencePieceModel(
        pieces=tuple(pieces),
        algorithm=Algorithm(_of_kind(int, trainer.get(3, 1))),
        characters=_of_kind(bytes, normalizer.get(2, b"")),
        rule=_of_kind(bytes, normalizer.get(1, b"")).decode("utf-8", "replace"),
        adds_prefix=bool(_of_kind(int, normalizer.get(3, 1))),
        trims=bool(_of_kind(int, normalizer.get(4, 1))),
        escapes=bool(_of_kind(int, normalizer.get(5, 1))),
        splits_at_spaces=bool(_of_kind(int, trainer.get(22, 1))),
        space_last=bool(_of_kind(int, trainer.get(24, 0))),
        falls_back=bool(_of_kind(int, trainer.get(35, 0))),
    )


def _piece(fields: dict[int, int | bytes]) -> Piece:
    text = _of_kind(bytes, fields.get(1, b"")).decode("utf-8")
    packed = _of_kind(bytes, fields.get(2, bytes(4)))
    if len(packed) != 4:
        raise ValueError("a score is no number")
    (score,) = struct.unpack("<f", packed)
    if not text or len(text) > _LONGEST_PIECE or not math.isfinite(score):
        raise ValueError("a piece is empty or too long, or its score no number")
    return Piece(text, score, Kind(_of_kind(int, fields.get(3, 1))))


def _of_kind(kind: type[Value], value: int | bytes) -> Value:
    if not isinstance(value, kind):
        raise ValueError("a field is of another kind")
    return value


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: their numbers and values, in order.

    Raises:
        ValueError: The bytes end in the middle of one, or are none.
    """
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(content, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(content, at)
        elif wire in (_EIGHT, _FOUR):
            length = 8 if wire == _EIGHT else 4
        else:
            raise ValueError(f"at byte {at:,} there is no field")
        if at + length > len(content):
            raise ValueError(f"it ends within a field that begins at byte {at:,}")
        yield number, content[at : at + length]
        at += length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number that is as long as it needs to be, and where it ends."""
    value = 0
    for place in range(10):
        if at + place >= len(content):
            raise ValueError("it ends within a number")
        byte = content[at + place]
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    raise ValueError(f"at byte {at:,} there is no number")
