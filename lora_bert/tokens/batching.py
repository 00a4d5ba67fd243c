"""Rows -> batches: rows of like length together, so that little is padding."""

from __future__ import annotations

import numpy as np


def by_length(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Row numbers in batches, the longest first (memory runs out at once or never)."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
