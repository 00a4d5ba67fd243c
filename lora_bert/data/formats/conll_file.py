"""What taggers are trained on: a word a line, its tag in a column behind, a blank line between.

CoNLL's shared tasks brought it up; the tag schemes' names serve as endings of such files.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from lora_bert.data.opening import TAGGED, open_text
from lora_bert.data.rows import HEAD_ROWS, OpenTable
from lora_bert.data.tag_schemes import OUTSIDE, is_tag, parts_of, with_type
from lora_bert.errors import DataError
from lora_bert.wording import counted, shortened

logger = logging.getLogger(__name__)

COLUMNS = ("tokens", "tags")
"""Both as JSON lists; tags of further columns stand in ``tags_4``, by the column's number."""
_BETWEEN_DOCUMENTS = "-DOCSTART-"
_COMMENT = re.compile(r"# ?\S.*[ =].*|#\t.*")
_NUMBER_OF_WORD = re.compile(r"\d+(?:[-.]\d+)?")
"""In front of words, as CoNLL-U has them; 3-4 is of two words that are written as one."""
_PHRASES = frozenset("NP VP PP ADVP ADJP SBAR PRT CONJP INTJ LST UCP NC VC PC".split())
"""Types of chunks, which CoNLL has beside names in a column of their own."""
_FEWEST_COLUMNS = 3
_MOSTLY = 0.98
_MOST_CHARACTERS = 1 << 15


class _Layout(NamedTuple):
    """Where the words and tags of a file stand.

    Attributes:
        numbered: Whether the first column counts words.
        width: Columns of each line; 0 where lines may differ, and the last one holds the tags.
        tags: The columns that hold tags, from 0, the one that is read first.
    """

    numbered: bool
    width: int = 0
    tags: tuple[int, ...] = (-1,)

    @property
    def word(self) -> int:
        """The column of the words, from 0."""
        return int(self.numbered or self.tags == (0,))


def is_conll(path: Path, codec: str, suffix: str) -> bool:
    """Whether a file holds sentences so; where its name does not say it, a column has to.

    Then nearly every line has a tag of a scheme there, in the last column or one that has O too;
    some of them are of an entity, and some lines are blank. Entities and blank lines may come late.
    """
    if suffix in TAGGED:
        return True
    lines = _head(path, codec)
    rows = [_cells(line) for line in lines if _is_filled(line)]
    tags = [row[-1] for row in rows if len(row) > 1]
    columns = [at for at in _columns_of_tags(rows) if OUTSIDE in {row[at] for row in rows}]
    if rows and sum(map(is_tag, tags)) >= _MOSTLY * len(rows):
        columns.append(-1)
    if _tags_come_first(rows):
        columns.append(0)
    blank = entity = False
    with open_text(path, codec) as stream:
        for line in stream if columns else ():
            content = line.rstrip("\r\n")
            if not _is_filled(content):
                blank = True
            else:
                entity = entity or _has_entity(_cells(content), columns)
            if blank and entity:
                return True
    return False


def _has_entity(cells: Sequence[str], columns: Sequence[int]) -> bool:
    tags = (with_type(cells[at]) for at in columns if at < len(cells))
    return any((parts_of(tag) or ("",))[0] for tag in tags)


def _columns_of_tags(rows: Sequence[Sequence[str]]) -> list[int]:
    """The columns behind the first in which nearly every cell is a tag, of lines of one width."""
    width = len(rows[0]) if rows else 0
    if width < _FEWEST_COLUMNS or any(len(row) != width for row in rows):
        return []
    fits = {at: sum(parts_of(row[at]) is not None for row in rows) for at in range(1, width)}
    return [at for at, number in fits.items() if number >= _MOSTLY * len(rows)]


