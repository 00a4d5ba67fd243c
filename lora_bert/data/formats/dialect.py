"""How a file of separated cells is written: its separator, its quotes, what stands before them.

What everybody writes, commas and double quotes, goes first. Something else is taken only if it
makes rows of one width of the file's beginning, and if it concerns quotes, of the whole file.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lora_bert.data.header import holds_known_name
from lora_bert.data.opening import open_bytes, open_text

logger = logging.getLogger(__name__)

SPOKEN = {
    ",": "commas",
    "\t": "tabs",
    ";": "semicolons",
    "|": "vertical bars (|)",
    "^": "carets (^)",
    "~": "tildes (~)",
}
"""The separators that are recognised, the first that fits wins, and how messages call them."""

_LOOK_AHEAD = 1000
_LONGEST_HEAD = 1 << 22
_LONGEST_CELL = 1 << 24
_NAMED_SEPARATOR = re.compile(r"""\ufeff?"?sep=([^\w\s"'\\]|\t)"?\s*""")
AFTER_SPACE = re.compile(r' +"')
MEANT = "spaces behind its separators are left out, so that the quotes after them are meant"
_BACKSLASH_ELSEWHERE = re.compile(r'\\(?:\\|")|(\\)')
_MOST = 0.8


@dataclass(frozen=True)
class Dialect:
    """How the cells of a file are written.

    Attributes:
        delimiter: What stands between two cells.
        quote: What a cell with separators or line breaks stands in; None: quotes are plain text.
        skip_space: Whether spaces behind a separator do not belong to the cell.
        backslash: Whether a backslash takes a quote's meaning away, in place of doubling it.
        skip: How many lines come before the header: 1 where the first one names the separator.
    """

    delimiter: str = ","
    quote: str | None = '"'
    skip_space: bool = False
    backslash: bool = False
    skip: int = 0

    def reader(self, lines: Iterable[str]) -> Any:
        """The csv parser for it, strict; ``line_num`` counts its lines."""
        csv.field_size_limit(_LONGEST_CELL)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            strict=True,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            quotechar=self.quote or '"',
            skipinitialspace=self.skip_space,
            escapechar="\\" if self.backslash else None,
        )


def sniff(path: Path, source: str, codec: str, default: str, *, quiet: bool = False) -> Dialect:
    """The dialect of a file; says so (log) where it is not ``default`` with double quotes.

    Args:
        path: The file.
        source: How to name it in messages.
        codec: Its encoding.
        default: The separator that its name promises.
        quiet: Say nothing, to those who only ask.
    """
    say = logger.debug if quiet else logger.info
    lines, whole = _head(path, codec)
    plain = Dialect(default)
    if lines and (named := _NAMED_SEPARATOR.fullmatch(lines[0])):
        plain = Dialect(named[1], skip=1)
        lines = lines[1:]
        say("'%s': its first line names the separator, '%s'.", source, named[1])
    elif lines:
        plain = Dialect(_separator(lines[_title_lines(lines) :], default, whole=whole))
        if plain.delimiter != default:
            say("'%s' is separated by %s.", source, SPOKEN[plain.delimiter])
    for changes, spoken in _strange(lines, plain, path, codec, whole=whole):
        dialect = replace(plain, **changes)
        if _fits(lines, dialect, whole=whole) and _holds(path, codec, dialect):
            say("'%s': %s.", source, spoken)
            return dialect
    return plain


def _title_lines(lines: Sequence[str]) -> int:
    """How many lines without any separator stand before one that has a usual column name."""
    at = next((at for at, line in enumerate(lines) if any(mark in line for mark in SPOKEN)), 0)
    return at if holds_known_name(lines[at]) else 0


def separator_of(path: Path, codec: str) -> str | None:
    """What separates the cells of a file whose name does not say it; None where that is no table.

    Every line of the file's beginning has to have as many cells, more than one, as the others.
    """
    lines, whole = _head(path, codec)
    for mark in ("\t", ",", ";", "|"):
        for dialect in (Dialect(mark), Dialect(mark, skip_space=True), Dialect(mark, quote=None)):
            rows, _ = _rows(lines, dialect, whole=whole)
            if len(rows) > 1 and _fits(lines, dialect, whole=whole):
                return mark
    return None


def _head(path: Path, codec: str) -> tuple[list[str], bool]:
    """The first lines, and whether there are no others."""
    lines: list[str] = []
    size = 0
    with open_text(path, codec, newline="") as stream:
        for line in islice(stream, _LOOK_AHEAD):
            lines.append(line)
            size += len(line)
            if size > _LONGEST_HEAD:
                break
        return lines, not stream.read(1)


