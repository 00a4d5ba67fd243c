"""Labels as they are shown: made printable, measured in terminal cells, shortened, aligned."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence

from lora_bert.wording import printable

MINIMUM_WIDTH = 60
"""Below this many columns the tables would say nothing; a smaller ``width`` counts as this."""
GAP = "  "
"""Between two columns."""


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


def titled(title: str, table: str, width: int) -> str:
    """A table below its title."""
    return "\n".join([*wrapped(title, max(width, MINIMUM_WIDTH)), table])


def named_lines(lines: Sequence[tuple[str, str]], width: int) -> str:
    """Names, and beside them what they have to say, wrapped."""
    width = max(width, MINIMUM_WIDTH)
    column = max(13, *(len(name) + 1 for name, _ in lines))
    return "\n".join(
        line
        for name, value in lines
        for line in wrapped(value, width, first=f"{name:<{column}}", indent=" " * column)
    )


def natural_widths(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """The terminal cells of each column's widest text."""
    columns = zip(header, *rows, strict=True)
    return [max(cells(printable(text)) for text in texts) for texts in columns]


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], names: int, width: int) -> str:
    """Lines of aligned columns: the first ``names`` are text and give way, the others numbers."""
    widths = natural_widths(header, rows)
    room = max(width, MINIMUM_WIDTH) - sum(widths[names:]) - len(GAP) * (len(widths) - 1)
    widths[:names] = _shared_out(widths[:names], room)
    return "\n".join(
        GAP.join(
            column(text, size, right=position >= names)
            for position, (text, size) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (header, *rows)
    )


def _shared_out(wanted: Sequence[int], room: int) -> list[int]:
    """Widths that add up to no more than ``room``, none larger than wanted, the rest even."""
    widths = list(wanted)
    narrow_first = sorted(range(len(widths)), key=widths.__getitem__)
    for done, position in enumerate(narrow_first):
        widths[position] = min(widths[position], room // (len(widths) - done))
        room -= widths[position]
    return widths


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
