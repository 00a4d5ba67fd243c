"""Tables as Markdown and text databases print them: vertical bars, and a rule under the header."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import chain, islice

logger = logging.getLogger(__name__)

_RULE = re.compile(r"\s*:?-{2,}:?\s*")


def without_rule(
    records: Iterator[tuple[int, list[str]]], source: str
) -> Iterator[tuple[int, list[str]]]:
    """The same records, of such a table without its rule, its outer bars and the spaces in cells.

    Says so (log); without a second line of dashes the records stay as they are.
    """
    head = list(islice(records, 2))
    if len(head) < 2 or not _is_rule(head[1][1]):
        return chain(head, records)
    logger.info("'%s' is a table with a rule under its header, which is left out.", source)
    names = head[0][1]
    start = int(not names[0].strip())
    end = len(names) - int(not names[-1].strip())
    return _stripped(chain(head[:1], records), slice(start, end), len(names))


def _is_rule(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    return len(filled) > 1 and all(_RULE.fullmatch(cell) for cell in filled)


def _stripped(
    records: Iterator[tuple[int, list[str]]], inner: slice, width: int
) -> Iterator[tuple[int, list[str]]]:
    for line, cells in records:
        kept = cells[inner] if len(cells) == width else cells
        yield line, [cell.strip() for cell in kept]
