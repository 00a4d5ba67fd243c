"""Which encoding older than Unicode a file is in, where its words leave no doubt.

Almost any bytes can be decoded in many of them. So every reading is weighed as a text of the
languages that are written in it (:mod:`.plausibility`), and one is taken only if it looks like
words and no other reading comes near. Readings that say the same are one.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path

from lora_bert.data.opening import open_bytes
from lora_bert.data.plausibility import IDEOGRAPHIC, LATIN, cost_of

_WESTERN = tuple((name,) for name in "fr de es pt it nl sv da nb fi is ca sq ga".split())
_CENTRAL = tuple((name,) for name in "pl cs sk hu hr sl ro".split())
_CYRILLIC = tuple((name,) for name in "ru uk bg sr be".split())
_BALTIC = (("lt",), ("lv",), ("et",))
_CHINESE = (("zh", "zh-Hant", "ja", "yue"), ("zh-Hant", "zh", "ja", "yue"), ("ja", "zh"))
_TRADITIONAL = (("zh-Hant", "ja", "yue"),)

_ENCODINGS: tuple[tuple[tuple[tuple[str, ...], ...], dict[float, str]], ...] = (
    (_CHINESE, {0: "gb18030"}),
    (_TRADITIONAL, {0: "cp950", 1: "big5hkscs"}),
    ((("ja",),), {0: "cp932 euc_jp"}),
    ((("ko", "zh-Hant"),), {0: "cp949"}),
    (_WESTERN, {0: "latin-1 cp1252", 2: "iso8859-15"}),
    (_CENTRAL, {0: "iso8859-2 cp1250"}),
    (_CYRILLIC, {0: "cp1251 koi8-r", 1: "koi8-u", 2: "iso8859-5 cp866", 4: "mac-cyrillic"}),
    ((("el",),), {0: "iso8859-7 cp1253"}),
    ((("tr",),), {0: "iso8859-9 cp1254"}),
    ((("he",),), {0: "iso8859-8 cp1255"}),
    ((("ar",),), {0: "iso8859-6"}),
    ((("ar",), ("fa",)), {0: "cp1256"}),
    ((("th",),), {0: "tis-620 cp874"}),
    (_BALTIC, {1: "iso8859-13 cp1257"}),
    (_WESTERN, {4: "mac-roman cp850", 5: "cp437"}),
    (_CENTRAL, {4: "cp852", 5: "mac-latin2"}),
    ((("is",),), {5: "mac-iceland cp861"}),
    ((("el",),), {4: "mac-greek", 5: "cp737"}),
    ((("tr",),), {5: "mac-turkish cp857"}),
    (_BALTIC, {5: "iso8859-4 cp775"}),
    (_CYRILLIC, {5: "cp855"}),
    ((("he",),), {5: "cp862"}),
    ((("da",), ("nb",)), {5: "cp865"}),
)
"""The languages that encodings are weighed for, and the encodings by what it costs to be rare. Of
two that are as likely the first is named."""
_READINGS = {
    codec: (languages, rare)
    for languages, by_cost in _ENCODINGS
    for rare, codecs in by_cost.items()
    for codec in codecs.split()
}

_NEVER_SURE = frozenset(
    "cp437 cp850 cp852 cp775 cp857 cp861 cp865 mac-latin2 mac-iceland mac-turkish iso8859-4".split()
)
"""Encodings with too many siblings that differ in a letter or two: proposed, not decided on."""

_BIG5 = ("cp950", "big5hkscs")
"""Big5 as Windows and as Hong Kong extended it; signs that differ are read as Windows does."""

_NAMES = {
    "cp950": "Big5",
    "big5hkscs": "Big5-HKSCS",
    "cp932": "Shift-JIS",
    "latin-1": "latin-1 (ISO-8859-1)",
}

_UNIT = re.compile(rb"[^\x00-\x2f]*[\x80-\xff][^\x00-\x2f]*")
"""Bytes between two that are a character of their own in every encoding."""
_CONTROL = re.compile("[\x80-\x9f]")
"""Controls that nobody writes: where they come out, the encoding is another."""
_LONGEST = 4000
_FIRST, _SECOND = 4_000, 24_000
"""Bytes that every encoding is tried on, and those that come near on the first ones."""
_ENOUGH = 100_000
"""Words to look through for as many different ones."""
READABLE = 13.0
"""The most that a character may cost on the average in a reading that is worth showing."""
_SURE = 60.0
_MARGIN = 8.0
_MARGIN_OF_THE_UNLIKELY = 5.0
_MARGIN_OF_LETTERS = 10.0
_BROKEN = 7.0
"""What a byte costs in a piece that cannot be decoded: as much as one of an unlikely reading."""
_SEVERAL = 8
_DENSE = {"ideographic": 8.5, "latin": 9.5, "other": 5.0}
"""The most that a character above 127 may cost, on the average, in a text of words."""


def spoken(codec: str) -> str:
    """How messages call an encoding."""
    if codec.startswith("cp125"):
        return f"Windows-{codec[2:]}"
    if codec.startswith("utf"):
        return codec.upper().replace("-LE", " LE").replace("-BE", " BE")
    return _NAMES.get(codec, codec.upper().replace("_", "-").replace("ISO", "ISO-"))


@dataclass(frozen=True)
class Reading:
    """The words of a file in one encoding.

    Attributes:
        codec: The encoding's name in Python.
        languages: The language the words look most like, and those mixed into it.
        words: The distinct pieces with characters above 127; "" where one cannot be decoded.
        cost: What they cost together, see :mod:`.plausibility`.
        density: What a character above 127 costs on the average.
        likely: Whether they look like words at all.
    """

    codec: str
    words: tuple[str, ...]
    cost: float
    density: float
    likely: bool
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """Which readings of a file are possible, and whether one is certain.

    Attributes:
        sure: The one reading that is certain, or None.
        possible: All that can be, the most plausible first.
        readings: Those that differ in their words, the first of equal ones.
        units: The bytes that were read, one piece for each word of a reading.
    """

    sure: Reading | None
    possible: tuple[Reading, ...]
    readings: tuple[Reading, ...]
    units: tuple[bytes, ...]


def weigh(path: Path) -> Verdict:
    """Weigh what the bytes of a file above 127 say in every encoding that is known."""
    verdict = _verdict(_units(path, _FIRST), _READINGS)
    best = verdict.readings[0] if verdict.readings else None
    if best is None or best.density > READABLE:
        return verdict
    near = [reading for reading in verdict.possible if reading.cost - best.cost < _SURE]
    if len(_distinct(near)) > 1:
        verdict = _verdict(_units(path, _SECOND), [reading.codec for reading in near])
    if verdict.sure and verdict.sure.codec in _BIG5:
        verdict = _of_big5(path, verdict)
    elif (
        verdict.sure
        and not _is_wide(verdict.sure.codec)
        and (others := _with_new_bytes(path, verdict.units))
    ):
        # One byte more may tell ISO-8859-2 from Windows-1250: all of them are looked at.
        verdict = _verdict((*others, *verdict.units), _READINGS)
    return verdict


def utf8_among(verdict: Verdict) -> tuple[bytes, ...]:
    """The pieces that are rather UTF-8 than the one-byte encoding of the rest."""
    sure = verdict.sure
    if sure is None or _is_wide(sure.codec):
        return ()
    texts = [(unit, _decoded(unit, "utf-8"), word)
             for unit, word in zip(verdict.units, sure.words, strict=True)]  # fmt: skip
    return tuple(
        unit
        for unit, text, word in texts
        if text and cost_of(text, sure.languages) + _MARGIN / 2 < cost_of(word, sure.languages)
    )


def _is_wide(codec: str) -> bool:
    return _READINGS[codec][0][0][0] in IDEOGRAPHIC


def _verdict(units: Sequence[bytes], codecs: Iterable[str]) -> Verdict:
    possible = [reading for codec in codecs if (reading := _reading(codec, units))]
    possible.sort(key=lambda reading: reading.cost)  # stable: of equal costs the first named stays
    readings = _distinct(possible)
    sure = readings[0] if readings and readings[0].likely else None
    if sure and (
        sure.codec in _NEVER_SURE or any(_comes_near(rival, sure) for rival in readings[1:])
    ):
        sure = None
    return Verdict(sure, tuple(possible), readings, tuple(units))


def _distinct(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """The readings that differ in their words, the first of equal ones."""
    distinct: dict[tuple[str, ...], Reading] = {}
    for reading in readings:
        distinct.setdefault(reading.words, reading)
    return tuple(distinct.values())


def _comes_near(rival: Reading, best: Reading) -> bool:
    if {rival.codec, best.codec} == set(_BIG5):
        return False  # which of them is decided on the whole file
    if best.languages[0] in IDEOGRAPHIC:
        margin = _MARGIN if rival.likely else _MARGIN_OF_THE_UNLIKELY
    else:
        margin = _MARGIN_OF_LETTERS
    return rival.cost - best.cost < margin


def _reading(codec: str, units: Sequence[bytes]) -> Reading | None:
    words = tuple(_decoded(unit, codec) for unit in units)
    broken = words.count("")
    lost = sum(len(unit) for unit, word in zip(units, words, strict=True) if not word)
    if (
        not units
        or broken > max(len(units) >= _SEVERAL, len(units) / 50)
        or any(map(_CONTROL.search, words))
    ):
        return None
    possible, rare = _READINGS[codec]
    cost, languages = min(
        (sum(cost_of(word, tried) for word in words), tried) for tried in possible
    )
    wide = sum(not char.isascii() for word in words for char in word)
    first = languages[0]
    kind = "ideographic" if first in IDEOGRAPHIC else "latin" if first in LATIN else "other"
    density = cost / max(1, wide)
    likely = density <= _DENSE[kind]
    return Reading(codec, words, cost + rare + _BROKEN * lost, density, likely, languages)


def decoded(content: bytes, codec: str = "utf-8", *, final: bool = True) -> str | None:
    """Bytes in ``codec``, which end within a character unless ``final``; None if they are not."""
    try:
        return getincrementaldecoder(codec)().decode(content, final)
    except UnicodeDecodeError:
        return None


def _decoded(unit: bytes, codec: str) -> str:
    # Where a piece was cut, its last character may be a half of itself.
    return decoded(unit, codec, final=len(unit) < _LONGEST) or ""


def _pieces(path: Path) -> Iterator[bytes]:
    with open_bytes(path) as stream:
        for line in stream:
            if not line.isascii():
                yield from (unit[:_LONGEST] for unit in _UNIT.findall(line))


def sign_of_hong_kong(path: Path) -> tuple[str, str] | None:
    """The first character that Big5 and Big5-HKSCS read differently, as each reads it."""
    pairs = (tuple(_decoded(unit, codec) for codec in _BIG5) for unit in _pieces(path))
    windows, hong_kong = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
    return next(((a, b) for a, b in zip(windows, hong_kong, strict=False) if a != b), None)


def _of_big5(path: Path, verdict: Verdict) -> Verdict:
    """Windows' Big5, unless letters somewhere in the file are those of Hong Kong."""
    by_codec = {reading.codec: reading for reading in verdict.possible}
    differing = _collected((unit for unit in _pieces(path) if _letters_differ(unit)), _SECOND)
    if not differing:
        return replace(verdict, sure=by_codec.get("cp950", verdict.sure))
    of_letters = _verdict(differing, _BIG5)
    costs = [reading.cost for reading in of_letters.readings]
    if not costs or (len(costs) > 1 and costs[1] - costs[0] < _MARGIN):
        return replace(of_letters, sure=None)
    best = of_letters.readings[0]
    return replace(verdict, sure=by_codec.get(best.codec, best))