def _tags_come_first(rows: Sequence[Sequence[str]]) -> bool:
    """Whether lines are a tag and its word, as in MIT's restaurants and movies."""
    if not rows or any(len(row) != len(COLUMNS) for row in rows):
        return False
    first, last = (sum(parts_of(row[at]) is not None for row in rows) for at in (0, -1))
    return first >= _MOSTLY * len(rows) > last and OUTSIDE in {row[0] for row in rows}


def read(path: Path, source: str, codec: str) -> OpenTable:
    """Open such a file: a sentence a row, which stands where its first word does.

    A file of one column has words alone, and its rows have no tags. Of several columns of tags the
    last one is read, or the first one with its types, which has the outer entities; a log says so.
    """
    widths = [len(_cells(line)) for line in _head(path, codec) if _is_filled(line)]
    if widths and max(widths) == 1:
        rows = ((line, cells[:1])
                for line, cells in _sentences(path, source, codec, 1, _Layout(False)))  # fmt: skip
        return OpenTable(COLUMNS[:1], rows)
    layout = _layout(path, codec)
    _say_layout(layout, source)
    others = (f"{COLUMNS[1]}_{at + 1}" for at in layout.tags[1:])
    return OpenTable((*COLUMNS, *others), _sentences(path, source, codec, 2, layout))


def _layout(path: Path, codec: str) -> _Layout:
    """Where a file's words and tags stand."""
    numbered = _counts_words(path, codec)
    rows = [_cells(line) for line in _head(path, codec) if _is_filled(line)]
    rows = [row[numbered:] for row in rows if not numbered or row[0].isdecimal()]
    if _tags_come_first(rows):
        return _Layout(numbered, len(COLUMNS), (0,))
    columns = [at + numbered for at in _columns_of_tags(rows)]
    width = len(rows[0]) + numbered if columns else 0
    if columns in ([], [width - 1]):
        return _Layout(numbered)
    kinds = _kinds(path, codec, columns)
    named = [at for at in columns if kinds[at] - _PHRASES]
    if not named:
        return _Layout(numbered)
    chosen = next(at for at in named if kinds[at] & kinds[named[-1]])
    return _Layout(numbered, width, (chosen, *(at for at in columns if at != chosen)))


def _kinds(path: Path, codec: str, columns: Sequence[int]) -> dict[int, set[str]]:
    """The types in some columns: of the first rows, and of more until each column has one."""
    kinds = {at: set[str]() for at in columns}
    with open_text(path, codec) as stream:
        for line, text in enumerate(stream):
            if line >= HEAD_ROWS and all(kinds.values()):
                break
            content = text.rstrip("\r\n")
            cells = _cells(content) if _is_filled(content) else []
            for at in columns if len(cells) > columns[-1] else ():
                kinds[at].add((parts_of(cells[at]) or ("", ""))[1])
                kinds[at].discard("")
    return kinds


def _say_layout(layout: _Layout, source: str) -> None:
    if layout.numbered:
        logger.info("The first column of '%s' counts words: they stand in the second.", source)
    if not layout.width:
        return
    first, *others = (at + 1 for at in layout.tags)
    logger.info("'%s': the tags of column %s of %s are read.%s", source, first, layout.width,
                "".join(f" Those of column {at}: --label-column {COLUMNS[1]}_{at}."
                        for at in others))  # fmt: skip


def _sentences(
    path: Path, source: str, codec: str, least: int, layout: _Layout
) -> Iterator[tuple[int, tuple[str, ...]]]:
    lost, numbered, width = 0, layout.numbered, layout.width
    for start, lines in _blocks(path, codec):
        tokens, tags = [], []
        for line, content in lines:
            cells = _cells(content)
            if numbered and not cells[0].isdecimal():
                if _NUMBER_OF_WORD.fullmatch(cells[0]):
                    continue  # several words as one, or one that is not written
                raise DataError(
                    f"'{source}', line {line:,}: '{shortened(content.strip(), 40)}' begins with no "
                    "number, and the lines before count words.",
                )
            if width and len(cells) != width:
                raise DataError(
                    f"'{source}', line {line:,}: '{shortened(content.strip(), 40)}' has "
                    f"{counted(len(cells), 'column')}, and the lines before have {width}.",
                )
            if len(cells) - numbered < least and parts_of(cells[-1]) is not None:
                cells = [*cells[:numbered], "", *cells[numbered:]]
            _check_tag(cells[numbered:], least, f"'{source}', line {line:,}", content)
            if not cells[layout.word]:
                lost += 1
                continue
            tokens.append(cells[layout.word])
            tags.append([cells[at] for at in layout.tags])
        if tokens:
            yield start, (_json(tokens), *map(_json, zip(*tags, strict=True)))
    if lost:
        logger.warning("'%s': %s without a word left out.", source, counted(lost, "tag"))


