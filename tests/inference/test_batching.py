"""Batches: every row once, padded to the batch's longest only."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.backbones.tokenizer import Encoding
from lora_bert.inference.batching import by_length, collate, shuffled_by_length

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=200)
SIZE = st.integers(1, 33)


@given(LENGTHS, SIZE)
def test_by_length_has_every_row_once_longest_first(lengths, size):
    batches = by_length(lengths, size)
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert 1 <= len(batches[-1]) <= size


@given(LENGTHS, SIZE, st.integers(0, 2**32))
def test_shuffled_has_every_row_once_in_as_few_batches(lengths, size, seed):
    batches = shuffled_by_length(lengths, size, torch.Generator().manual_seed(seed))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size)
    assert all(1 <= len(batch) <= size for batch in batches)


def test_shuffled_differs_from_call_to_call_and_repeats_with_the_seed():
    lengths = [row % 17 + 1 for row in range(500)]
    generator = torch.Generator().manual_seed(5)
    first = shuffled_by_length(lengths, 8, generator)
    second = shuffled_by_length(lengths, 8, generator)
    assert first != second
    again = torch.Generator().manual_seed(5)
    assert [shuffled_by_length(lengths, 8, again) for _ in range(2)] == [first, second]


def test_shuffled_batches_are_of_like_length():
    lengths = [row * 37 % 101 + 1 for row in range(3000)]
    batches = shuffled_by_length(lengths, 16, torch.Generator().manual_seed(0))
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    # …and yet not in the order of their lengths.
    longest = [max(lengths[row] for row in batch) for batch in batches]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


@given(
    st.lists(st.lists(st.integers(5, 99), min_size=1, max_size=12), min_size=1, max_size=8),
    st.integers(0, 4),
)
def test_collate_pads_on_the_right_to_the_longest(rows, pad_id):
    batch = collate([Encoding(ids, [0] * len(ids)) for ids in rows], pad_id, takes_types=True)
    longest = max(map(len, rows))
    assert batch.ids.shape == batch.mask.shape == (len(rows), longest)
    for ids, mask, row in zip(batch.ids.tolist(), batch.mask.tolist(), rows, strict=True):
        assert ids == row + [pad_id] * (longest - len(row))
        assert mask == [True] * len(row) + [False] * (longest - len(row))
    assert batch.types is None


def test_token_types_only_where_they_are_taken_and_say_something():
    encodings = [Encoding([5, 6, 7], [0, 1, 1]), Encoding([8], [0])]
    assert collate(encodings, 1, takes_types=True).types.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert collate(encodings, 1, takes_types=False).types is None
    assert collate(encodings[1:], 1, takes_types=True).types is None
