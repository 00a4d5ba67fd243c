"""Which rows stand in which batch, where their tokens stand, and how much of it is filler."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.tokens.batching import (
    LONG_ROW,
    Blocks,
    TokenBatch,
    by_length,
    by_owner,
    by_padded_length,
    by_tokens,
    chunks,
    epoch_batches,
    filled,
    levelled,
    padding_share,
    slice_count,
    slices,
)
from lora_bert.tokens.tokenized import TokenizedTexts

ROWS = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=12), min_size=1, max_size=8)
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
        assert lengths[batch].sum() <= tokens or len(batch) == 1


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
    assert padding_share(lengths, batches) < 0.03
    # What attention pads, which sees rows.
    assert np.mean([lengths[batch].max() / lengths[batch].mean() for batch in batches]) < 1.25
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=200), st.integers(1, 33))
def test_by_length_has_every_row_once(lengths, size):
    batches = by_length(np.array(lengths), size)
    rows = [row for batch in batches for row in batch.tolist()]
    assert sorted(rows) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in batches)


@given(LENGTHS, st.integers(1, 3))
def test_by_tokens_fills_batches_with_every_row_once_the_longest_first(lengths, size):
    lengths, tokens = lengths * 25, size * LONG_ROW
    batches = by_tokens(lengths, size)
    assert every_row_once(batches, lengths)
    rows = np.concatenate(batches)
    assert (np.diff(lengths[rows]) <= 0).all()
    for part, following in pairwise(batches):
        assert lengths[part].sum() <= tokens or len(part) == 1
        assert lengths[part].sum() + lengths[following[0]] > tokens


def padded(lengths, batches):
    """What an engine that pads computes, in tokens; a batch counts as 128."""
    return sum(len(rows) * max(lengths[rows]) + 128 for rows in batches)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=200), st.integers(1, 33))
def test_batches_that_are_padded_have_every_row_once(lengths, size):
    lengths = np.array(lengths)
    batches = by_padded_length(lengths, size)
    assert every_row_once(batches, lengths)
    assert all(1 <= len(batch) <= size for batch in batches)
    assert max(lengths) == max(lengths[batches[0]])
    order = np.argsort(-lengths, kind="stable")
    full = [order[at : at + size] for at in range(0, len(order), size)]
    assert padded(lengths, batches) <= padded(lengths, full)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=9), st.integers(1, 9))
def test_no_other_cut_into_padded_batches_is_cheaper(lengths, size):
    lengths = np.array(sorted(lengths, reverse=True))
    rows = np.arange(len(lengths))
    cuts = [
        np.split(rows, [at for at in rows[1:] if chosen >> at & 1])
        for chosen in range(0, 1 << len(rows), 2)
    ]
    least = min(padded(lengths, cut) for cut in cuts if max(map(len, cut)) <= size)
    assert padded(lengths, by_padded_length(lengths, size)) == least


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=200), st.integers(1, 33), st.integers(1, 8)
)
def test_levelled_batches_have_every_row_once_and_about_as_many_tokens(lengths, size, threads):
    lengths = np.array(sorted(lengths, reverse=True))
    before = [np.arange(at, min(at + size, len(lengths))) for at in range(0, len(lengths), size)]
    batches = levelled(before, lengths, threads)
    assert every_row_once(batches, lengths)
    if batches is before:
        return
    assert len(batches) <= threads * -(-len(before) // threads)
    each = [int(lengths[rows].sum()) for rows in batches]
    fair = lengths.sum() / len(batches)
    assert max(each) <= fair + 2 * lengths.max()


def test_long_and_short_rows_are_levelled_for_two_threads():
    lengths = np.array([100] * 32 + [10] * 32)
    sizes = [len(rows) for rows in levelled([np.arange(32), np.arange(32, 64)], lengths, 2)]
    assert sizes == [18, 46]
    assert len(levelled([np.arange(32), np.arange(32, 64)], lengths, 1)) == 2
    assert len(levelled([np.arange(64)], lengths, 2)) == 2
    for few in (lengths[-20:], lengths[:1]):  # too few tokens for two threads, or but one row
        assert len(levelled([np.arange(len(few))], few, 2)) == 1


def test_by_length_has_few_numbers_of_tokens_and_no_filler():
    lengths = np.random.default_rng(0).integers(5, 100, 4000)
    batches = by_length(lengths, 32)
    assert padding_share(lengths, batches) < 0.002
    assert len({filled(int(lengths[batch].sum())) for batch in batches}) < 25
    assert np.mean([len(batch) for batch in batches]) > 26


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 6)), min_size=1, max_size=120),
    st.integers(1, 40), st.sampled_from([by_length, by_tokens]),
)  # fmt: skip
def test_by_owner_has_every_row_once_and_those_of_one_owner_side_by_side(rows, size, cut):
    lengths, owners = (np.array(column) for column in zip(*rows, strict=True))
    batches = by_owner(lengths, owners, size, cut)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(rows)))
    for batch in batches:
        changes = int((np.diff(owners[batch]) != 0).sum())
        assert changes == len(set(owners[batch].tolist())) - 1
        if cut is by_length:
            assert len(batch) <= size
        else:
            assert len(batch) == 1 or lengths[batch].sum() <= size * LONG_ROW


def test_owners_of_many_rows_have_batches_of_their_own():
    owners = np.array([0] * 70 + [1] * 3 + [2] * 5)
    lengths = np.full(78, 9)
    *own, last = (set(owners[rows].tolist()) for rows in by_owner(lengths, owners, 32, by_length))
    assert all(each == {0} for each in own)
    assert last == {1, 2}


def test_by_length_begins_with_the_longest():
    lengths = np.random.default_rng(0).integers(5, 200, 2000)
    mean = [lengths[batch].mean() for batch in by_length(lengths, 32)]
    assert mean[0] > 190
    assert np.mean(np.diff(mean) <= 0) > 0.9


@given(st.integers(1, 100_000))
def test_the_ladder_has_few_steps_and_little_filler(tokens):
    step = filled(tokens)
    assert tokens <= step < tokens + max(8, min(32, tokens), tokens / 16)
    assert filled(step) == step
    assert len({filled(number) for number in range(1, 2049)}) == 2 + 32 + 16


@given(ROWS, st.integers(0, 4), st.data())
def test_a_batchs_tokens_are_its_rows_one_behind_the_other(rows, pad_id, data):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=9))
    types = [[data.draw(st.integers(0, 1)) for _ in row] for row in rows]
    batch = TokenBatch.of(TokenizedTexts.of(rows, pad_id, token_type_ids=types), chosen)
    tokens = [token for number in chosen for token in rows[number]]
    filler = filled(len(tokens)) - len(tokens)
    assert batch.ids.tolist() == tokens + [pad_id] * filler
    assert batch.offsets.lengths.tolist() == [len(rows[number]) for number in chosen]
    positions = [at for number in chosen for at in range(len(rows[number]))]
    assert batch.offsets.positions.tolist() == positions + [0] * filler
    kinds = [kind for number in chosen for kind in types[number]]
    if any(map(any, types)):
        assert batch.token_type_ids.tolist() == kinds + [0] * filler
    else:
        assert batch.token_type_ids is None
    assert batch.ids.dtype == batch.offsets.positions.dtype == np.int64


@given(LENGTHS, st.integers(1, 12))
def test_slices_hold_every_row_once_and_about_as_many_tokens(lengths, count):
    batch = np.argsort(-lengths)
    parts = slices(batch, lengths, count)
    assert sorted(np.concatenate(parts).tolist()) == sorted(batch.tolist())
    assert len(parts) == min(count, len(batch))
    assert all(map(len, parts))
    fair, longest = lengths.sum() / len(parts), lengths.max()
    if len(batch) > 4 * count:
        assert all(abs(lengths[part].sum() - fair) <= 4 * longest for part in parts)


def test_slices_are_round_numbers_of_tokens_and_few_of_them():
    lengths = np.random.default_rng(0).integers(5, 60, 3200)
    batches = epoch_batches(lengths, seed=0, epoch=1, batch_size=32)
    parts = [part for batch in batches for part in slices(batch, lengths, 2)]
    halves = [part for batch in batches for part in np.array_split(batch, 2)]
    assert padding_share(lengths, parts) < 0.015 < padding_share(lengths, halves)
    assert len({filled(int(lengths[part].sum())) for part in parts}) < 30


def test_slice_counts_are_multiples_of_the_workers():
    assert [slice_count(tokens, 2) for tokens in (1, 2048, 2049, 4500)] == [2, 2, 4, 6]
    assert slice_count(2049, 1) == 3


@given(LENGTHS, st.integers(1, 200))
def test_chunks_hold_every_row_once_in_order_and_are_full(lengths, tokens):
    parts = list(chunks(lengths, tokens))
    assert np.concatenate(parts).tolist() == list(range(len(lengths)))
    for part, following in pairwise(parts):
        assert lengths[part].sum() <= tokens or len(part) == 1
        assert lengths[part].sum() + lengths[following[0]] > tokens


def test_padding_share():
    lengths = np.array([30, 14, 8, 24])
    assert padding_share(lengths, [np.array([2, 3])]) == 0
    assert padding_share(lengths, [np.array([0, 1])]) == pytest.approx(20 / 64)


@given(LENGTHS)
def test_rows_share_blocks_without_overlap_and_few_blocks_are_left_half_empty(lengths):
    blocks = Blocks.shared(lengths)
    assert blocks.length % 32 == 0 or blocks.length == 48
    assert lengths.max() <= blocks.length < lengths.max() + 32
    order = np.lexsort((blocks.begin, blocks.block))
    expected: dict[int, tuple[int, int]] = {}
    for row in order:
        rows, end = expected.get(blocks.block[row], (0, 0))
        assert (blocks.before[row], blocks.begin[row]) == (rows, end)
        expected[blocks.block[row]] = rows + 1, end + lengths[row]
    assert max(end for _, end in expected.values()) <= blocks.length
    assert sorted(expected) == list(range(len(expected)))
    assert len(expected) <= blocks.count < len(expected) + 4
    # Two blocks that are left half empty could be one.
    assert sum(2 * end <= blocks.length for _, end in expected.values()) <= 1


def test_rows_that_stand_alone_have_few_shapes():
    blocks = Blocks.alone(np.array([9, 3, 4, 1, 7]))
    assert (blocks.count, blocks.length) == (8, 16)
    assert blocks.block.tolist() == [0, 1, 2, 3, 4]
    assert not blocks.begin.any()
    assert not blocks.before.any()