def _check_tag(cells: Sequence[str], least: int, place: str, content: str) -> None:
    """Refuse a word without a tag, and one with a tag where the others have none."""
    if len(cells) > least == 1:
        raise DataError(
            f"{place}: '{shortened(content.strip(), 40)}' is more than a word, which the lines "
            "before are.",
            hint="Give every word its tag, O outside of entities, or none of them.",
        )
    if len(cells) < least:
        raise DataError(
            f"{place}: '{shortened(content.strip(), 40)}' has no tag.",
            hint="Every line is a word and its tag, with a tab or a space between; a blank "
            "line ends a sentence.",
        )


def _counts_words(path: Path, codec: str) -> bool:
    """Whether the words of each sentence are counted in a column before them, as far as is seen."""
    most = 0
    for _, lines in islice(_blocks(path, codec), HEAD_ROWS):
        cells = [_cells(content) for _, content in lines]
        if any(len(row) < _FEWEST_COLUMNS or not _NUMBER_OF_WORD.fullmatch(row[0])
               for row in cells):  # fmt: skip
            return False
        numbers = [row[0] for row in cells if row[0].isdecimal()]
        if numbers != [str(number) for number in range(1, len(numbers) + 1)]:
            return False
        most = max(most, len(numbers))
    return most > 1


def _blocks(path: Path, codec: str) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """The lines between blank ones, numbered, and where each block begins."""
    block: list[tuple[int, str]] = []
    with open_text(path, codec) as stream:
        for line, text in enumerate(stream, start=1):
            content = text.rstrip("\r\n")
            if _is_filled(content):
                block.append((line, content))
            elif block and not _COMMENT.fullmatch(content):
                yield block[0][0], block
                block = []
    if block:
        yield block[0][0], block


def _head(path: Path, codec: str) -> list[str]:
    """The first lines, or fewer of long ones: what a file is like shows in some kilobytes."""
    lines, size = [], 0
    with open_text(path, codec) as stream:
        for line in islice(stream, HEAD_ROWS):
            lines.append(line.rstrip("\r\n"))
            size += len(line)
            if size > _MOST_CHARACTERS:
                break
    return lines


def _is_filled(line: str) -> bool:
    """Whether a line belongs to a sentence."""
    return bool(line.strip("\ufeff").strip()) and not _is_between(line)


def _is_between(line: str) -> bool:
    """Whether a line belongs to no sentence: it begins a document, or is a comment."""
    if line.startswith(_BETWEEN_DOCUMENTS):
        return True
    return bool(_COMMENT.fullmatch(line)) and parts_of(_cells(line)[-1]) is None


def _cells(line: str) -> list[str]:
    """The columns of a line; between tabs a word may be empty, a space, or hold spaces."""
    if "\t" in line:
        return [cell.strip() or cell[:1] for cell in line.rstrip().split("\t")]
    # Other spaces are part of a word, as in 10 000, unless nothing else is before the tag.
    cells = [cell for cell in line.strip().split(" ") if cell]
    words = line.split()
    return words if len(cells) == 1 and parts_of(words[-1]) is not None else cells


def _json(values: Sequence[str]) -> str:
    return json.dumps(values, ensure_ascii=False)
