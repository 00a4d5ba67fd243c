"""Logistic regression whose strength is chosen on rows left out: where a head starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FLOOR = 0.1
"""No feature counts as spread less than this part of the typical spread: one that hardly varies
would be blown up, and its gradients with it."""
_PENALTIES = tuple(10.0 ** (2 - step / 2) for step in range(13))
"""From 100, which leaves the shares of the classes, to 1e-4, which fits any rows wholly."""
_FOLDS = 3
_WHOLE = 4000
"""So many rows need no cross-validation: a third of them says as much."""
_ITERATIONS = 60


@dataclass(frozen=True)
class _Rows:
    """Standardised features ``[rows, width]``, their classes, and weights that add up to 1."""

    features: np.ndarray
    classes: np.ndarray
    weights: np.ndarray

    @property
    def outputs(self) -> int:
        """How many classes there are."""
        return int(self.classes.max()) + 1

    def at(self, chosen: np.ndarray) -> _Rows:
        weights = self.weights[chosen]
        return _Rows(self.features[chosen], self.classes[chosen], weights / weights.sum())


def logistic_regression(
    features: np.ndarray, classes: np.ndarray, weights: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The weight ``[outputs, width]`` and the bias ``[outputs]`` of a linear softmax classifier.

    Multinomial logistic regression with a penalty on the squared weights of standardised features,
    by L-BFGS on one core, so that it has the same bits wherever it runs. The penalty is the one
    that has the lowest log loss on rows left out. A class without rows is answered with the
    smallest share of all.

    Args:
        features: ``[rows, width]``, float32.
        classes: The index of each row's class, ``[rows]``.
        weights: Of each class in the loss, ``[outputs]``.
        seed: Decides which rows are left out together.
    """
    import scipy.optimize  # noqa: F401 - what is loaded later is not limited
    from threadpoolctl import threadpool_limits

    there, classes = np.unique(classes, return_inverse=True)
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.maximum(spread, _FLOOR * np.sqrt(np.square(spread).mean()) + 1e-12)
    each = weights[there][classes].astype(np.float32)
    rows = _Rows(((features - middle) / spread).astype(np.float32), classes, each / each.sum())
    with threadpool_limits(1):
        solution = _along(rows, _penalty(rows, seed))
        fitted = solution[:, :-1] / spread
        constant = solution[:, -1] - fitted @ middle
    weight = np.zeros((len(weights), features.shape[1]), dtype=np.float32)
    bias = np.full(len(weights), solution[:, -1].min(), dtype=np.float32)
    weight[there], bias[there] = fitted, constant
    return weight, bias


def _penalty(rows: _Rows, seed: int) -> float:
    """The penalty with the lowest log loss on rows left out."""
    fold_of = folds(rows.classes, _FOLDS, seed)
    left_out = range(_FOLDS if len(fold_of) < _WHOLE else 1)
    losses = np.zeros(len(_PENALTIES))
    for fold in left_out:
        inside, outside = rows.at(fold_of != fold), rows.at(fold_of == fold)
        start = None
        for at, penalty in enumerate(_PENALTIES):
            start = _fitted(inside, rows.outputs, penalty, start)
            losses[at] += _loss(start, outside)[0]
    return _PENALTIES[int(losses.argmin())]


def folds(classes: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Which of ``count`` parts each row is in, ``[rows]``: each has its share of every class."""
    drawn = np.random.default_rng(seed).permutation(len(classes))
    ordered = drawn[np.argsort(classes[drawn], kind="stable")]
    parts = np.empty(len(classes), dtype=np.int64)
    parts[ordered] = np.arange(len(classes)) % count
    return parts


def _along(rows: _Rows, penalty: float) -> np.ndarray:
    """The solution with ``penalty``, each one on the way beginning at the one before."""
    solution = None
    for each in _PENALTIES[: _PENALTIES.index(penalty) + 1]:
        solution = _fitted(rows, rows.outputs, each, solution)
    assert solution is not None
    return solution


def _fitted(rows: _Rows, outputs: int, penalty: float, start: np.ndarray | None) -> np.ndarray:
    """Weights with the bias as their last column, ``[outputs, width + 1]``, float64."""
    from scipy.optimize import minimize

    shape = outputs, rows.features.shape[1] + 1

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        solution = flat.reshape(shape)
        loss, gradient = _loss(solution, rows)
        kept = solution[:, :-1]
        gradient[:, :-1] += penalty * kept
        return loss + penalty / 2 * float(np.square(kept).sum()), gradient.ravel()

    begin = np.zeros(shape) if start is None else start
    options = {"maxiter": _ITERATIONS, "ftol": 1e-6, "gtol": 1e-5}
    found = minimize(objective, begin.ravel(), jac=True, method="L-BFGS-B", options=options)
    fitted: np.ndarray = found.x.reshape(shape)
    return fitted


def _loss(solution: np.ndarray, rows: _Rows) -> tuple[float, np.ndarray]:
    """The mean log loss of rows, and its gradient ``[outputs, width + 1]``, float64."""
    weight, bias = solution[:, :-1].astype(np.float32), solution[:, -1].astype(np.float32)
    every, true = np.arange(len(rows.classes)), rows.classes
    outputs = rows.features @ weight.T + bias
    outputs -= outputs.max(axis=1, keepdims=True)
    right = outputs[every, true]
    np.exp(outputs, out=outputs)
    sums = outputs.sum(axis=1)
    loss = float((rows.weights * (np.log(sums) - right)).sum(dtype=np.float64))
    outputs *= (rows.weights / sums)[:, None]
    outputs[every, true] -= rows.weights
    gradient = np.empty_like(solution)
    gradient[:, :-1], gradient[:, -1] = outputs.T @ rows.features, outputs.sum(axis=0)
    return loss, gradient
