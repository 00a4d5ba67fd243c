"""How much a text looks like one that somebody wrote: what tells one encoding from another.

Bytes above 127 mean something in many encodings, but only in one of them are they words. Every
reading is weighed by how often a language writes these characters: one by one where it has
thousands of them (Chinese, Japanese, Korean), in pairs where it has an alphabet. The figures in
``characters.json`` are minus the natural logarithm of a share, rounded: costs, to be added.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files as package_files

IDEOGRAPHIC = ("zh", "zh-Hant", "ja", "ko", "yue")
"""Languages of thousands of characters."""
_UNSEEN = {"letter": 9.0, "ideograph": 14.0, "symbol": 9.0, "wrong": 16.0}
_CASE = 5.0
"""What a capital behind a small letter costs, where one of them is no ASCII letter."""
_MIXED = 2.0
"""What an ideograph of another language than the rest costs on top of being rare."""
_ASCII = 3.0


@cache
def costs() -> Mapping[str, Mapping[str, float]]:
    """Language -> character, or pair of characters -> cost."""
    written = (package_files("lora_bert.data") / "characters.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, float]] = {}
    for language, levels in json.loads(written).items():
        step = 1 if language in IDEOGRAPHIC else 2
        found[language] = {
            names[at : at + step]: float(level)
            for level, names in levels.items()
            for at in range(0, len(names), step)
        }
    return found


LATIN = frozenset(
    "fr de es pt it nl sv da nb fi is ca sq ga pl cs sk hu hr sl ro tr lt lv et".split()
)
"""Languages of Latin letters."""


@cache
def _letters(language: str) -> frozenset[str]:
    return frozenset(char for name in costs()[language] for char in name if not char.isascii())


def cost_of(text: str, languages: tuple[str, ...]) -> float:
    """What ``text`` costs as a text of ``languages``: the first is what most of it is in."""
    if languages[0] in IDEOGRAPHIC:
        return _ideographic(text, languages)
    return _alphabetic(text, languages[0])


def _ideographic(text: str, languages: tuple[str, ...]) -> float:
    total, before = 0.0, " "
    tables = [costs()[language] for language in languages]
    for char in text:
        if char.isascii():
            # A letter that other readings join to the byte before it.
            if not before.isascii() and char.isalpha():
                total += _ASCII
        else:
            total += (
                min(
                    table.get(char, 99.0) + (_MIXED if at else 0.0)
                    for at, table in enumerate(tables)
                )
                if any(char in table for table in tables)
                else _rare(char)
            )
            if before.isalpha() and before.isascii() and char.isalpha():
                total += 1.0
        before = char
    return total


def _rare(char: str) -> float:
    kind = unicodedata.category(char)
    name = unicodedata.name(char, "")
    if kind == "Lo" and name.startswith(("CJK", "HANGUL SYLL")):
        return _UNSEEN["ideograph"]
    if name.startswith("HALFWIDTH KATAKANA"):
        return _UNSEEN["letter"]
    if name.startswith(("FULLWIDTH", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC")):
        return 10.0
    if kind[0] in "PS":
        return 11.0
    return _UNSEEN["wrong"]


def is_letter(char: str) -> bool:
    """Whether a character is part of words: letters and the marks above and below them."""
    return char.isalpha() or unicodedata.category(char)[0] == "M"


def _alphabetic(text: str, language: str) -> float:
    total, before = 0.0, " "
    table, letters = costs()[language], _letters(language)
    latin = language in LATIN
    if not latin and letters.isdisjoint(text.lower()):
        total += _UNSEEN["wrong"]
    for at, char in enumerate(text + " "):
        if not (char.isascii() and before.isascii()):
            following = text[at + 1] if at + 1 < len(text) else " "
            if not char.isascii() and not is_letter(char):
                total += symbol_cost(char, before, following)
            else:
                total += _pair_cost(before, char, table, letters, latin=latin)
        before = char
    return total


def _pair_cost(
    before: str, char: str, table: Mapping[str, float], letters: frozenset[str], *, latin: bool
) -> float:
    one = before.lower()[:1] if is_letter(before) else " "
    two = char.lower()[:1] if is_letter(char) else " "
    pair = one + two
    if pair.isascii():
        return 0.0
    cost = table.get(pair)
    if cost is None:
        known = all(letter.isascii() or letter in letters for letter in pair)
        cost = _UNSEEN["letter"] if known else _UNSEEN["wrong"]
    if before.isdigit() or char.isdigit():
        cost += 6.0
    if not latin and (one.isascii() != two.isascii()) and " " not in pair:
        cost += 6.0
    if char.isupper():
        cost += _CASE if before.islower() else 1.0 if before.isupper() else 0.0
    return cost


_QUOTES = "\u2018\u2019\u00b4"
_OPENING, _CLOSING = "\u201c\u201e\u2018\u201a\u00a1\u00bf", "\u201d\u2019\u201c"


def symbol_cost(char: str, before: str, following: str) -> float:
    """What a symbol costs: little where it usually stands."""
    number = following.isdigit() or before.isdigit()
    if char in "\u00a3\u20ac\u00a5\u00a2":
        return 4.0 if number and not (before.isalpha() and following.isalpha()) else 10.0
    if char in _QUOTES and before.isalpha() and following.isalpha():
        return 3.0
    if char in _OPENING and not before.isalnum() and not following.isspace():
        return 5.0
    if char in _CLOSING and not before.isspace() and not following.isalnum():
        return 5.0
    if char in "\u00ab\u00bb":
        outside = before if char == "\u00ab" else following
        return 8.0 if not outside.isalnum() else 14.0
    if char in "\u2013\u2014\u2022\u00b7" and not (before.isalpha() and following.isalpha()):
        return 5.0
    if char in "\u2026" and not (before.isalpha() and following.isalpha()):
        return 5.0
    if char == "\u00a0":
        return 9.0 if before.isalpha() and following.isalpha() else 6.0
    if char in "\u00b0\u00ba\u00aa\u00bd\u00bc\u00b2\u00b3" and before.isdigit():
        return 5.0
    if char in "\u00ae\u2122\u00a9\u00a7\u00d7\u2116":
        return 7.0 if not following.isalpha() else 13.0
    if unicodedata.category(char) in ("Cc", "Cn", "Co") or "\u2500" <= char <= "\u259f":
        return _UNSEEN["wrong"]
    return 14.0 if before.isalpha() and following.isalpha() else 10.0
