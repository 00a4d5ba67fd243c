"""How a file of separated cells is written: its separator, its quotes, what stands before them.

What everybody writes, commas and double quotes, goes first. Something else is taken only if it
makes rows of one width of the file's beginning, and if it concerns quotes, of the whole file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lora_bert.data.header import holds_usual_name
from lora_bert.data.opening import open_text
from lora_bert.data.rows import HEAD_ROWS, ReadOptions

SPOKEN = {
    ",": "commas",
    "\t": "tabs",
    ";": "semicolons",
    "|": "vertical bars (|)",
    "^": "carets (^)",
    "~": "tildes (~)",
}
"""The separators that are recognised, the first that fits wins, and how messages call them."""

_LONGEST_HEAD = 1 << 22
_LONGEST_CELL = 1 << 24
_NAMED_SEPARATOR = re.compile(r"""\ufeff?"?sep=([^\w\s"'\\]|\t)"?\s*""")
_AFTER_SPACE = re.compile(r' +"')
_SPACES_LEFT_OUT = (
    "spaces behind its separators are left out, so that the quotes after them are meant"
)
_BACKSLASH_ELSEWHERE = re.compile(r'\\(?:\\|")|(\\)')
_FEWEST_CELLS = 3
"""Of a table in tabs that is called otherwise."""
_MOST = 0.8
"""Share of the lines that a separator has to cut into as many cells as the first."""


@dataclass(frozen=True)
class Dialect:
    """How the cells of a file are written.

    Attributes:
        delimiter: What stands between two cells.
        quote: What a cell with separators or line breaks stands in; None: quotes are plain text.
        skip_space: Whether spaces behind a separator do not belong to the cell.
        backslash: Whether a backslash takes a quote's meaning away, in place of doubling it.
        skip: How many lines come before the header: 1 where the first one names the separator.
        notes: What is unusual about it, in words that follow the file's name.
    """

    delimiter: str = ","
    quote: str | None = '"'
    skip_space: bool = False
    backslash: bool = False
    skip: int = 0
    notes: tuple[str, ...] = field(default=(), compare=False)

    def reader(self, lines: Iterable[str]) -> Any:
        """The csv parser for it, strict; ``line_num`` counts the lines that are not skipped."""
        csv.field_size_limit(_LONGEST_CELL)
        return csv.reader(
            islice(lines, self.skip, None),
            delimiter=self.delimiter,
            strict=True,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            quotechar=self.quote or '"',
            skipinitialspace=self.skip_space,
            escapechar="\\" if self.backslash else None,
        )

    def fits_file(self, path: Path, codec: str, *, rows_in_cells: bool = True) -> bool:
        """Whether every row of a file is well formed and as wide as the first, but for empty cells.

        Without ``rows_in_cells`` no quoted cell may hold separators and line breaks, as those do
        that swallow other rows.
        """
        width = 0
        with open_text(path, codec, newline="") as stream:
            try:
                for row in self.reader(stream):
                    if _is_blank(row):
                        continue
                    width = width or len(row)
                    if len(row) < width or any(cell.strip() for cell in row[width:]):
                        return False
                    if not rows_in_cells and any(map(self._holds_rows, row)):
                        return False
            except csv.Error:
                return False
        return True

    def _holds_rows(self, cell: str) -> bool:
        return self.delimiter in cell and ("\n" in cell or "\r" in cell)


def sniff(path: Path, codec: str, default: str) -> Dialect:
    """A file's dialect; its notes say what is other than ``default`` and double quotes."""
    head = _Head.of(path, codec)
    plain = Dialect(default)
    if head.lines and (match := _NAMED_SEPARATOR.fullmatch(head.lines[0])):
        note = f": its first line names the separator, '{match[1]}'"
        plain = Dialect(match[1], skip=1, notes=(note,))
    elif head.lines:
        below_titles = replace(head, lines=head.lines[_title_lines(head.lines) :])
        separator = _separator(below_titles, default)
        if separator == "\t" != default and _in_raw_tabs(below_titles, path, codec):
            tabs = _of_tabs(head, path, codec)
            return replace(tabs, notes=(f" is separated by {SPOKEN[separator]}", *tabs.notes))
        if separator != default:
            plain = Dialect(separator, notes=(f" is separated by {SPOKEN[separator]}",))
    for dialect in _unusual(head, plain, path, codec):
        if head.fits(dialect) and dialect.fits_file(path, codec):
            return dialect
    return plain


