"""Several labels joined in one cell, ``4,27`` or ``a|b``, and labels that only look so.

``New York, NY`` is one label and ``red,green`` may be. What counts is whether the parts stand alone
as labels of other rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet

STRONG = (",", ";", "|", "#", "\n", "\t", "、", "，", "；")
"""Separators that hardly stand in a class's name where its parts are classes too."""
_WEAK = (" ", "/", "+", "&")
"""Separators that do stand there: ``order``, ``status`` and ``order status`` may be classes."""
_CERTAIN_WEAK = 5
_RECURRING = 0.8
_DECIMAL = re.compile(r"[-+]?\d+,\d+")
_ONE_DECIMAL = re.compile(r"(?:\d|10),\d")
_LEADING_ZERO = re.compile(r"0+[1-9]")
_USUAL_FRACTIONS = frozenset(("0", "5", "00", "25", "50", "75"))
_SCALE = re.compile(r"\d|10")
"""The whole numbers of ratings."""


def parts_of(cell: str, separator: str) -> tuple[str, ...]:
    """What stands between the separators of ``cell``; empty where a part is empty."""
    if separator not in cell:
        return ()
    parts = tuple(part.strip() for part in cell.split(separator))
    return parts if all(parts) else ()


def joined(cells: Sequence[str], standing: AbstractSet[str]) -> str:
    """The separator that joins several labels in some distinct ``cells`` for certain, or "".

    ``standing`` are the labels that rows have alone, ``cells`` among them.
    """
    for separator in (*STRONG, *_WEAK):
        combined = _combined(cells, separator)
        known = [parts for parts in combined.values() if standing >= set(parts)]
        if not known or (separator == "," and _may_be_decimals(combined, standing)):
            continue
        numbers = separator == " " and all(part.isdigit() for parts in known for part in parts)
        if separator in STRONG or numbers:
            certain = 2 * len(known) >= len(combined) or _mostly_stand(combined.values(), standing)
        else:
            certain = len(known) == len(combined) >= _CERTAIN_WEAK
        if certain:
            return separator
    return ""


def suspected(cells: Sequence[str], standing: AbstractSet[str]) -> tuple[str, str]:
    """A separator and a cell that looks like several labels where that is not certain, or ""s."""
    for separator in STRONG:
        combined = _combined(cells, separator)
        if not combined or (separator == "," and _are_decimals(combined, standing)):
            continue
        if _mostly_stand(combined.values(), standing):
            return separator, next(iter(combined))
        seen = Counter(part for parts in combined.values() for part in set(parts))
        recurring = [cell for cell, parts in combined.items()
                     if all(seen[part] > 1 or part in standing for part in parts)]  # fmt: skip
        if len(recurring) >= max(2, _RECURRING * len(combined)):
            return separator, recurring[0]
    for separator in _WEAK:
        combined = _combined(cells, separator)
        known = [cell for cell, parts in combined.items() if standing >= set(parts)]
        if len(known) > 1 and 2 * len(known) >= len(combined):
            return separator, known[0]
    return "", ""


def _combined(cells: Iterable[str], separator: str) -> dict[str, tuple[str, ...]]:
    """The cells with several parts, and their parts."""
    return {cell: parts for cell in cells if (parts := parts_of(cell, separator))}


def _mostly_stand(combined: Iterable[Sequence[str]], standing: AbstractSet[str]) -> bool:
    """Whether at least half of the parts stand alone in some row."""
    parts = [part for cell in combined for part in cell]
    return 2 * sum(part in standing for part in parts) >= len(parts)


def _are_decimals(cells: Collection[str], standing: AbstractSet[str]) -> bool:
    """Whether all are numbers with a decimal comma, ``1,5``, rather than pairs of classes."""
    pairs = [cell.split(",") for cell in cells if _DECIMAL.fullmatch(cell)]
    if len(pairs) < len(cells):
        return False
    # No row has one label twice, and no class's number begins with a zero.
    if any(first == second or _LEADING_ZERO.match(second) for first, second in pairs):
        return True
    scale = not any(label.isdecimal() and not _SCALE.fullmatch(label) for label in standing)
    return scale and all(second in _USUAL_FRACTIONS for _, second in pairs)


def _may_be_decimals(cells: Collection[str], standing: AbstractSet[str]) -> bool:
    """Whether decimal commas are likely: pairs of classes come in the order of their numbers."""
    if _are_decimals(cells, standing):
        return True
    if not all(map(_ONE_DECIMAL.fullmatch, cells)):
        return False
    pairs = (map(int, cell.split(",")) for cell in cells)
    return {first < second for first, second in pairs} == {True, False}
