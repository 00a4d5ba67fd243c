"""What is asked: single texts, or pairs of texts such as a question and its answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from lora_bert.data.literals import literal, may_be_literal
from lora_bert.data.rows import HEAD_ROWS
from lora_bert.data.stored import StoredStrings, kept, taken

Text = str | tuple[str, str]
"""A text, or a pair of them."""


class TextPairs(Sequence[tuple[str, str]]):
    """Pairs whose first texts and second texts are kept as two columns.

    Attributes:
        sides: The first texts and the second ones, as many of each.
    """

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        self.sides = (first, second)

    def __len__(self) -> int:
        return len(self.sides[0])

    @overload
    def __getitem__(self, at: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, at: slice) -> TextPairs: ...
    def __getitem__(self, at: int | slice) -> tuple[str, str] | TextPairs:
        first, second = self.sides
        if isinstance(at, slice):
            return TextPairs(first[at], second[at])
        return first[at], second[at]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return zip(*self.sides, strict=True)

    def take(self, rows: np.ndarray) -> TextPairs:
        """The pairs at ``rows``, in that order."""
        return TextPairs(*(taken(column, rows) for column in self.sides))


def texts_of(columns: Sequence[Sequence[str]]) -> Sequence[Text]:
    """The texts of one column, or the pairs of two."""
    return columns[0] if len(columns) == 1 else TextPairs(columns[0], columns[1])


def texts_in(columns: Sequence[Sequence[str]], lists: Sequence[bool] = ()) -> Sequence[Text]:
    """The same of a file's columns; of a column of lists each list is one text.

    ``lists`` says which are, where these are the rows of a later piece of the file: what the first
    rows are, all are.
    """
    known = lists or list(map(are_lists, columns))
    return texts_of([_joined(column) if one else column
                     for column, one in zip(columns, known, strict=True)])  # fmt: skip


def are_lists(cells: Sequence[str]) -> bool:
    """Whether the first cells are lists of sentences or paragraphs, but for empty ones."""
    filled = [cell for cell in cells[:HEAD_ROWS] if cell.strip()]
    return bool(filled) and all(_sentences(cell) is not None for cell in filled)


def _joined(cells: Sequence[str]) -> Sequence[str]:
    """What stands in lists, a line each; a cell that is none stays."""
    lists = ((cell, _sentences(cell)) for cell in cells)
    return kept(cell if read is None else "\n".join(read) for cell, read in lists)


def _sentences(cell: str) -> list[str] | None:
    """The texts in a cell that is a list of them."""
    value = literal(cell.strip()) if may_be_literal(cell.lstrip()) else None
    strings = isinstance(value, list) and all(type(item) is str for item in value)
    return value if strings else None


def columns_of(texts: Sequence[Text]) -> tuple[Sequence[str], ...]:
    """The one column of single texts, or the two of pairs; texts of neither are single."""
    if isinstance(texts, TextPairs):
        return texts.sides
    if not are_pairs(texts):
        return (texts,)  # type: ignore[return-value]
    first, second = zip(*texts, strict=True)
    return first, second


def are_pairs(texts: Sequence[Text]) -> bool:
    """Whether these, all of one kind, are pairs."""
    if isinstance(texts, StoredStrings) or not len(texts):
        return False
    return isinstance(texts, TextPairs) or not isinstance(texts[0], str)


def parts_of(text: Text) -> tuple[str, ...]:
    """The text alone, or both of a pair."""
    return (text,) if isinstance(text, str) else text


def taken_texts(texts: Sequence[Text], rows: np.ndarray) -> Sequence[Text]:
    """The texts or pairs at ``rows``, in that order."""
    if isinstance(texts, TextPairs):
        return texts.take(rows)
    return taken(texts, rows)  # type: ignore[arg-type]