def _separator(lines: Sequence[str], default: str, *, whole: bool) -> str:
    """The default, unless it makes no even rows of more than one cell and another one does."""
    first = next((line for line in lines if line.strip()), "")
    here = [mark for mark in SPOKEN if mark in first and mark != default]
    if not here or (default in first and _fits(lines, Dialect(default), whole=whole)):
        return default
    for mark in here:
        variants = [
            Dialect(mark),
            Dialect(mark, skip_space=True),
            Dialect(mark, backslash=True),
            Dialect(mark, quote="'"),
        ]
        if any(_fits(lines, dialect, whole=whole) for dialect in variants):
            return mark
    if default in first:
        return default
    # Where only some lines are at fault, they are to be named, and not the separator.
    best = max(here, key=lambda mark: _share(lines, first, mark))
    return best if _share(lines, first, best) >= _MOST else default


def _share(lines: Sequence[str], first: str, mark: str) -> float:
    """The share of lines with as many cells as the first."""
    width = _width(first, mark)
    return sum(_width(line, mark) == width for line in lines) / len(lines)


def _width(line: str, mark: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=mark)))
    except (csv.Error, StopIteration):
        return 0


def _strange(
    lines: Sequence[str], plain: Dialect, path: Path, codec: str, *, whole: bool
) -> Iterator[tuple[dict[str, Any], str]]:
    """Other quotes that the file may have, where something speaks for them."""
    cells = [cell for row in _rows(lines, plain, whole=whole)[0] for cell in row]
    even = _fits(lines, plain, whole=whole)
    spaces = {"skip_space": True}
    after_space = any(AFTER_SPACE.match(cell) for cell in cells)
    if after_space:
        yield dict(spaces), MEANT
    if _holds_text(path, codec, '\\"') and not (even and _holds(path, codec, plain)):
        escapes = _escapes_only(path, codec)
        if escapes:
            yield {"backslash": True}, "its quotes are escaped with backslashes"
            yield {"backslash": True, **spaces}, f"its quotes are escaped with backslashes; {MEANT}"
    if _in_single_quotes(lines, plain, even=even):
        yield {"quote": "'"}, "its cells stand in single quotes"
        yield {"quote": "'", **spaces}, f"its cells stand in single quotes; {MEANT}"


def _holds_text(path: Path, codec: str, text: str) -> bool:
    sought = text.encode(codec)
    if sought != text.encode("ascii"):  # UTF-16, whose marks and order are the reader's business
        with open_text(path, codec, newline="") as lines:
            return any(text in line for line in lines)
    kept = b""
    with open_bytes(path) as stream:
        while block := stream.read(1 << 20):
            if sought in kept + block:
                return True
            kept = block[1 - len(sought) :]
    return False


def _escapes_only(path: Path, codec: str) -> bool:
    """Whether every backslash stands before a quote or another backslash."""
    with open_text(path, codec, newline="") as stream:
        return not any(
            "\\" in line and any(other for other in _BACKSLASH_ELSEWHERE.findall(line))
            for line in stream
        )


def _in_single_quotes(lines: Sequence[str], plain: Dialect, *, even: bool) -> bool:
    """Whether the header stands in them, and cells that would fall apart or all others do."""
    mark = plain.delimiter
    if not lines or not re.fullmatch(rf"\s*'[^']*'(\s*{re.escape(mark)}\s*'[^']*')*\s*", lines[0]):
        return False
    starts = sum(line.lstrip().startswith("'") or f"{mark}'" in line for line in lines)
    return starts == len([line for line in lines if line.strip()]) or not even


def _rows(lines: Sequence[str], dialect: Dialect, *, whole: bool) -> tuple[list[list[str]], bool]:
    """The rows of some lines, and whether all were well formed; a last one may be cut off."""
    reader = dialect.reader(lines)
    found: list[list[str]] = []
    try:
        for row in reader:
            if row and not (len(row) == 1 and not row[0].strip()):
                found.append(row)
    except csv.Error as error:
        cut = not whole and "unexpected end" in str(error)
        return found, cut and bool(found)
    return found, True


def _fits(lines: Sequence[str], dialect: Dialect, *, whole: bool) -> bool:
    """Whether it makes rows of one width, more than one cell wide, but for empty last cells."""
    rows, formed = _rows(lines, dialect, whole=whole)
    if not formed or not rows:
        return False
    widths = {len(row) for row in rows[1:]} or {len(rows[0])}
    if len(widths) > 1 or max(*widths, len(rows[0])) < 2:
        return False
    common = min(len(rows[0]), *widths)
    return common > 1 and not any(cell.strip() for row in rows for cell in row[common:])


def _holds(path: Path, codec: str, dialect: Dialect) -> bool:
    """Whether every row of the file is well formed and of the first one's width."""
    width = 0
    with open_text(path, codec, newline="") as stream:
        for _ in range(dialect.skip):
            stream.readline()
        try:
            for row in dialect.reader(stream):
                if not row or (len(row) == 1 and not row[0].strip()):
                    continue
                width = width or len(row)
                if len(row) != width and any(cell.strip() for cell in row[width:]):
                    return False
                if len(row) < width:
                    return False
        except csv.Error:
            return False
    return True
