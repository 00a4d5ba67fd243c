"""Rows that were seen in training: scored apart, because they flatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lora_bert.data.stored import hashes
from lora_bert.data.texts import Text, are_pairs, parts_of
from lora_bert.metrics.intervals import Interval, bootstrap


@dataclass(frozen=True)
class Overlap:
    """How many scored texts stand in the training rows too, and what that does to the accuracy.

    Attributes:
        rows: How many do.
        texts: How many different ones those are: a text can stand in several of the scored rows.
        accuracy: Accuracy on those, 0…1; None without any, or where answers are not right or wrong.
        unseen_rows: How many do not.
        unseen_accuracy: Accuracy on those: the one that says something of new texts; None likewise.
        unseen_interval: Its 95 % bootstrap interval; None likewise.
        pairs: Whether they are pairs of texts.
    """

    rows: int
    texts: int
    accuracy: float | None
    unseen_rows: int
    unseen_accuracy: float | None
    unseen_interval: Interval | None
    pairs: bool = False


def overlap(
    texts: Sequence[Text], training_texts: Sequence[Text], right: NDArray[np.bool_] | None
) -> Overlap:
    """Score rows whose text, or pair, stands in the training rows apart from the others.

    Letter case and the amount of white space make no other text. ``right`` says whether each scored
    row is answered rightly, [rows]; None where that is no question.
    """
    known = hashes(map(_plain, training_texts), len(training_texts))
    plain = hashes(map(_plain, texts), len(texts))
    seen = np.isin(plain, known)
    nothing = np.empty(0, dtype=bool)
    old, new = (nothing, nothing) if right is None else (right[seen], right[~seen])
    every = np.ones(len(new), dtype=int)
    return Overlap(
        rows=int(seen.sum()),
        texts=len(np.unique(plain[seen])),
        accuracy=float(old.mean()) if len(old) else None,
        unseen_rows=int((~seen).sum()),
        unseen_accuracy=float(new.mean()) if len(new) else None,
        unseen_interval=bootstrap(every, new.astype(int), "accuracy") if len(new) else None,
        pairs=are_pairs(texts),
    )


def _plain(text: Text) -> str | tuple[str, ...]:
    plain = tuple(" ".join(part.split()).casefold() for part in parts_of(text))
    return plain[0] if len(plain) == 1 else plain
