"""An epoch's batches: every row once, near lengths together, a function of seed and epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.tokens.tokenized import rounded
from lora_bert.training.epoch_batches import epoch_batches, padding_share

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=300).map(np.array)
SIZE = st.integers(1, 33)
SEED = st.integers(0, 2**32 - 1)
EPOCH = st.integers(1, 100)


def lists(batches):
    return [batch.tolist() for batch in batches]


def every_row_once(batches, lengths):
    return sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))


@given(LENGTHS, SIZE, SEED, EPOCH)
def test_every_row_once_in_as_few_batches_as_can_be(lengths, size, seed, epoch):
    batches = epoch_batches(lengths, seed=seed, epoch=epoch, batch_size=size)
    assert every_row_once(batches, lengths)
    assert len(batches) == -(-len(lengths) // size)
    assert all(1 <= len(batch) <= size for batch in batches)


@given(LENGTHS, st.integers(1, 200), SEED)
def test_bounded_by_tokens_a_longer_row_stands_alone(lengths, tokens, seed):
    batches = epoch_batches(lengths, seed=seed, epoch=1, batch_size=32, batch_tokens=tokens)
    assert every_row_once(batches, lengths)
    for batch in batches:
        padded = len(batch) * lengths[batch].max()
        assert padded <= tokens or len(batch) == 1


def test_rows_of_one_length_fill_the_tokens():
    batches = epoch_batches(np.full(1000, 16), seed=1, epoch=1, batch_size=32, batch_tokens=168)
    assert {len(batch) for batch in batches} == {10}


@given(LENGTHS, SIZE, SEED, EPOCH, st.one_of(st.none(), st.integers(1, 200)))
def test_the_same_seed_and_epoch_give_the_same_batches(lengths, size, seed, epoch, tokens):
    one, other = (
        epoch_batches(lengths, seed=seed, epoch=epoch, batch_size=size, batch_tokens=tokens)
        for _ in range(2)
    )
    assert lists(one) == lists(other)


@pytest.mark.parametrize("tokens", [None, 100])
def test_another_seed_or_epoch_gives_others(tokens):
    lengths = np.arange(500) % 17 + 1
    orders = [
        lists(epoch_batches(lengths, seed=seed, epoch=epoch, batch_size=8, batch_tokens=tokens))
        for seed, epoch in ((5, 1), (5, 2), (6, 1), (6, 2))
    ]
    assert all(one != other for at, one in enumerate(orders) for other in orders[:at])


def test_rows_meet_others_in_another_epoch():
    lengths = np.arange(2000) % 17 + 1
    first, second = (
        {frozenset(batch.tolist()) for batch in epoch_batches(lengths, seed=1, epoch=epoch,
                                                              batch_size=8)}
        for epoch in (1, 2)
    )  # fmt: skip
    assert len(first & second) < 0.05 * len(first)


@pytest.mark.parametrize("options", [{"batch_size": 16}, {"batch_size": 32, "batch_tokens": 800}])
def test_batches_are_of_like_length_and_yet_in_random_order(options):
    lengths = np.arange(3000) * 37 % 101 + 1
    batches = epoch_batches(lengths, seed=0, epoch=1, **options)
    assert padding_share(lengths, batches, rounded) < 0.15
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


def test_padding_share():
    lengths = np.array([32, 16, 8, 24])
    halves = [np.array([0, 1]), np.array([2, 3])]
    assert padding_share(lengths, halves, int) == pytest.approx(32 / 112)
    assert padding_share(lengths, [np.array([row]) for row in range(4)], int) == 0
    assert padding_share(np.array([5, 3]), [np.array([0, 1])], rounded) == pytest.approx(0.5)
