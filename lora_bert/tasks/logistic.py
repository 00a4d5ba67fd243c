"""Logistic regression as strong as rows left out want it: where a head starts.

A strong penalty finds the direction of classes of few rows, but makes every answer unsure, so that
rows left out seem to want a weaker one. Here they also say by how much each penalty's solution is
to be multiplied, and then how much it counts.

References:
    C. Guo et al. (2017). On calibration of modern neural networks. arXiv:1706.04599: one number
    that all outputs are multiplied by.
    Y. Yao et al. (2018). Using stacking to average Bayesian predictive distributions.
    arXiv:1704.02030. Section 3.4: models weighted by how probable they make rows left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

_FLOOR = 0.1
"""No feature counts as spread less than this part of the typical spread: one that hardly varies
would be blown up, and its gradients with it."""
_PENALTIES = tuple(float(10 ** (2 - step / 2)) for step in range(13))
"""From 100, which leaves the shares of the classes, to 1e-4, which fits any rows wholly."""
_FOLDS = 5
_WHOLE = 4000
"""So many rows need no cross-validation: a fifth of them says as much."""
_RISES = 3
"""Penalties in a row that lower the log loss no more, before weaker ones are not tried."""
_FACTORS = (-4.0, 8.0)
"""Between these powers of e lies what a solution is multiplied by."""
_LEAST_SHARE = 1e-3
"""Of the mean; solutions that count less are left out."""
_ITERATIONS = 60
_TOLERANCE = 1e-4
"""Of the log loss. A hundredth of it takes three times as long and answers no better."""


class Observed(Protocol):
    """What a linear model is fitted to."""

    @property
    def shape(self) -> tuple[int, int]:
        """Of its solution: outputs, and features with the constant behind them."""

    @property
    def kinds(self) -> np.ndarray:
        """A number for each row: rows that are left out have their share of each."""

    def at(self, chosen: np.ndarray) -> Self:
        """Some of the rows."""

    def loss(self, solution: np.ndarray) -> tuple[float, np.ndarray]:
        """The mean log loss of a solution, and its gradient in the same shape, float64."""


@dataclass(frozen=True)
class _Rows:
    """Standardised features ``[rows, width]``, their classes, and weights that add up to 1.

    Classes are ``[rows]``, or, where a row may have several labels, 0 or 1 of each, ``[rows,
    labels]``; ``own`` is then how much more than the others the rows of each label weigh for it.
    """

    features: np.ndarray
    classes: np.ndarray
    weights: np.ndarray
    own: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        outputs = int(self.classes.max()) + 1 if self.own is None else len(self.own)
        return outputs, self.features.shape[1] + 1

    @property
    def kinds(self) -> np.ndarray:
        return self.classes if self.own is None else np.zeros(len(self.classes))

    def at(self, chosen: np.ndarray) -> _Rows:
        weights = self.weights[chosen]
        weights = weights / weights.sum()
        return _Rows(self.features[chosen], self.classes[chosen], weights, self.own)

    def loss(self, solution: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = solution[:, :-1].astype(np.float32), solution[:, -1].astype(np.float32)
        outputs = self.features @ weight.T + bias
        if self.own is None:
            loss, slopes = _loss_of_classes(outputs, self)
        else:
            loss, slopes = _loss_of_labels(outputs, self, self.own)
        gradient = np.empty_like(solution)
        gradient[:, :-1], gradient[:, -1] = slopes.T @ self.features, slopes.sum(axis=0)
        return loss, gradient


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
    there, classes = np.unique(classes, return_inverse=True)
    middle, spread = features.mean(axis=0), spread_of(features)
    each = weights[there][classes].astype(np.float32)
    rows = _Rows(((features - middle) / spread).astype(np.float32), classes, each / each.sum())
    solution = solve(rows, seed)
    fitted, constant = unscaled(solution, middle, spread)
    weight = np.zeros((len(weights), features.shape[1]), dtype=np.float32)
    bias = np.full(len(weights), solution[:, -1].min(), dtype=np.float32)
    weight[there], bias[there] = fitted, constant
    return weight, bias


def logistic_regressions(
    features: np.ndarray, labels: np.ndarray, own: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The weight ``[labels, width]`` and bias ``[labels]`` of a linear yes or no of each label.

    As :func:`logistic_regression`, a sigmoid a label; all of them have the penalty that has the
    lowest log loss together.

    Args:
        features: ``[rows, width]``, float32.
        labels: Which of them each row has, 0 or 1, ``[rows, labels]``.
        own: How much more than the other rows its own weigh for each label, ``[labels]``.
        seed: Decides which rows are left out together.
    """
    middle, spread = features.mean(axis=0), spread_of(features)
    scaled = ((features - middle) / spread).astype(np.float32)
    weights = np.full(len(features), 1 / len(features), dtype=np.float32)
    rows = _Rows(scaled, labels.astype(np.float32), weights, own.astype(np.float32))
    solution = solve(rows, seed)
    weight, bias = unscaled(solution, middle, spread)
    return weight.astype(np.float32), bias.astype(np.float32)


def spread_of(features: np.ndarray) -> np.ndarray:
    """By what each feature is divided, ``[width]``."""
    spread = features.std(axis=0)
    wide: np.ndarray = np.maximum(spread, _FLOOR * np.sqrt(np.square(spread).mean()) + 1e-12)
    return wide


def solve(rows: Observed, seed: int) -> np.ndarray:
    """The solution that rows left out find the most probable, float64.

    On one core, so that it has the same bits wherever it runs; ``seed`` decides which rows are left
    out together.
    """
    import scipy.optimize  # noqa: F401 - what is loaded later is not limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _mean(rows, _left_out(rows, seed))


