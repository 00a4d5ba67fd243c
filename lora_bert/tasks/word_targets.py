"""The tags of words as one array, ``[rows, longest]``, that training and scoring both read.

A row has an entry for each of its tokens, in order: the tag where a word begins, else
:data:`NO_WORD`. A word that no token begins, because its text was cut before it or it vanished in
the tokenizer, has an entry at its place, ``UNREAD - tag``. :data:`FILLED` follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lora_bert.data.tag_schemes import OUTSIDE
from lora_bert.errors import DataError, did_you_mean
from lora_bert.wording import shortened

if TYPE_CHECKING:
    from torch import Tensor

NO_WORD = -100
UNREAD = -1000
FILLED = -32768


def row_targets(tags: np.ndarray, starts: Sequence[int], begins: np.ndarray) -> np.ndarray:
    """The entries of one row, int16.

    ``tags`` are those of all its words, which stand at ``starts``; ``begins`` says for each token
    where the word stands that it begins, or -1.
    """
    entries = np.full(len(begins), NO_WORD, dtype=np.int16)
    at = np.flatnonzero(begins >= 0)
    read = np.searchsorted(starts, begins[at])
    entries[at] = tags[read]
    if len(at) == len(tags):
        return entries
    unread = np.setdiff1d(np.arange(len(tags)), read)
    # Before the next word that is read, else behind the last token.
    following = np.append(at, len(entries))[np.searchsorted(read, unread)]
    return np.insert(entries, following, UNREAD - tags[unread])


def padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of entries, filled up to one length."""
    whole = np.full((len(rows), max(map(len, rows), default=0)), FILLED, dtype=np.int16)
    for at, row in enumerate(rows):
        whole[at, : len(row)] = row
    return whole


def of_tokens(targets: Tensor) -> Tensor:
    """The entries of the tokens alone, row by row: a tag or :data:`NO_WORD`, ``[tokens]``."""
    return targets[targets >= NO_WORD]


def of_words(row: np.ndarray) -> np.ndarray:
    """The entries of all words of a row, in order; those below 0 were not read."""
    words: np.ndarray = row[(row >= 0) | ((row <= UNREAD) & (row > FILLED))]
    return words


def gold(row: np.ndarray) -> np.ndarray:
    """The tags of all words of a row, in order."""
    words = of_words(row)
    tags: np.ndarray = np.where(words >= 0, words, UNREAD - words)
    return tags


def unknown_type(place: str, tag: str, labels: Sequence[str]) -> DataError:
    """The error for a row with a tag of a type that is none of these labels'."""
    kind, known = tag[2:], sorted({label[2:] for label in labels if label != OUTSIDE})
    return DataError(
        f"{place}: the type '{shortened(kind)}' is none that the tagger knows.",
        hint=f"{did_you_mean(kind, known)} It knows: {', '.join(known[:20])}. Rename types with "
        "--label-names old=new,….".strip(),
    )
