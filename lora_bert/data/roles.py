"""Which columns are texts and which labels, by the look of their cells: said, never in silence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

NUMBER = re.compile(r"[-+]?\d+([.,]\d+)*([eE][-+]?\d+)?%?")
_SHORT = re.compile(
    rf"{NUMBER.pattern}|\d{{4}}[-/.]\d\d?[-/.]\d\d?\D?.{{0,20}}"
    r"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\w*,? .{0,12}\d\d:\d\d(?::\d\d)?.{0,12}|https?://\S+"
)
"""Numbers, dates and addresses: however long, they are no texts."""
LONG = 60
"""Characters of a cell that is no label, nor a column's name."""
_WORD = 2
"""Characters of the shortest texts, on average; two make a word in Chinese."""


def guess(columns: Sequence[Sequence[str]]) -> tuple[int, int | None, bool]:
    """The column of texts, that of labels (None where there is no other), and whether that is sure.

    The longest and most varied cells are texts; short ones that come again and again are labels.
    """
    looks = [_Column.of(cells) for cells in columns]
    text = max(range(len(looks)), key=lambda at: (looks[at].letters, looks[at].variety))
    others = [at for at in range(len(looks)) if at != text]
    if not others:
        return text, None, True
    recurring = [at for at in others if looks[at].recurs]
    label = min(recurring or others, key=lambda at: (looks[at].variety, looks[at].letters))
    distinct = looks[text].letters >= 2 * looks[label].letters and looks[text].variety > 0.5
    return text, label, len(recurring) == 1 and distinct and not looks[text].recurs


def look_like_texts(cells: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether cells are no numbers, and more varied than those of the column of labels."""
    texts = _Column.of(cells)
    return texts.letters >= _WORD and texts.variety > _Column.of(labels).variety


@dataclass(frozen=True)
class _Column:
    """What the cells of one column are like.

    Attributes:
        letters: Their usual length; numbers and dates count as one letter. 0 where all are equal.
        variety: The share of different ones.
        recurs: Whether they are short, of few kinds, and of more than one.
    """

    letters: float
    variety: float
    recurs: bool

    @classmethod
    def of(cls, cells: Sequence[str]) -> _Column:
        filled = [cell.strip() for cell in cells if cell.strip()]
        if not filled:
            return cls(0.0, 1.0, False)
        lengths = [1 if _SHORT.fullmatch(cell) else len(cell) for cell in filled]
        kinds = len(set(filled))
        letters = sum(lengths) / len(filled) if kinds > 1 or len(filled) < 3 else 0.0
        recurs = 1 < kinds <= max(2, len(filled) / 2) and letters <= LONG and len(filled) > 2
        return cls(letters, kinds / len(filled), recurs)