def sniff_tsv(path: Path, codec: str, options: ReadOptions) -> Dialect:
    """The dialect of a file that is called tsv or txt.

    Without a tab in its first line it may be separated by something else, as csv files are. Commas
    stand in every text: they are taken if that line holds a usual column name, or several columns
    were named. Quotes are meant, as in what pandas writes, only if the whole file parses strictly
    with them; what people collect has sentences with stray ones.
    """
    head = _Head.of(path, codec)
    return _other_separator(head, path, codec, options) or _of_tabs(head, path, codec)


def separator_of(path: Path, codec: str) -> str:
    """What separates the cells of a file whose name does not say it; "" where that is no table.

    Every line of the file's beginning has to have as many cells, more than one, as the others.
    """
    head = _Head.of(path, codec)
    for mark in ("\t", ",", ";", "|"):
        for dialect in (Dialect(mark), Dialect(mark, skip_space=True), Dialect(mark, quote=None)):
            if len(head.rows(dialect)[0]) > 1 and head.fits(dialect):
                return mark
    return ""


@dataclass(frozen=True)
class _Head:
    """The first lines of a file; ``whole`` says that there are no others."""

    lines: Sequence[str]
    whole: bool

    @classmethod
    def of(cls, path: Path, codec: str) -> _Head:
        lines: list[str] = []
        size = 0
        with open_text(path, codec, newline="") as stream:
            for line in islice(stream, HEAD_ROWS):
                lines.append(line)
                size += len(line)
                if size > _LONGEST_HEAD:
                    break
            return cls(lines, not stream.read(1))

    @property
    def first(self) -> str:
        """The first line that is not blank."""
        return next((line for line in self.lines if line.strip()), "")

    def rows(self, dialect: Dialect) -> tuple[list[list[str]], bool]:
        """The rows, and whether all were well formed; a last one may be cut off."""
        rows: list[list[str]] = []
        try:
            rows.extend(row for row in dialect.reader(self.lines) if not _is_blank(row))
        except csv.Error as error:
            return rows, not self.whole and "unexpected end" in str(error) and bool(rows)
        return rows, True

    def fits(self, dialect: Dialect) -> bool:
        """Whether it makes rows of one width, more than one cell wide, but for empty last cells."""
        rows, formed = self.rows(dialect)
        if not formed or not rows:
            return False
        widths = {len(row) for row in rows[1:]} or {len(rows[0])}
        if len(widths) > 1 or max(*widths, len(rows[0])) < 2:
            return False
        common = min(len(rows[0]), *widths)
        return common > 1 and not any(cell.strip() for row in rows for cell in row[common:])


def _is_blank(row: Sequence[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _title_lines(lines: Sequence[str]) -> int:
    """How many lines without any separator stand before one that has a usual column name."""
    at = next((at for at, line in enumerate(lines) if any(mark in line for mark in SPOKEN)), 0)
    return at if holds_usual_name(lines[at]) else 0


def _separator(head: _Head, default: str) -> str:
    """The default, unless it makes no even rows of more than one cell and another one does."""
    first = head.first
    marks = [mark for mark in SPOKEN if mark in first and mark != default]
    if not marks or (default in first and head.fits(Dialect(default))):
        return default
    for mark in marks:
        plain = Dialect(mark)
        variants = (
            plain, replace(plain, skip_space=True), replace(plain, backslash=True),
            replace(plain, quote="'"),
        )  # fmt: skip
        if any(map(head.fits, variants)) or (mark == "\t" and _are_in_tabs(head)):
            return mark
    if default in first:
        return default
    # Where only some lines are at fault, they are to be named, and not the separator.
    best = max(marks, key=lambda mark: _share(head.lines, first, mark))
    return best if _share(head.lines, first, best) >= _MOST else default


def _are_in_tabs(head: _Head) -> bool:
    """Whether all lines have tabs enough for a table, as many or, some of them, several more."""
    widths = {line.count("\t") + 1 for line in head.lines if line.strip()}
    return min(widths) >= _FEWEST_CELLS and len(widths) <= 2 and max(widths) - min(widths) != 1


def _in_raw_tabs(head: _Head, path: Path, codec: str) -> bool:
    """Whether tabs make a table whose quotes are the texts' own."""
    if not _are_in_tabs(head):
        return False
    tabs = Dialect("\t")
    meant = (tabs, replace(tabs, skip_space=True), replace(tabs, backslash=True))
    if not any(map(head.fits, meant)):
        return True
    begun = any(cell.lstrip().startswith('"') for line in head.lines for cell in line.split("\t"))
    return not begun and not tabs.fits_file(path, codec)


def _share(lines: Sequence[str], first: str, mark: str) -> float:
    """The share of lines with as many cells as the first."""
    width = _width(first, mark)
    return sum(_width(line, mark) == width for line in lines) / len(lines)


def _width(line: str, mark: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=mark)))
    except (csv.Error, StopIteration):
        return 0


