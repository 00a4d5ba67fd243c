"""Whether a csv or tsv file starts with a header, and what its columns are called."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from lora_bert.data.columns import LABEL_NAMES, TEXT_NAMES
from lora_bert.data.rows import ReadOptions
from lora_bert.data.wording import counted, listed, shortened
from lora_bert.errors import DataError

logger = logging.getLogger(__name__)

_OTHER_NAMES = (
    "id idx index guid uid no split cat source date time name user username author score rating "
    "stars sentence1 sentence2 text_a text_b question1 question2 premise hypothesis lang language"
).split()
_KNOWN = frozenset((*TEXT_NAMES, *LABEL_NAMES, *_OTHER_NAMES))
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)*([eE][-+]?\d+)?%?")
_SENTENCE = re.compile(r"[。！？，；…!?]|[.,;]\s|\.$")
_LONG = 60


def column_names(
    first: Sequence[str], others: Sequence[Sequence[str]], options: ReadOptions, source: str
) -> tuple[tuple[str, ...], bool]:
    """The names of the columns, and whether ``first`` was the header.

    Args:
        first: The cells of the first line.
        others: The cells of some lines behind it, to compare with.
        options: ``header`` decides when it is given; ``columns`` are names to use.
        source: How to name the file in messages.

    Raises:
        DataError: ``first`` looks like data though a header was expected, or ``columns`` are not
            as many as there are.
    """
    has_header = options.header is not False
    if has_header and options.header is None and _looks_like_data(first, others):
        raise DataError(
            f"'{source}' seems to have no header: its first line is "
            f"'{shortened(' | '.join(first))}'.",
            hint="If it has none: --no-header with --columns text,label (names in the file's "
            "order). If that line is the header, give its columns plain names such as text.",
        )
    if options.columns:
        check_count(options.columns, len(first), source)
        if has_header:
            logger.info("The header of '%s' (%s) gives way to --columns.", source, listed(first))
        return options.columns, has_header
    if has_header:
        return tuple(name.strip().strip("\ufeff") for name in first), True
    return tuple(f"column_{number}" for number in range(1, len(first) + 1)), False


def check_count(columns: Sequence[str], width: int, source: str) -> None:
    """Raise a :class:`DataError` unless as many ``columns`` are named as the file has."""
    if len(columns) != width:
        raise DataError(
            f"--columns names {counted(len(columns), 'column')}, but '{source}' has {width}.",
            hint="Name every column of the file, in its order.",
        )


def _looks_like_data(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether no cell is a usual column name and one is a value, a number or a sentence."""
    seen = [{row[at] for row in others if at < len(row)} for at in range(len(first))]
    recurs = [bool(cell.strip()) and cell in seen[at] for at, cell in enumerate(first)]
    known = [cell.strip().strip("\ufeff").lower() in _KNOWN for cell in first]
    # "question" may also be a label's name: then it comes again further down.
    if all(known) or any(k and not r for k, r in zip(known, recurs, strict=True)):
        return False
    return any(
        again or len(cell) > _LONG or _NUMBER.fullmatch(cell.strip()) or _SENTENCE.search(cell)
        for again, cell in zip(recurs, first, strict=True)
    )
