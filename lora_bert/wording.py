"""Figures and names as they stand in a sentence."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """``"1 row"``, ``"2,500 rows"``; ``plural`` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Iterable[str], limit: int = 8) -> str:
    """``"'a', 'b' and 3 more"``: at most ``limit`` names, quoted, each shortened."""
    names = list(names)
    shown = ", ".join(f"'{shortened(name, 40)}'" for name in names[:limit])
    return f"{shown} and {len(names) - limit:,} more" if len(names) > limit else shown


def repeated(names: Sequence[str]) -> list[str]:
    """The names that stand there more than once, each of them once."""
    return [name for name, times in Counter(names).items() if times > 1]


def shortened(text: str, length: int = 60) -> str:
    """``text`` on one line, cut to ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def printable(text: str) -> str:
    r"""``text`` with control, format and odd space characters written as escapes (``\n``)."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def reason(error: Exception) -> str:
    """The first line of what a library says of an error, without its full stop."""
    return (str(error).strip().splitlines() or [""])[0].rstrip(".")


def amount(size: int) -> str:
    """Bytes as ``"1.2 GB"`` or ``"3.4 MB"``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """A time as ``"40 s"``, ``"2.5 min"``, ``"12 min"`` or ``"3.5 h"``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.1f} min" if seconds < 570 else f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def utf8_name(name: str) -> str:
    """A file's name, whose bytes need not be UTF-8, as text that can be written anywhere."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def position(source: str, number: int, unit: str = "line") -> str:
    """``"'a.csv', line 3"``; ``unit`` is what a file without lines counts, "row" for example."""
    return f"'{source}', {unit} {number:,}"


def by_number(name: str) -> list[str | int]:
    """A key that sorts names as people do: ``a2`` before ``a10``."""
    # Every other part is a number, so that like is compared with like.
    parts = re.split(r"(\d+)", name)
    return [int(part) if at % 2 else part for at, part in enumerate(parts)]
