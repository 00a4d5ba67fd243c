"""Rows that were seen in training: scored apart, because they flatter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lora_bert.metrics.classification import Indices
from lora_bert.metrics.intervals import Interval, bootstrap


@dataclass(frozen=True)
class Overlap:
    """How many scored texts stand in the training rows too, and what that does to the accuracy.

    Attributes:
        rows: How many do.
        texts: How many different ones those are: a text can stand in several of the scored rows.
        accuracy: Accuracy on those, 0…1; None without any.
        unseen_rows: How many do not.
        unseen_accuracy: Accuracy on those: the one that says something of new texts.
        unseen_interval: Its 95 % bootstrap interval; None without any.
    """

    rows: int
    texts: int
    accuracy: float | None
    unseen_rows: int
    unseen_accuracy: float | None
    unseen_interval: Interval | None


def overlap(
    texts: Sequence[str], training_texts: Iterable[str], predicted: Indices, true: Indices
) -> Overlap:
    """Score rows whose text stands in the training rows apart from the others.

    Letter case and the amount of white space make no other text.
    """
    known = {_plain(text) for text in training_texts}
    plain = [_plain(text) for text in texts]
    seen = np.array([text in known for text in plain], dtype=bool)
    right = predicted == true
    some, others = bool(seen.any()), not seen.all()
    return Overlap(
        rows=int(seen.sum()),
        texts=len(known.intersection(plain)),
        accuracy=float(right[seen].mean()) if some else None,
        unseen_rows=int((~seen).sum()),
        unseen_accuracy=float(right[~seen].mean()) if others else None,
        unseen_interval=bootstrap(true[~seen], predicted[~seen], "accuracy") if others else None,
    )


def rows_seen(texts: Sequence[str], training_texts: Iterable[str]) -> int:
    """How many of the texts stand in the training rows too, as :func:`overlap` counts them."""
    known = {_plain(text) for text in training_texts}
    return sum(_plain(text) in known for text in texts)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
