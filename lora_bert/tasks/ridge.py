"""Ridge regression whose strength says itself: where the head of a regression starts."""

from __future__ import annotations

import numpy as np

_FLOOR = 0.1
"""No feature counts as spread less than this part of the typical spread."""
_PENALTIES = np.logspace(-4, 3, 22)
"""On the squared weights, a share of the rows; from almost none to one that leaves the mean."""


def ridge_regression(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weight ``[1, width]`` and the bias ``[1]`` of a linear model of numbers, float32.

    Features are standardised first. The penalty on the squared weights is the one with the lowest
    generalised cross-validation error, which needs no rows left out.

    Args:
        features: ``[rows, width]``, float32.
        targets: The number of each row, ``[rows]``.

    References:
        G. Golub, M. Heath, G. Wahba (1979). Generalized cross-validation as a method for choosing a
        good ridge parameter. Technometrics 21(2), 215-223.
    """
    middle, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    spread = np.maximum(spread, _FLOOR * np.sqrt(np.square(spread).mean()) + 1e-12)
    scaled = ((features - middle) / spread).astype(np.float32)
    mean = float(targets.mean())
    off = (targets - mean).astype(np.float64)
    rows = len(targets)
    shared = (scaled.T @ scaled).astype(np.float64) / rows
    values, vectors = np.linalg.eigh(shared)
    values = np.maximum(values, 0.0)
    turned = vectors.T @ (scaled.T.astype(np.float64) @ off / rows)
    shrunk = turned / (values + _PENALTIES[:, None])
    left = np.square(off).mean() - (2 * turned * shrunk - values * np.square(shrunk)).sum(axis=1)
    free = 1 - (values / (values + _PENALTIES[:, None])).sum(axis=1) / rows
    # With as many features as rows and hardly a penalty nothing is free, and nothing is learned.
    errors = np.where(free > 0.05, left / np.square(np.maximum(free, 0.05)), np.inf)
    weight = vectors @ shrunk[int(errors.argmin())] / spread
    bias = mean - float(middle @ weight)
    return weight[None].astype(np.float32), np.array([bias], dtype=np.float32)
