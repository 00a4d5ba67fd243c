"""Texts in the order in which the trunk reads them, whatever order and company they came in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lora_bert.mapped import GrowingArray, mapped
from lora_bert.tokens.tokenized import TokenizedTexts

_AT_ONCE = 1 << 18
"""Tokens that are copied at once: the rest of many texts stays in files."""


def canonical(parts: Sequence[TokenizedTexts]) -> tuple[TokenizedTexts, list[np.ndarray]]:
    """Every different text of some parts once, by length and then by content; at least one part.

    Returns:
        The different texts, and for each part, which of them each of its rows is.
    """
    rows = TokenizedTexts.joined(parts)
    by_length = mapped(np.argsort(rows.lengths, kind="stable"))
    of_length = np.bincount(rows.lengths)
    groups = np.split(by_length, np.cumsum(of_length)[:-1])
    numbers = np.empty(len(rows), dtype=np.int64)
    different = GrowingArray(np.int64)
    for length in np.flatnonzero(of_length).tolist():
        alike = groups[length]
        first, which = _distinct(_tokens(rows, alike, length))
        numbers[alike] = different.size + which
        different.add(alike[first])
    ends = np.cumsum([len(part) for part in parts])
    return rows.take(different.whole()), np.split(mapped(numbers), ends[:-1])


def _tokens(rows: TokenizedTexts, alike: np.ndarray, length: int) -> np.ndarray:
    """Rows of one length as int32 ``[rows, length]``, their types behind them if there are any."""
    tokens, step = GrowingArray(np.int32), 1 + _AT_ONCE // length
    for begin in range(0, len(alike), step):
        at = rows.starts[alike[begin : begin + step]][:, None] + np.arange(length)
        types = [] if rows.token_type_ids is None else [rows.token_type_ids[at]]
        tokens.add(np.hstack([rows.ids[at], *types]).ravel())
    return tokens.whole().reshape(len(alike), -1)


def _distinct(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row of each content, in the order of their bytes, and which of these each row is."""
    whole = tokens.view(np.dtype((np.void, tokens[0].nbytes))).ravel()
    order, step = np.argsort(whole, kind="stable"), 1 + _AT_ONCE // tokens.shape[1]
    new = np.ones(len(order), dtype=bool)
    for begin in range(1, len(order), step):
        contents = whole[order[begin - 1 : begin + step]]
        new[begin : begin + step] = contents[1:] != contents[:-1]
    which = np.empty(len(order), dtype=np.int32)
    which[order] = np.cumsum(new, dtype=np.int32) - 1
    return order[new], which
