"""Logistic regression for a head's start: scikit-learn is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lora_bert.tasks import logistic
from lora_bert.tasks.logistic import folds, logistic_regression, logistic_regressions
from lora_bert.tasks.single_label import SingleLabel


def clusters(rows, classes, width=8, apart=1.0, seed=0):
    """Features around the middle of each class, and the classes."""
    draw = np.random.default_rng(seed)
    middles, of = apart * draw.normal(size=(classes, width)), np.arange(rows) % classes
    spread = np.linspace(0.5, 3, width)
    features = (middles[of] + draw.normal(size=(rows, width))) * spread + 5
    return features.astype(np.float32), of


@pytest.mark.parametrize("weights", [None, (3.0, 1.0, 0.5)])
@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_it_is_scikit_learns(weights, penalty, monkeypatch):
    features, classes = clusters(300, 3)
    monkeypatch.setattr(logistic, "_PENALTIES", (penalty,))
    monkeypatch.setattr(logistic, "_ITERATIONS", 1000)
    monkeypatch.setattr(logistic, "_TOLERANCE", 1e-10)
    weight, bias = SingleLabel(("a", "b", "c"), weights).probe(features, classes, seed=0)
    each = np.asarray(weights or (1, 1, 1), dtype=float)
    total = each[classes].sum()
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    oracle = LogisticRegression(C=1 / (penalty * total), tol=1e-8, max_iter=5000)
    oracle.fit(standard, classes, sample_weight=each[classes])
    ours, theirs = features @ weight.T + bias, oracle.decision_function(standard)
    ours, theirs = (part - part.mean(axis=1, keepdims=True) for part in (ours, theirs))
    factor = (ours * theirs).sum() / np.square(theirs).sum()  # rows left out have chosen it
    assert 0.5 < factor < 10
    np.testing.assert_allclose(ours, factor * theirs, atol=0.02)


def test_few_rows_are_answered_better_than_by_a_penalty_alone():
    ours, theirs = [], []
    for seed in range(6):
        features, classes = clusters(2016, 2, width=64, apart=0.3, seed=seed)
        few, others = (features[:16], classes[:16]), (features[16:], classes[16:])
        weight, bias = logistic_regression(*few, np.ones(2), seed=seed)
        ours.append(log_loss(others[1], softmax(others[0] @ weight.T + bias, axis=1)))
        strengths = {"logisticregression__C": np.logspace(-4, 4, 13)}
        model = make_pipeline(StandardScaler(), LogisticRegression())
        oracle = GridSearchCV(model, strengths, scoring="neg_log_loss")
        theirs.append(log_loss(others[1], oracle.fit(*few).predict_proba(others[0])))
    assert np.mean(ours) < np.mean(theirs)
    assert np.mean(ours) < np.log(2)


@pytest.mark.parametrize("outputs", [2, 5])
def test_noise_is_answered_with_the_shares_and_what_can_be_told_is_told(outputs):
    features, classes = clusters(400, outputs, apart=0)
    classes = np.where(np.arange(400) < 280, 0, classes)
    weight, bias = logistic_regression(features, classes, np.ones(outputs), seed=1)
    answers = features @ weight.T + bias
    assert (answers.argmax(axis=1) == 0).mean() > 0.97
    features, classes = clusters(400, outputs, apart=3)
    weight, bias = logistic_regression(features[:200], classes[:200], np.ones(outputs), seed=1)
    assert ((features @ weight.T + bias).argmax(axis=1) == classes).mean() > 0.95


def test_rare_classes_are_answered_more_often_where_they_weigh_more():
    features, classes = clusters(600, 2, apart=0.3)
    kept = (classes == 0) | (np.arange(600) % 20 == 1)
    features, classes = features[kept], classes[kept]
    counts = [
        int(((features @ weight.T + bias).argmax(axis=1) == 1).sum())
        for weight, bias in (
            logistic_regression(features, classes, np.asarray(each), seed=0)
            for each in ((1.0, 1.0), (0.5, 6.0))
        )
    ]
    assert counts[1] > counts[0]


def test_the_same_rows_and_seed_give_the_same_bits():
    features, classes = clusters(200, 4)
    first, again = (logistic_regression(features, classes, np.ones(4), seed=3) for _ in range(2))
    assert all(map(np.array_equal, first, again))


def test_features_that_hardly_vary_and_classes_without_rows_break_nothing():
    features, classes = clusters(90, 3)
    features[:, 0], features[:, 1] = 7, 3 + 1e-7 * np.arange(90)
    weight, bias = logistic_regression(features, classes, np.ones(5), seed=0)
    assert np.isfinite(weight).all()
    assert np.isfinite(bias).all()
    # The floor: a hundredth of the typical spread changes an answer by as little.
    assert np.abs(weight[:, :2]).max() < 100 * np.abs(weight[:, 2:]).max()
    assert set((features @ weight.T + bias).argmax(axis=1)) <= {0, 1, 2}


def test_each_part_has_its_share_of_every_class():
    classes = np.repeat([0, 1, 2], [60, 6, 1])
    parts = folds(classes, 3, seed=5)
    assert np.bincount(parts[classes == 0]).tolist() == [20, 20, 20]
    assert np.bincount(parts[classes == 1]).tolist() == [2, 2, 2]
    assert not np.array_equal(parts, folds(classes, 3, seed=6))


def test_several_labels_are_scikit_learns_a_label():
    chance = np.random.default_rng(0)
    features = chance.normal(size=(600, 8)).astype(np.float32)
    labels = np.stack([features[:, at] + chance.normal(size=600) > at for at in range(3)], axis=1)
    weight, bias = logistic_regressions(features[:400], labels[:400], np.ones(3), seed=0)
    ours = 1 / (1 + np.exp(-(features[400:] @ weight.T + bias)))
    for at in range(3):
        model = LogisticRegression(C=1.0).fit(features[:400], labels[:400, at])
        theirs = model.predict_proba(features[400:])[:, 1]
        assert np.abs(ours[:, at] - theirs).mean() < 0.06
    heavier, constant = logistic_regressions(features, labels, np.array([1, 1, 20.0]), seed=0)
    usual = 1 / (1 + np.exp(-(features @ weight.T + bias)))
    even = 1 / (1 + np.exp(-(features @ heavier.T + constant)))
    assert even[:, 2].mean() > 2 * usual[:, 2].mean()
