"""Where answers stand, as one array ``[windows, columns]`` that training and scoring both read.

The columns are those of :class:`Column`; behind them stand the true answers of the question: the
characters at which each begins and ends or, of one that stands nowhere in the context,
:data:`_NOWHERE`, its length and its characters. They are filled up with -1.
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
    first and the last token of the answer, or 0 for the first token of all where it has none, or
    both :data:`UNKNOWN`; ``FIRST`` is 1 in the first window of a question.
    """

    LENGTH = 0
    BEGIN = 1
    END = 2
    START = 3
    LAST = 4
    FIRST = 5


UNKNOWN = -100
"""For the tokens of a question whose answers stand nowhere: it is scored, and has no loss."""
_NOWHERE = -2


def window_targets(labels: Iterable[str], tokens: TokenizedTexts) -> np.ndarray:
    """The targets of questions' windows, int32, by labels as :mod:`lora_bert.data.answers` has."""
    if tokens.spans is None or tokens.firsts is None:
        raise ValueError("the tokenizer was not asked for windows")
    gold = [json.loads(label) for label in labels]
    rows = tokens.rows_of(np.arange(len(tokens)))
    known = list(map(_numbers, gold))
    columns = len(Column) + max(map(len, known), default=0)
    targets = np.full((len(tokens), columns), -1, dtype=np.int32)
    lasts = np.append(tokens.firsts[1:], True)
    for at, row in enumerate(rows.tolist()):
        spans = tokens.spans[tokens.starts[at] : tokens.starts[at + 1]]
        inside = np.flatnonzero(spans[:, 0] >= 0)
        begin, end = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (len(spans),) * 2
        # What stands at the edges of a context may be of no token.
        low = 0 if tokens.firsts[at] or begin == end else int(spans[begin, 0])
        high = len(tokens.texts[at]) if lasts[at] or begin == end else int(spans[end - 1, 1])
        places = [answer for answer in gold[row] if not isinstance(answer, str)]
        there = (_tokens_of(spans, place) for place in places
                 if low <= place[0] and place[1] <= high)  # fmt: skip
        none = UNKNOWN if gold[row] and not places else 0
        start, last = next((found for found in there if found), (none, none))
        targets[at, : len(Column)] = len(spans), begin, end, start, last, tokens.firsts[at]
        targets[at, len(Column) : len(Column) + len(known[row])] = known[row]
    return targets


def _numbers(answers: Sequence[Sequence[int] | str]) -> list[int]:
    """The true answers of a question as they stand in a line."""
    flat = list[int]()
    for answer in answers:
        if isinstance(answer, str):
            flat += (_NOWHERE, len(answer), *map(ord, answer))
        else:
            flat += answer
    return flat


def _tokens_of(spans: np.ndarray, answer: Sequence[int]) -> tuple[int, int] | None:
    """The first and the last token that stand for some of an answer; None where none does."""
    start, end = answer
    at = np.flatnonzero((spans[:, 1] > start) & (spans[:, 0] < end) & (spans[:, 0] >= 0))
    return (int(at[0]), int(at[-1])) if len(at) else None


def of_rows(targets: np.ndarray) -> np.ndarray:
    """The targets of the first window of each question."""
    chosen: np.ndarray = targets[targets[:, Column.FIRST] == 1]
    return chosen


def gold_answers(row: np.ndarray) -> list[tuple[int, int] | str]:
    """Where the true answers of a question begin and end, each once; or what stands nowhere."""
    flat, at, found = row[len(Column) :].tolist(), 0, list[tuple[int, int] | str]()
    while at < len(flat) and flat[at] != -1:
        first, second = flat[at : at + 2]
        at += 2
        if first == _NOWHERE:
            found.append("".join(map(chr, flat[at : at + second])))
            at += second
        else:
            found.append((first, second))
    return list(dict.fromkeys(found))
