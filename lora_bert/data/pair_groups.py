"""Pairs that share a text, directly or over other pairs: they are divided as one.

A sentence that is asked about often stands in many pairs. Divided row by row, nearly every pair
held out would have a text that training has seen, with its likeness to other texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lora_bert.data.examples import Examples
from lora_bert.data.stored import hashes, numbered
from lora_bert.data.texts import columns_of

_DRAWS = 16
"""Of so many divisions the one is kept that has the classes in the shares of all rows."""
_FEW = 20
"""Fewer groups say too little about new ones."""
_LARGE = 0.25
"""Share of the wanted rows from which on a group stays in training."""


def groups_of(examples: Examples) -> np.ndarray:
    """The number of each pair's group, int64 ``[rows]``, counted from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = len(examples)
    first, second = (text_hashes(column) for column in columns_of(examples.texts))
    numbers = numbered(np.concatenate([first, second]))
    size = int(numbers.max()) + 1
    links = coo_array((np.ones(rows, bool), (numbers[:rows], numbers[rows:])), (size, size))
    of_text = connected_components(links, directed=False)[1]
    return numbered(of_text[numbers[:rows]])


def text_hashes(texts: Sequence[str]) -> np.ndarray:
    """What stands for each text here, without the white space around it, int64 ``[texts]``."""
    return hashes(map(str.strip, texts), len(texts))


def split_groups(
    examples: Examples, fraction: float, seed: int, *, classes: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """Row numbers for training and for validation, shuffled, no group in both.

    Where the same questions are asked about many contexts, a group is the questions about one
    context. None where there are too few groups, or where a class would have no training row.
    """
    divided = _divided(groups_of(examples), examples.labels, fraction, seed, classes=classes)
    if divided is None and examples.label_form == "answers":
        contexts = numbered(text_hashes(columns_of(examples.texts)[1]))
        divided = _divided(contexts, examples.labels, fraction, seed, classes=classes)
    return divided


def _divided(
    groups: np.ndarray, labels_of_rows: Sequence[str], fraction: float, seed: int, *, classes: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    sizes = np.bincount(groups)
    wanted = fraction * len(groups)
    small = np.flatnonzero(sizes <= _LARGE * wanted)
    if len(small) < _FEW or sizes[small].sum() < wanted:
        return None
    numbers: dict[str, int] = {}
    kinds = (numbers.setdefault(label if classes else "", len(numbers)) for label in labels_of_rows)
    labels = np.fromiter(kinds, np.int64, len(groups))
    counts = np.bincount(labels)
    generator, closest = np.random.Generator(np.random.PCG64(seed)), np.inf
    best: np.ndarray | None = None
    for _ in range(_DRAWS):
        order = generator.permutation(small)
        chosen = order[: np.searchsorted(np.cumsum(sizes[order]), wanted, side="right")]
        held_out = np.isin(groups, chosen)
        drawn = np.bincount(labels[held_out], minlength=len(counts))
        apart = float(np.abs(drawn - fraction * counts).sum())
        if held_out.any() and (drawn < counts).all() and apart < closest:
            best, closest = held_out, apart
    if best is None:
        return None
    train, validation = np.flatnonzero(~best), np.flatnonzero(best)
    return generator.permutation(train), generator.permutation(validation)
