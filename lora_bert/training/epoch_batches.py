"""Which rows stand in which batch: a function of the seed and the epoch, nothing else.

The position of a batch in an epoch is therefore one number, whoever computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lora_bert.tokens.tokenized import rounded

_POOL = 50
"""Batches that are sorted by length together: more pad less, fewer mix better."""


def epoch_batches(
    lengths: np.ndarray, *, seed: int, epoch: int, batch_size: int, batch_tokens: int | None = None
) -> list[np.ndarray]:
    """Row numbers in batches of like length, in random order, another one each epoch.

    The rows are shuffled, cut into pools of fifty batches, sorted within the pool, cut into batches
    and the batches shuffled again: an epoch stays random while little is padding.

    Args:
        lengths: Tokens of each row.
        seed: Of the run.
        epoch: Counted from 1.
        batch_size: Rows of a batch.
        batch_tokens: Bound batches by their tokens, padding included, in place of their rows; a
            longer row stands alone.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(len(lengths))
    if batch_tokens:
        batch_size = max(1, int(batch_tokens / lengths.mean()))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), _POOL * batch_size):
        pool = order[start : start + _POOL * batch_size]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        batches += np.split(pool, _cuts(lengths[pool], batch_size, batch_tokens))
    return [batches[at] for at in generator.permutation(len(batches))]


def padding_share(
    lengths: np.ndarray, batches: Sequence[np.ndarray], padded_length: Callable[[int], int]
) -> float:
    """Which part of the batches' tokens is padding, 0..1.

    Args:
        lengths: Tokens of each row.
        batches: Row numbers.
        padded_length: Tokens of the longest row -> tokens of every row of its batch.
    """
    padded = sum(len(rows) * padded_length(int(lengths[rows].max())) for rows in batches)
    return 1 - float(lengths.sum()) / padded


def _cuts(lengths: np.ndarray, batch_size: int, batch_tokens: int | None) -> list[int]:
    """Where batches begin in rows sorted from long to short, the first one left out."""
    if not batch_tokens:
        return list(range(batch_size, len(lengths), batch_size))
    cuts, at = [], 0
    while (at := at + max(1, batch_tokens // rounded(int(lengths[at])))) < len(lengths):
        cuts.append(at)
    return cuts
