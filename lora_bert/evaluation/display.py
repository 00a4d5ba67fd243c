"""Labels as they are shown: made printable, measured in terminal cells, shortened, aligned."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence

from lora_bert.wording import printable


def cells(text: str) -> int:
    """How many terminal cells a printable text takes: wide characters two, combining marks none."""
    return sum(_char_cells(char) for char in text)


def fit(text: str, width: int) -> str:
    """``text`` made printable and, where wider than ``width`` cells, shortened in its middle.

    The middle goes because the names of one scheme tend to share their beginnings.
    """
    text = printable(text)
    if cells(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = (width - 1) // 3
    end = _head(text[::-1], tail)[::-1]
    # A combining mark cut off from its letter would sit on the ellipsis.
    end = end.lstrip("".join(char for char in end if _char_cells(char) == 0))
    return _head(text, width - 1 - tail) + "…" + end


def wrapped(text: str, width: int, *, first: str = "", indent: str = "") -> list[str]:
    """Lines of at most ``width`` cells, broken at spaces; longer words are shortened.

    The first line begins with ``first``, the others with ``indent``; both count.
    """
    lines, line = [], first
    for word in (fit(part, width - cells(indent)) for part in text.split()):
        joined = f"{line} {word}" if line not in (first, indent) else line + word
        if cells(joined) > width and line not in (first, indent):
            lines.append(line)
            joined = indent + word
        line = joined
    return [*lines, line]


def column(text: str, width: int, *, right: bool = False) -> str:
    """``text`` fitted into exactly ``width`` cells, padded on its right (or left) with spaces."""
    fitted = fit(text, width)
    padding = " " * (width - cells(fitted))
    return padding + fitted if right else fitted + padding


def _char_cells(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def _head(text: str, width: int) -> str:
    """The longest beginning of ``text`` that takes no more than ``width`` cells."""
    for position, char in enumerate(text):
        width -= _char_cells(char)
        if width < 0:
            return text[:position]
    return text


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a notebook; what stands in it is escaped, because labels are anybody's."""
    if not rows:
        return ""
    head = "".join(f"<th>{_escaped(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_text(text: str) -> str:
    """Lines of text as they stand, for a notebook."""
    return f"<pre>{chr(10).join(map(_escaped, text.splitlines()))}</pre>"


def _escaped(text: str) -> str:
    return html.escape(printable(text))
