"""Whether a csv or tsv file starts with a header, and what its columns are called."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace

from lora_bert.data.columns import (
    LABEL_NAMES,
    LONG,
    NUMBER,
    TEXT_NAMES,
    alike,
    are_scores,
    guess,
    plain_name,
)
from lora_bert.data.pair_columns import PAIR_NAMES
from lora_bert.data.rows import ReadOptions, TrainingFormat
from lora_bert.errors import DataError
from lora_bert.names import write_names
from lora_bert.wording import counted, listed, shortened

logger = logging.getLogger(__name__)

_OTHER_NAMES = (
    "id idx index guid uid no split cat source date time name user username author score rating "
    "stars lang language"
).split()
_USUAL = frozenset((*TEXT_NAMES, *LABEL_NAMES, *_OTHER_NAMES))
_OF_PAIRS = frozenset(PAIR_NAMES)
_SENTENCE = re.compile(r"[。！？，；…!?]|[.,;]\s|\.$")
_MOST_TITLES = 5
_OFTEN = 0.05
"""Share of rows in which a cell of the first line comes again if it is a label."""


def column_names(
    first: Sequence[str], others: Sequence[Sequence[str]], options: ReadOptions, source: str
) -> tuple[tuple[str, ...], bool]:
    """The names of the columns, and whether the ``first`` line was the header.

    It is compared with some ``others`` behind it, unless the options decide.

    Raises:
        DataError: ``first`` looks like data though a header was expected, or is all there is, or
            ``columns`` are not as many as there are.
    """
    options = _as_trained(first, others, options, source)
    has_header = options.header is not False
    if has_header and options.header is None and _looks_like_data(first, others):
        raise DataError(
            f"'{source}' seems to have no header: its first line is "
            f"'{shortened(' | '.join(first))}'.",
            hint=_hint([first, *others]),
        )
    if has_header and not others:
        raise DataError(f"'{source}' holds a header and no rows.")
    if options.columns:
        check_count(options.columns, len(first), source)
        if has_header:
            logger.info("The header of '%s' (%s) gives way to --columns.", source, listed(first))
        return options.columns, has_header
    if has_header:
        return tuple(name.strip().strip("\ufeff") for name in first), True
    return _numbered(len(first)), False


def _numbered(width: int) -> tuple[str, ...]:
    """What the columns of a file without header are called."""
    return tuple(f"column_{number}" for number in range(1, width + 1))


def titles(rows: Sequence[Sequence[str]], options: ReadOptions, source: str) -> int:
    """How many lines with a title or remark stand before the header; says so (log).

    It is certain where each has a single cell, a line with a usual column name follows, and all
    behind that one are as wide as it. None do where the options say what the first line is.
    """
    if options.header is False or options.columns:
        return 0
    for at, row in enumerate(rows[: _MOST_TITLES + 1]):
        filled = [cell.strip().strip("\ufeff").lower() for cell in row if cell.strip()]
        if len(filled) < 2 and not _USUAL.intersection(filled):
            continue
        even = all(len(other) == len(row) for other in rows[at + 1 :] if any(other))
        certain = len(filled) > 1 and len(rows) > at + 1 and even
        if not at or not certain or _USUAL.isdisjoint(filled):
            return 0
        logger.info("'%s': %s before the header left out.", source, counted(at, "line"))
        return at
    return 0


def _as_trained(
    first: Sequence[str], others: Sequence[Sequence[str]], options: ReadOptions, source: str
) -> ReadOptions:
    """The options, with those of an adapter's training for a file like that training's.

    Such a file has as many columns. Its first line speaks for itself where it names the text
    column, or has a usual name; remembered names must not turn those around.
    """
    training = options.training
    if options.header is not None or options.columns:
        return options
    names = [cell.strip().strip("\ufeff") for cell in first]
    if not training.columns and training.header is False:
        training = replace(training, columns=_numbered(len(first)))
    columns = training.columns
    if tuple(names) == columns:
        return replace(options, header=True)
    if len(first) == len(columns) and _agree(names, columns):
        has_header = True  # some of whose names are wanting
    elif training.text_column in names and not _is_row(first, training):
        # What looks like data in the names beside it was a header in training, too.
        return replace(options, header=True)
    elif len(first) != len(columns) or _names_columns(names, training):
        return options
    else:
        has_header = training.header is not False
        is_row = _is_row(first, training) or (
            not training.header and _looks_like_data(first, others)
        )
        if is_row == has_header:
            return options
    logger.info(
        "Reading '%s' with the columns %s%s, as the adapter's training was told.",
        source,
        listed(columns),
        "" if has_header else " and no header",
    )
    return replace(options, header=has_header, columns=columns)


def _agree(names: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether a header says ``columns`` wherever it has a name."""
    pairs = zip(names, columns, strict=True)
    return any(names) and all(name in ("", column) for name, column in pairs)


