"""Texts in the order in which the trunk reads them, whatever order and company they came in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lora_bert.tokens.tokenized import TokenizedTexts


def canonical(parts: Sequence[TokenizedTexts]) -> tuple[TokenizedTexts, list[np.ndarray]]:
    """Every different text of some parts once, by length and then by content; at least one part.

    Returns:
        The different texts, and for each part, which of them each of its rows is.
    """
    rows = TokenizedTexts.joined(parts)
    by_length = np.argsort(rows.lengths, kind="stable")
    lengths, begins = np.unique(rows.lengths[by_length], return_index=True)
    numbers = np.empty(len(rows), dtype=np.int64)
    different: list[np.ndarray] = []
    count = 0
    for length, alike in zip(lengths, np.split(by_length, begins[1:]), strict=True):
        first, which = _distinct(_tokens(rows, alike, int(length)))
        numbers[alike] = count + which
        different.append(alike[first])
        count += len(first)
    ends = np.cumsum([len(part) for part in parts])
    return rows.take(np.concatenate(different)), np.split(numbers, ends[:-1])


def _tokens(rows: TokenizedTexts, alike: np.ndarray, length: int) -> np.ndarray:
    """Rows of one length as int32 ``[rows, length]``, their types behind them if there are any."""
    at = rows.starts[alike][:, None] + np.arange(length)
    ids: np.ndarray = rows.ids[at]
    if rows.token_type_ids is None:
        return ids
    return np.hstack([ids, rows.token_type_ids[at].astype(ids.dtype)])


def _distinct(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row of each content, in the order of their bytes, and which of these each row is."""
    whole = np.ascontiguousarray(tokens).view(np.dtype((np.void, tokens[0].nbytes))).ravel()
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    return first, which
