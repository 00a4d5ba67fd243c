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
_UNSEEN, _UNSEEN_IDEOGRAPH = 9.0, 14.0
"""What a letter costs in a place where the language was not seen to have it, and an ideograph that
it was not seen to have at all."""
_WRONG = 16.0
"""What a character costs that the language does not know."""
_CASE, _CAPITALS = 5.0, 1.0
"""What a capital behind a small letter costs on top, and one behind another capital."""
_BESIDE = 6.0
"""What a letter above 127 costs on top where a digit, or a letter of another script, touches it."""
_MIXED = 2.0
"""What an ideograph of another language than the rest costs on top of being rare."""
_ASCII = 3.0
"""What an ASCII letter costs behind an ideograph: other readings join it to the byte before it."""


@cache
def costs() -> Mapping[str, Mapping[str, float]]:
    """Language -> character, or pair of characters -> cost."""
    written = (package_files("lora_bert.data") / "characters.json").read_text(encoding="utf-8")
    tables: dict[str, dict[str, float]] = {}
    for language, levels in json.loads(written).items():
        step = 1 if language in IDEOGRAPHIC else 2
        tables[language] = {
            names[at : at + step]: float(level)
            for level, names in levels.items()
            for at in range(0, len(names), step)
        }
    return tables


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
        if not char.isascii():
            known = [(at, table[char]) for at, table in enumerate(tables) if char in table]
            total += min(cost + _MIXED * (at > 0) for at, cost in known) if known else _rare(char)
            total += before.isascii() and before.isalpha() and char.isalpha()
        elif char.isalpha() and not before.isascii():
            total += _ASCII
        before = char
    return total


def _rare(char: str) -> float:
    """The cost of a character that no table has."""
    name = unicodedata.name(char, "")
    if char == "\u3000":
        return 5.0
    if name.startswith(("CJK UNIFIED", "HANGUL SYLL")):
        return _UNSEEN_IDEOGRAPH
    if name.startswith("HALFWIDTH KATAKANA"):
        return _UNSEEN
    if name.startswith(("FULLWIDTH", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC")):
        return 10.0
    return 11.0 if unicodedata.category(char)[0] in "PS" else _WRONG


def _is_letter(char: str) -> bool:
    """Whether a character is part of words: letters and the marks above and below them."""
    return char.isalpha() or unicodedata.category(char)[0] == "M"


def _alphabetic(text: str, language: str) -> float:
    total, before = 0.0, " "
    table, letters = costs()[language], _letters(language)
    latin = language in LATIN
    if not latin and letters.isdisjoint(text.lower()):
        total += _WRONG
    for at, char in enumerate(text + " "):
        if not (char.isascii() and before.isascii()):
            following = text[at + 1] if at + 1 < len(text) else " "
            if not char.isascii() and not _is_letter(char):
                total += _symbol_cost(char, before, following)
            else:
                total += _pair_cost(before, char, table, letters, latin=latin)
        before = char
    return total


def _pair_cost(
    before: str, char: str, table: Mapping[str, float], letters: frozenset[str], *, latin: bool
) -> float:
    first = before.lower()[:1] if _is_letter(before) else " "
    second = char.lower()[:1] if _is_letter(char) else " "
    pair = first + second
    if pair.isascii():
        return 0.0
    cost = table.get(pair)
    if cost is None:
        known = all(letter.isascii() or letter in letters for letter in pair)
        cost = _UNSEEN if known else _WRONG
    if before.isdigit() or char.isdigit():
        cost += _BESIDE
    if not latin and (first.isascii() != second.isascii()) and " " not in pair:
        cost += _BESIDE
    if char.isupper():
        cost += _CASE if before.islower() else _CAPITALS * before.isupper()
    return cost


def _symbol_cost(char: str, before: str, following: str) -> float:
    """What a symbol costs: little where it usually stands."""
    inside = before.isalpha() and following.isalpha()
    if char in "‘’´" and inside:
        return 0.0 if char == "’" else 3.0
    if char in "£€¥¢":
        return 4.0 if before.isdigit() or following.isdigit() else 10.0
    opens = char in "“„‘‚¡¿" and not before.isalnum() and not following.isspace()
    closes = char in "”’“" and not before.isspace() and not following.isalnum()
    between = char in "–—•·…" and not inside
    if opens or closes or between or (char in "°½¼²³" and before.isdigit()):
        return 5.0
    if char in "«»":
        return 14.0 if (before if char == "«" else following).isalnum() else 8.0
    if char == "\u00a0":
        return 9.0 if inside else 6.0
    if char in "®™©§×№":
        return 13.0 if following.isalpha() else 7.0
    if unicodedata.category(char) in ("Cc", "Cn", "Co") or "\u2500" <= char <= "\u259f":
        return _WRONG  # among them the lines and blocks that DOS drew frames with
    return 14.0 if before.isalpha() or following.isalpha() else 10.0
