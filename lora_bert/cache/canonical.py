"""Texts in the order in which the trunk reads them, whatever order and company they came in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lora_bert.tokens.tokenized import TokenizedTexts, cu_seqlens


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
        tokens = _tokens(rows, alike, int(length))
        first, which = _distinct(tokens)
        numbers[alike] = count + which
        different.append(tokens[first])
        count += len(first)
    ends = np.cumsum([len(part) for part in parts])
    return _flat(different, rows), np.split(numbers, ends[:-1])


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


def _flat(different: Sequence[np.ndarray], rows: TokenizedTexts) -> TokenizedTexts:
    typed = rows.token_type_ids is not None
    halves = [np.hsplit(part, 2) if typed else (part,) for part in different]
    lengths = np.concatenate([np.full(len(half[0]), half[0].shape[1]) for half in halves])
    types = np.concatenate([half[-1].ravel() for half in halves]).astype(np.uint8)
    return TokenizedTexts(
        ids=np.concatenate([half[0].ravel() for half in halves]),
        starts=cu_seqlens(lengths),
        token_type_ids=types if typed else None,
        truncated=np.zeros(len(lengths), dtype=bool),
        pad_id=rows.pad_id,
    )