def _letters_differ(unit: bytes) -> bool:
    """Whether the two kinds of Big5 read different letters in a piece."""
    windows, hong_kong = (_decoded(unit, codec) for codec in _BIG5)
    pairs = zip_longest(windows, hong_kong, fillvalue="?")
    return any(a != b and (a.isalpha() or b.isalpha()) for a, b in pairs)


def _units(path: Path, budget: int) -> tuple[bytes, ...]:
    return _collected(islice(_pieces(path), _ENOUGH), budget)


def _collected(pieces: Iterable[bytes], budget: int) -> tuple[bytes, ...]:
    """The first different pieces, of together as many bytes."""
    units: dict[bytes, None] = {}
    size = 0
    for unit in pieces:
        if unit not in units:
            units[unit] = None
            size += len(unit)
            if size > budget:
                break
    return tuple(units)


def _with_new_bytes(path: Path, units: Sequence[bytes]) -> tuple[bytes, ...]:
    """Pieces of the whole file that hold a byte above 127 which ``units`` do not."""
    seen = {*range(128), *b"".join(units)}
    known = bytes(seen)
    pieces = []
    with open_bytes(path) as stream:
        for line in stream:
            if line.translate(None, known):
                for unit in _UNIT.findall(line):
                    if not seen.issuperset(unit):
                        pieces.append(unit[:_LONGEST])
                        seen.update(unit)
                known = bytes(seen)
    return tuple(pieces)
