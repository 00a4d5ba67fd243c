"""Numbers of labels as protocols list them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lora_bert.serving.answering import Answered
from lora_bert.serving.refusals import RefusedError


def ranked(labels: Sequence[str], row: np.ndarray) -> list[dict[str, Any]]:
    """Labels with their scores, the highest first; of equal ones the first label."""
    order = np.argsort(-row, kind="stable").tolist()
    scores = row.tolist()
    return [{"label": labels[at], "score": scores[at]} for at in order]


def relevances(answered: Answered, *, raw: bool = False) -> list[float]:
    """How relevant each pair's second text is to its first.

    Raises:
        RefusedError: The adapter has more than one output.
    """
    scores = answered.raw_scores if raw else answered.scores
    if scores.shape[1] != 1:
        raise RefusedError(
            "invalid", f"'{answered.name}' has {scores.shape[1]} labels; pairs are scored by an "
            "adapter with one output, such as --task relevance trains.",
        )  # fmt: skip
    numbers: list[float] = scores[:, 0].tolist()
    return numbers