def _unusual(head: _Head, plain: Dialect, path: Path, codec: str) -> Iterator[Dialect]:
    """Dialects of other quotes that the file may have, where something speaks for them."""

    def changed(note: str, **changes: Any) -> Dialect:
        return replace(plain, notes=(*plain.notes, f": {note}"), **changes)

    def with_and_without_space(note: str, **changes: Any) -> Iterator[Dialect]:
        yield changed(note, **changes)
        yield changed(f"{note}; {_SPACES_LEFT_OUT}", **changes, skip_space=True)

    if any(_AFTER_SPACE.match(cell) for row in head.rows(plain)[0] for cell in row):
        yield changed(_SPACES_LEFT_OUT, skip_space=True)
    even = head.fits(plain)
    escaped = _holds(path, codec, '\\"')
    if escaped and not (even and plain.fits_file(path, codec)) and _escapes_only(path, codec):
        yield from with_and_without_space("its quotes are escaped with backslashes", backslash=True)
    if _in_single_quotes(head.lines[plain.skip :], plain.delimiter, even=even):
        yield from with_and_without_space("its cells stand in single quotes", quote="'")


def _escapes_only(path: Path, codec: str) -> bool:
    """Whether every backslash stands before a quote or another backslash."""
    with open_text(path, codec, newline="") as stream:
        return not any("\\" in line and any(_BACKSLASH_ELSEWHERE.findall(line)) for line in stream)


def _in_single_quotes(lines: Sequence[str], mark: str, *, even: bool) -> bool:
    """Whether the header stands in single quotes, and all rows do or have no even width without."""
    if not lines or not re.fullmatch(rf"\s*'[^']*'(\s*{re.escape(mark)}\s*'[^']*')*\s*", lines[0]):
        return False
    starts = sum(line.lstrip().startswith("'") or f"{mark}'" in line for line in lines)
    return starts == len([line for line in lines if line.strip()]) or not even


def _of_tabs(head: _Head, path: Path, codec: str) -> Dialect:
    """What the quotes of a tsv file mean."""
    plain = Dialect("\t")
    after_space = Dialect("\t", skip_space=True, notes=(f": {_SPACES_LEFT_OUT}",))
    quotes = _holds(path, codec, '"')
    spaced = any(_AFTER_SPACE.match(cell) for line in head.lines for cell in line.split("\t"))
    for dialect in (after_space,) * spaced + (plain,) * quotes:
        if dialect.fits_file(path, codec, rows_in_cells=False):
            return dialect
    if quotes or head.first.lstrip().startswith("'"):
        sniffed = sniff(path, codec, "\t")
        if sniffed.delimiter == "\t" and sniffed != plain:
            return sniffed
    unbalanced = ": its quotes do not balance and are read as plain characters"
    return Dialect("\t", quote=None, notes=(unbalanced,) * quotes)


def _other_separator(head: _Head, path: Path, codec: str, options: ReadOptions) -> Dialect | None:
    """The dialect of a file that has no tab in its first line but is a table all the same."""
    first = head.first
    if _NAMED_SEPARATOR.fullmatch(first):
        return sniff(path, codec, "\t")
    if "\t" in first:
        return None
    commas = len(options.columns) > 1 or (options.header is not False and holds_usual_name(first))
    if not commas and not any(mark in first for mark in SPOKEN if mark != ","):
        return None
    dialect = sniff(path, codec, "\t")
    if dialect.delimiter == "\t" or (dialect.delimiter == "," and not commas):
        return None
    return dialect


def _holds(path: Path, codec: str, mark: str) -> bool:
    """Whether a file holds some characters in one of its lines; it is read up to the first."""
    with open_text(path, codec, newline="") as lines:
        return any(mark in line for line in lines)
