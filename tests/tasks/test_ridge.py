"""Ridge regression: scikit-learn's, with a strength that fits the rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from lora_bert.tasks.ridge import ridge_regression


def rows_of(count, noise, seed=0):
    chance = np.random.default_rng(seed)
    features = chance.normal(size=(count, 20)).astype(np.float32)
    return features, features[:, :5].sum(axis=1) + 3 + noise * chance.normal(size=count)


def answers(fitted, features):
    weight, bias = fitted
    return (features @ weight.T + bias)[:, 0]


@pytest.mark.parametrize("count", [30, 400])
def test_it_is_as_good_on_other_rows_as_the_best_of_scikit_learns(count):
    learned, targets = rows_of(count, 1.0)
    others, wanted = rows_of(500, 0.0, seed=1)
    ours = np.square(answers(ridge_regression(learned, targets, seed=0), others) - wanted).mean()
    theirs = [np.square(Ridge(alpha=alpha * count).fit(learned, targets).predict(others) - wanted)
              .mean() for alpha in np.logspace(-4, 3, 15)]  # fmt: skip
    assert ours < 1.25 * min(theirs)


def test_numbers_that_nothing_says_anything_of():
    features, _ = rows_of(200, 0)
    targets = np.random.default_rng(5).normal(size=200) + 7
    assert np.std(answers(ridge_regression(features, targets, seed=0), features)) < 0.5
    constant = np.ones((10, 4), np.float32)
    assert answers(ridge_regression(constant, targets[:10], seed=0), constant) == pytest.approx(
        np.full(10, targets[:10].mean()), abs=1e-3
    )