def unscaled(
    solution: np.ndarray, middle: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias, float64, for features as they were before they were standardised."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        weight = solution[:, :-1] / spread
        return weight, solution[:, -1] - weight @ middle


@dataclass(frozen=True)
class _Tried:
    """What rows left out say of a penalty: the factor for its solution, and their log loss then."""

    penalty: float
    factor: float
    loss: float


def _left_out(rows: Observed, seed: int) -> list[_Tried]:
    """What rows left out say of each penalty, the strongest first."""
    fold_of = folds(rows.kinds, _FOLDS, seed)
    numbers = range(_FOLDS if len(fold_of) < _WHOLE else 1)
    parts = [(rows.at(fold_of != fold), rows.at(fold_of == fold)) for fold in numbers
             if 0 < np.count_nonzero(fold_of == fold) < len(fold_of)]  # fmt: skip
    if not parts:
        return [_Tried(_PENALTIES[0], 1.0, 0.0)]
    solutions = [np.zeros(rows.shape) for _ in parts]
    outside = [part for _, part in parts]
    tried: list[_Tried] = []
    for penalty in _PENALTIES:
        solutions = [
            _fitted(inside, penalty, solution)
            for (inside, _), solution in zip(parts, solutions, strict=True)
        ]
        tried.append(_Tried(penalty, *_factor(outside, solutions)))
        if min(each.loss for each in tried) < min(each.loss for each in tried[-_RISES:]):
            break  # it rises for good, and weak penalties take the longest
    return tried


def _factor(parts: Sequence[Observed], solutions: Sequence[np.ndarray]) -> tuple[float, float]:
    """What solutions are to be multiplied by to have the lowest log loss on parts; that loss.

    Rows that are all answered rightly would ask for no end of it: so of two rows more than there
    are, one counts as answered with the opposite (the targets of Platt 1999).
    """
    from scipy.optimize import minimize_scalar

    doubt = 1 / (sum(len(part.kinds) for part in parts) + 2)

    def loss(power: float) -> float:
        total = 0.0
        for part, solution in zip(parts, solutions, strict=True):
            said = np.exp(power) * solution
            total += (1 - doubt) * part.loss(said)[0] + doubt * part.loss(-said)[0]
        return total / len(parts)

    found = minimize_scalar(loss, bounds=_FACTORS, method="bounded", options={"xatol": 0.02})
    return float(np.exp(found.x)), float(found.fun)


def _mean(rows: Observed, tried: Sequence[_Tried]) -> np.ndarray:
    """The mean of the solutions, each as much as the rows that were left out are probable by it."""
    losses = np.array([each.loss for each in tried])
    shares = np.exp(-len(rows.kinds) * (losses - losses.min()))
    shares /= shares.sum()
    solution, mean = np.zeros(rows.shape), np.zeros(rows.shape)
    # Each search begins at the one before, so the strong ones are needed in any case.
    for at in range(1 + int(np.flatnonzero(shares > _LEAST_SHARE).max())):
        solution = _fitted(rows, tried[at].penalty, solution)
        mean += shares[at] * tried[at].factor * solution
    return mean


def folds(classes: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Which of ``count`` parts each row is in, ``[rows]``: each has its share of every class."""
    drawn = np.random.default_rng(seed).permutation(len(classes))
    ordered = drawn[np.argsort(classes[drawn], kind="stable")]
    parts = np.empty(len(classes), dtype=np.int64)
    parts[ordered] = np.arange(len(classes)) % count
    return parts


def _fitted(rows: Observed, penalty: float, start: np.ndarray) -> np.ndarray:
    """Weights with the bias as their last column, ``[outputs, width + 1]``, float64.

    ``start`` is where the search for them begins.
    """
    from scipy.optimize import minimize

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        solution = flat.reshape(start.shape)
        loss, gradient = rows.loss(solution)
        kept = solution[:, :-1]
        gradient[:, :-1] += penalty * kept
        return loss + penalty / 2 * float(np.square(kept).sum()), gradient.ravel()

    options = {"maxiter": _ITERATIONS, "ftol": _TOLERANCE, "gtol": 1e-5}
    found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    fitted: np.ndarray = found.x.reshape(start.shape)
    return fitted


def _loss_of_classes(outputs: np.ndarray, rows: _Rows) -> tuple[float, np.ndarray]:
    """The mean log loss of a softmax; its slope by each output, which takes their place."""
    every, true = np.arange(len(rows.classes)), rows.classes
    outputs -= outputs.max(axis=1, keepdims=True)
    right = outputs[every, true]
    np.exp(outputs, out=outputs)
    sums = outputs.sum(axis=1)
    loss = float((rows.weights * (np.log(sums) - right)).sum(dtype=np.float64))
    outputs *= (rows.weights / sums)[:, None]
    outputs[every, true] -= rows.weights
    return loss, outputs


def _loss_of_labels(outputs: np.ndarray, rows: _Rows, own: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean log loss of yes-or-no answers, summed over labels; its slope by each output."""
    weights = rows.weights[:, None] * (1 + (own - 1) * rows.classes)
    powers = np.exp(-np.abs(outputs))
    parts = np.maximum(outputs, 0) - outputs * rows.classes + np.log1p(powers)
    loss = float((weights * parts).sum(dtype=np.float64))
    chances = np.where(outputs >= 0, 1, powers) / (1 + powers)
    return loss, weights * (chances - rows.classes)
