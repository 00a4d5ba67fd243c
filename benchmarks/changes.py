"""How far answers in a file are from exact ones, in labels and in logits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def changes(answers: Path, exact: Path | str) -> dict[str, float]:
    """What an engine that rounds changes; both files have the same rows in the same order.

    Returns:
        ``moved``: share of the rows with another label than the exact one. ``logit_rms``: root
        mean square of a logit's difference, the mean of a row's logits being 0. ``gained``:
        accuracy less that of the exact answers, a share.
    """
    found, right = _read(answers), _read(exact)
    labels = [[row["prediction"] for row in rows] for rows in (found, right)]
    given = np.array([row["label"] for row in right])
    moved = np.not_equal(*labels)
    accuracy, before = (float(np.mean(np.array(some) == given)) for some in labels)
    apart = _logits(found) - _logits(right)
    return {
        "moved": float(moved.mean()),
        "logit_rms": float(np.sqrt(np.mean(apart**2))),
        "gained": accuracy - before,
    }


def _read(path: Path | str) -> list[dict[str, Any]]:
    with Path(path).open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def _logits(rows: list[dict[str, Any]]) -> Any:
    names = sorted(name for name in rows[0] if name.startswith("prob_"))
    shares = np.array([[row[name] for name in names] for row in rows])
    logarithms = np.log(np.maximum(shares, np.finfo(np.float32).tiny))
    return logarithms - logarithms.mean(axis=1, keepdims=True)