def _names_columns(names: Sequence[str], training: TrainingFormat) -> bool:
    """Whether a cell is a usual column name; a label of the training, such as "no", is none."""
    label = training.label_column
    at = training.columns.index(label) if label and _is_row(names, training) else None
    return any(_is_usual(name) for number, name in enumerate(names) if number != at)


def _is_row(first: Sequence[str], training: TrainingFormat) -> bool:
    """Whether a label of the training stands where the label column is."""
    columns, label = training.columns, training.label_column
    if label not in columns or len(first) != len(columns):
        return False
    return first[columns.index(label)].strip() in training.labels


def holds_usual_name(line: str) -> bool:
    """Whether a line holds a usual column name between separators, spaces and quotes."""
    return any(_is_usual(name.strip(" \"'")) for name in re.split(r"[\t,;|^~\r\n]", line))


def _is_usual(name: str) -> bool:
    """Whether columns are often called so."""
    return name.strip().strip("\ufeff").lower() in _USUAL or plain_name(name) in _OF_PAIRS


def check_count(columns: Sequence[str], width: int, source: str) -> None:
    """Raise a :class:`DataError` unless as many ``columns`` are named as the file has."""
    if len(columns) != width:
        raise DataError(
            f"--columns names {counted(len(columns), 'column')}, but '{source}' has {width}.",
            hint="Name every column of the file, in its order.",
        )


def _looks_like_data(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether no cell is a usual column name and one is a value, a number or a sentence."""
    rows = [row for row in others if list(row) != list(first)]  # a header may stand there twice
    cells = [(cell, _times(rows, at, cell), _is_usual(cell)) for at, cell in enumerate(first)]
    if all(usual for _, _, usual in cells):
        return False
    # A text may be called "message" by chance, beside a label that comes again and again.
    if any(n > 1 and n >= _OFTEN * len(rows) and not usual for _, n, usual in cells):
        return True
    # "question" may also be a label's name: then it comes again further down.
    if any(usual and not n for _, n, usual in cells):
        return False
    return any(
        n or len(cell) > LONG or NUMBER.fullmatch(cell.strip()) or _SENTENCE.search(cell)
        for cell, n, _ in cells
    )


def _times(rows: Sequence[Sequence[str]], at: int, cell: str) -> int:
    """How often a cell comes again in its column; an empty one never does."""
    return sum(row[at] == cell for row in rows if at < len(row)) if cell.strip() else 0


def _are_entities(cells: Sequence[str]) -> bool:
    """Whether cells are what spaCy has beside a text."""
    return bool(cells) and all(cell.startswith("{") and '"entities"' in cell for cell in cells)


def _hint(rows: Sequence[Sequence[str]]) -> str:
    """How to read a file without a header: which column is which is guessed from its cells."""
    width = len(rows[0])
    columns = [[row[at] for row in rows if at < len(row)] for at in range(width)]
    text, label, sure = guess(columns)
    if width == 1:
        return (
            "If every line is a text: --no-header --columns text. To train, the file needs labels "
            "beside them, and no separator was found (commas, tabs, semicolons, |, ^, ~)."
        )
    names = list(_numbered(width))
    marked = [at for at in range(width) if _are_entities(columns[at])]
    if marked and width == 2:
        names[marked[0]], names[1 - marked[0]] = "entities", "text"
        return f"If it has none: --no-header --columns {write_names(names)}."
    names[text] = "text"
    others = (at for at in range(width) if at not in (text, label))
    pairs = [at for at in others if alike(columns[text], columns[at])]
    if len(pairs) == 1:
        first, second = sorted((text, *pairs))
        names[first], names[second] = "text_a", "text_b"
    scores = [at for at in range(width) if at != text and are_scores(columns[at])]
    if len(scores) == 1 and not sure:
        label, sure = scores[0], len(pairs) == 1
    if label is not None:
        names[label] = "label"
    doubt = (
        "the names are guessed from the cells"
        if sure
        else "which is the text and which the label is a mere guess, so check the order"
    )
    return (
        f"If it has none: --no-header --columns {write_names(names)} ({doubt}). "
        "If that line is the header, give its columns plain names such as text, or say --header."
    )
