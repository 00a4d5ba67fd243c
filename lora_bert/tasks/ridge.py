"""Ridge regression whose strength is chosen on rows left out: where a regression's head starts."""

from __future__ import annotations

import numpy as np

from lora_bert.tasks.logistic import folds

_FLOOR = 0.1
"""No feature counts as spread less than this part of the typical spread."""
_PENALTIES = np.logspace(-4, 3, 22)
"""On the squared weights; from almost none to one that leaves the mean."""
_FOLDS = 5


def ridge_regression(
    features: np.ndarray, targets: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The weight ``[1, width]`` and the bias ``[1]`` of a linear model of numbers, float32.

    Features are standardised first. The penalty on the squared weights is the one that has the
    lowest squared error on rows left out.

    Args:
        features: ``[rows, width]``, float32.
        targets: The number of each row, ``[rows]``.
        seed: Decides which rows are left out together.
    """
    features = features.astype(np.float64)
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.maximum(spread, _FLOOR * np.sqrt(np.square(spread).mean()) + 1e-12)
    scaled = (features - middle) / spread
    errors = np.zeros(len(_PENALTIES))
    fold_of = folds(np.zeros(len(targets)), _FOLDS, seed)
    for fold in np.unique(fold_of) if len(targets) > 1 else ():
        inside, outside = fold_of != fold, fold_of == fold
        weights, biases = _fitted(scaled[inside], targets[inside])
        off = scaled[outside] @ weights.T + biases - targets[outside, None]
        errors += np.square(off).sum(axis=0)
    weights, biases = _fitted(scaled, targets)
    best = int(errors.argmin())
    weight = weights[best] / spread
    bias = biases[best] - float(middle @ weight)
    return weight[None].astype(np.float32), np.array([bias], dtype=np.float32)


def _fitted(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With each penalty the weights, ``[penalties, width]``, and the bias, ``[penalties]``."""
    middle, mean = features.mean(axis=0), float(targets.mean())
    off = features - middle
    values, vectors = np.linalg.eigh(off.T @ off / len(off))
    turned = vectors.T @ (off.T @ (targets - mean)) / len(off)
    weights = turned / (np.maximum(values, 0.0) + _PENALTIES[:, None]) @ vectors.T
    return weights, mean - weights @ middle
