"""Where answers stand, as one array ``[windows, columns]`` that training and scoring both read.

The columns are those of :class:`Column`; behind them stand the characters at which each true answer
of the question begins and ends, filled up with -1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import IntEnum

import numpy as np

from lora_bert.tokens.tokenized import TokenizedTexts


class Column(IntEnum):
    """What the first columns say of a window.

    ``BEGIN`` and ``END`` are those of the tokens of its context; ``START`` and ``LAST`` are the
    first and the last token of the answer, or 0 for the first token of all where it has none;
    ``FIRST`` is 1 in the first window of a question.
    """

    LENGTH = 0
    BEGIN = 1
    END = 2
    START = 3
    LAST = 4
    FIRST = 5


def window_targets(labels: Iterable[str], tokens: TokenizedTexts) -> np.ndarray:
    """The targets of questions' windows, int32, by labels as :mod:`lora_bert.data.answers` has."""
    if tokens.spans is None or tokens.firsts is None:
        raise ValueError("the tokenizer was not asked for windows")
    gold = [json.loads(label) for label in labels]
    rows = tokens.rows_of(np.arange(len(tokens)))
    columns = len(Column) + 2 * max(map(len, gold), default=0)
    targets = np.full((len(tokens), columns), -1, dtype=np.int32)
    lasts = np.append(tokens.firsts[1:], True)
    for at, row in enumerate(rows.tolist()):
        spans = tokens.spans[tokens.starts[at] : tokens.starts[at + 1]]
        inside = np.flatnonzero(spans[:, 0] >= 0)
        begin, end = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (len(spans),) * 2
        # What stands at the edges of a context may be of no token.
        low = 0 if tokens.firsts[at] or begin == end else int(spans[begin, 0])
        high = len(tokens.texts[at]) if lasts[at] or begin == end else int(spans[end - 1, 1])
        there = (_tokens_of(spans, answer) for answer in gold[row]
                 if low <= answer[0] and answer[1] <= high)  # fmt: skip
        start, last = next((found for found in there if found), (0, 0))
        targets[at, : len(Column)] = len(spans), begin, end, start, last, tokens.firsts[at]
        flat = [place for answer in gold[row] for place in answer]
        targets[at, len(Column) : len(Column) + len(flat)] = flat
    return targets


def _tokens_of(spans: np.ndarray, answer: Sequence[int]) -> tuple[int, int] | None:
    """The first and the last token that stand for some of an answer; None where none does."""
    start, end = answer
    at = np.flatnonzero((spans[:, 1] > start) & (spans[:, 0] < end) & (spans[:, 0] >= 0))
    return (int(at[0]), int(at[-1])) if len(at) else None


def of_rows(targets: np.ndarray) -> np.ndarray:
    """The targets of the first window of each question."""
    chosen: np.ndarray = targets[targets[:, Column.FIRST] == 1]
    return chosen


def gold_spans(row: np.ndarray) -> list[tuple[int, int]]:
    """Where the true answers of a question begin and end, each once."""
    places = row[len(Column) :].reshape(-1, 2)
    return list(dict.fromkeys((start, end) for start, end in places.tolist() if start >= 0))
