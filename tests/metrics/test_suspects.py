"""Labels that are probably wrong."""

from __future__ import annotations

import numpy as np
import pytest

from lora_bert.metrics.suspects import mistakes, suspects


def noisy(classes=3, rows=600, share=0.05, seed=0):
    """Probabilities of a good classifier, labels of which some were changed, and which."""
    rng = np.random.default_rng(seed)
    real = rng.integers(0, classes, rows)
    probabilities = rng.dirichlet(np.ones(classes), rows)
    probabilities[np.arange(rows), real] += 3
    changed = rng.permutation(rows)[: int(share * rows)]
    given = real.copy()
    given[changed] = (given[changed] + 1) % classes
    return probabilities / probabilities.sum(1, keepdims=True), given, real, set(changed.tolist())


def test_changed_labels_are_found():
    probabilities, given, real, changed = noisy()
    found = suspects(probabilities, given)
    rows = [one.row for one in found]
    assert len(set(rows) & changed) >= 0.6 * len(changed)
    assert len(set(rows) - changed) <= 0.1 * len(rows)
    assert all(one.suggested == real[one.row] for one in found if one.row in changed)
    assert all(one.other > one.given for one in found)
    margins = [one.given - one.other for one in found]
    assert margins == sorted(margins)


def test_a_classifier_that_agrees_doubts_nothing():
    probabilities, _, real, _ = noisy()
    assert not suspects(probabilities, real)


def test_the_most_confident_mistakes_stand_first():
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.3, 0.7], [0.4, 0.6]])
    assert list(mistakes(probabilities, np.array([1, 0, 1, 0]))) == [
        (1, 1, 0.9),
        (0, 0, 0.6),
        (3, 1, 0.6),
    ]
    assert list(mistakes(probabilities, np.array([0, 1, 1, 1]))) == []


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_rows_of_columns_are_like_a_list(count):
    probabilities = np.random.default_rng(0).dirichlet(np.ones(2), count)
    found = mistakes(probabilities, 1 - probabilities.argmax(axis=1))
    listed = [found[at] for at in range(count)]
    assert list(found) == listed == found[:]
    assert found[1:3] == listed[1:3]
    assert found[-1:] == listed[-1:]
    assert [type(number) for row in found for number in row] == [int, int, float] * count
    with pytest.raises(IndexError):
        found[count]


def test_a_class_without_rows_is_never_suggested():
    probabilities = np.array([[0.1, 0.1, 0.8], [0.9, 0.05, 0.05], [0.2, 0.7, 0.1]])
    found = suspects(probabilities, np.array([0, 0, 1]))
    assert all(one.suggested != 2 for one in found)
