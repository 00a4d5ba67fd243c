"""What taggers are trained on: a word a line, its tag in the last column, a blank line between.

CoNLL's shared tasks brought it up; the tag schemes' names serve as endings of such files.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from lora_bert.data.opening import TAGGED, open_text
from lora_bert.data.rows import HEAD_ROWS, OpenTable
from lora_bert.data.tag_schemes import parts_of
from lora_bert.errors import DataError
from lora_bert.wording import counted, shortened

logger = logging.getLogger(__name__)

COLUMNS = ("tokens", "tags")
"""Both as JSON lists."""
_BETWEEN_DOCUMENTS = "-DOCSTART-"
_COMMENT = re.compile(r"# ?\S.*[ =].*|#\t.*")
_NUMBER_OF_WORD = re.compile(r"\d+(?:[-.]\d+)?")
"""In front of words, as CoNLL-U has them; 3-4 is of two words that are written as one."""
_FEWEST_COLUMNS = 3
_MOSTLY = 0.98
_MOST_CHARACTERS = 1 << 15


def is_conll(path: Path, codec: str, suffix: str) -> bool:
    """Whether a file holds sentences so; where its name does not say it, the last column has to.

    Then nearly every line ends with a tag of a scheme, some of them of an entity, and some lines
    are blank; entities and blank lines may come late.
    """
    if suffix in TAGGED:
        return True
    lines = _head(path, codec)
    filled = [line for line in lines if _is_filled(line)]
    cells = [_cells(line) for line in filled]
    tags = [parts_of(row[-1]) for row in cells if len(row) > 1]
    if not filled or sum(parts is not None for parts in tags) < _MOSTLY * len(filled):
        return False
    blank, entity = len(filled) < len(lines), any(parts and parts[0] for parts in tags)
    with open_text(path, codec) as stream:
        for line in stream if not (blank and entity) else ():
            content = line.rstrip("\r\n")
            if not _is_filled(content):
                blank = True
            elif parts := parts_of(_cells(content)[-1]):
                entity = entity or bool(parts[0])
            if blank and entity:
                return True
    return blank and entity


def read(path: Path, source: str, codec: str) -> OpenTable:
    """Open such a file: a sentence a row, which stands where its first word does.

    A file of one column has words alone, and its rows have no tags.
    """
    widths = [len(_cells(line)) for line in _head(path, codec) if _is_filled(line)]
    if widths and max(widths) == 1:
        rows = ((line, (tokens,)) for line, (tokens, _) in _sentences(path, source, codec, 1))
        return OpenTable(COLUMNS[:1], rows)
    return OpenTable(COLUMNS, _sentences(path, source, codec, 2))


def _sentences(
    path: Path, source: str, codec: str, least: int
) -> Iterator[tuple[int, tuple[str, str]]]:
    lost, numbered = 0, _counts_words(path, codec)
    if numbered:
        logger.info("The first column of '%s' counts words: they stand in the second.", source)
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
            cells = cells[numbered:]
            if len(cells) < least and parts_of(cells[-1]) is not None:
                cells = ["", *cells]
            if len(cells) > least == 1:
                raise DataError(
                    f"'{source}', line {line:,}: '{shortened(content.strip(), 40)}' is more than "
                    "a word, which the lines before are.",
                    hint="Give every word its tag, O outside of entities, or none of them.",
                )
            if len(cells) < least:
                raise DataError(
                    f"'{source}', line {line:,}: '{shortened(content.strip(), 40)}' has no tag.",
                    hint="Every line is a word and its tag, with a tab or a space between; a blank "
                    "line ends a sentence.",
                )
            if not cells[0].strip():
                lost += 1
                continue
            tokens.append(cells[0])
            tags.append(cells[-1])
        if tokens:
            yield start, (_json(tokens), _json(tags))
    if lost:
        logger.warning("'%s': %s without a word left out.", source, counted(lost, "tag"))


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
    """The columns of a line; between tabs a word may be empty, or hold spaces."""
    if "\t" in line:
        return [cell.strip() for cell in line.rstrip().split("\t")]
    # Other spaces are part of a word, as in 10 000, unless nothing else is before the tag.
    cells = [cell for cell in line.strip().split(" ") if cell]
    words = line.split()
    return words if len(cells) == 1 and parts_of(words[-1]) is not None else cells


def _json(values: list[str]) -> str:
    return json.dumps(values, ensure_ascii=False)
