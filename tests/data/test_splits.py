"""Splits are scikit-learn's where it has one, and sensible where it gives up."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from lora_bert.data.examples import Examples
from lora_bert.data.splits import sample, split
from lora_bert.errors import DataError


def examples_of(labels):
    labels = tuple(labels)
    numbers = range(len(labels))
    return Examples(tuple(f"t{n}" for n in numbers), labels, tuple(numbers), "a.csv")


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 200), st.floats(0.05, 0.6), st.integers(0, 2**32 - 1))
def test_random_is_scikit_learns(rows, fraction, seed):
    examples = examples_of("ab"[n % 2] for n in range(rows))
    train, validation = (
        train_test_split(list(examples.texts), test_size=fraction, random_state=seed)
        if fraction * rows <= rows - 1
        else ([], [])
    )
    if not train:
        with pytest.raises(DataError, match="too few"):
            split(examples, fraction=fraction, how="random", seed=seed)
        return
    ours = split(examples, fraction=fraction, how="random", seed=seed)
    assert (list(ours[0].texts), list(ours[1].texts)) == (train, validation)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(4, 40), min_size=1, max_size=12),
    st.floats(0.3, 0.7),
    st.integers(0, 2**32 - 1),
)
@example([150, 50], 0.2, 7)
@example([7] * 11, 0.5, 0)  # every remainder is the same
def test_stratified_is_scikit_learns(sizes, fraction, seed):
    labels = [f"{at} é" for at, size in enumerate(sizes) for _ in range(size)]
    examples = examples_of(labels)
    theirs = train_test_split(
        list(examples.texts), test_size=fraction, random_state=seed, stratify=labels
    )
    ours = split(examples, fraction=fraction, seed=seed)
    assert [list(part.texts) for part in ours] == theirs


def test_stratified_gives_every_class_its_share():
    _, validation = split(examples_of("aaab" * 50), seed=7)
    assert Counter(validation.labels) == {"a": 30, "b": 10}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=40),
    st.floats(0.05, 0.95),
    st.integers(0, 100),
)
@example(list("aaaaaaabb"), 0.75, 0)
def test_stratified_always_keeps_every_class_in_training(labels, fraction, seed):
    examples = examples_of(labels)
    if len(set(labels)) == len(labels):
        with pytest.raises(DataError, match="too few"):
            split(examples, fraction=fraction, seed=seed)
        return
    train, validation = split(examples, fraction=fraction, seed=seed)
    assert set(train.labels) == set(labels)
    assert len(validation) >= 1
    assert sorted(train.lines + validation.lines) == list(examples.lines)


def test_a_class_of_one_row_stays_in_training(caplog):
    caplog.set_level("INFO")
    train, validation = split(examples_of("aaaaabbbbbc"), seed=1)
    assert "c" in train.labels
    assert Counter(validation.labels) == {"a": 1, "b": 1}
    assert caplog.messages == ["1 class of a single row: kept in training."]


def test_more_classes_than_validation_rows(caplog):
    caplog.set_level("INFO")
    labels = [f"c{n % 30}" for n in range(90)]
    train, validation = split(examples_of(labels), seed=1)
    assert len(validation) == 18
    assert max(Counter(validation.labels).values()) == 1
    assert len(set(train.labels)) == 30
    assert "18 validation rows for 30 classes" in caplog.text
    assert split(examples_of(labels), seed=1) == (train, validation)


def test_too_few_rows():
    for how in ("random", "stratified"):
        with pytest.raises(DataError, match="1 row, too few to split") as caught:
            split(examples_of("a"), how=how, seed=1)
        assert "--validation" in caught.value.hint


def test_sample():
    examples = examples_of("ab" * 50)
    some = sample(examples, 10, 3)
    assert len(some) == 10
    assert list(some.lines) == sorted(some.lines)
    assert sample(examples, 10, 3) == some
    assert sample(examples, 10, 4) != some
    assert sample(examples, 1000, 3) is examples


def test_texts_in_the_place_of_labels_are_guessed_at():
    texts = tuple(f"text {at}" for at in range(20))
    examples = Examples(("1",) * 20, texts, tuple(range(20)), "rows.csv")
    with pytest.raises(DataError, match="20 rows and 20 different labels") as caught:
        split(examples, fraction=0.2, seed=1)
    assert "--label-column" in caught.value.hint
