"""Many texts in flat arrays; batches of them padded on the right, to their longest only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.tokens.tokenized import TokenizedTexts
from tests.oracle import rows_of

ROWS = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=12), min_size=1, max_size=8)


@given(ROWS, st.integers(0, 4), st.integers(0, 3), st.data())
def test_padded_on_the_right(rows, pad_id, extra, data):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=9))
    longest = max(len(rows[number]) for number in chosen)
    length = longest + extra if extra else None
    found = TokenizedTexts.of(rows, pad_id).pad(chosen, length)
    wide = longest + extra
    assert found.ids.shape == found.mask.shape == (len(chosen), wide)
    for ids, mask, number in zip(found.ids.tolist(), found.mask.tolist(), chosen, strict=True):
        row = rows[number]
        assert ids == row + [pad_id] * (wide - len(row))
        assert mask == [True] * len(row) + [False] * (wide - len(row))
    assert found.token_type_ids is None
    assert found.ids.dtype == np.int64
    assert found.mask.dtype == np.bool_


@given(ROWS, st.data())
def test_token_types_stand_with_their_tokens(rows, data):
    types = [[data.draw(st.integers(0, 1)) for _ in row] for row in rows]
    found = TokenizedTexts.of(rows, 1, token_type_ids=types).pad(range(len(rows)))
    if not any(map(any, types)):
        assert found.token_type_ids is None
        return
    for kinds, given_ in zip(found.token_type_ids.tolist(), types, strict=True):
        assert kinds == given_ + [0] * (found.token_type_ids.shape[1] - len(given_))


@given(ROWS)
def test_rows_and_lengths_are_those_given(rows):
    found = TokenizedTexts.of(rows, 0, truncated=[len(row) > 3 for row in rows])
    assert len(found) == len(rows)
    assert found.lengths.tolist() == [len(row) for row in rows]
    assert rows_of(found) == rows
    assert found.truncated.tolist() == [len(row) > 3 for row in rows]


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_joined_is_as_if_made_at_once(parts):
    whole = TokenizedTexts.of([row for part in parts for row in part], 1)
    found = TokenizedTexts.joined([TokenizedTexts.of(part, 1) for part in parts])
    for name in ("ids", "starts", "truncated"):
        assert np.array_equal(getattr(found, name), getattr(whole, name))
        assert getattr(found, name).dtype == getattr(whole, name).dtype
    assert found.token_type_ids is None


def test_joined_where_only_some_have_types():
    plain, typed = (
        TokenizedTexts.of([[5, 6]], 1),
        TokenizedTexts.of([[7, 8]], 1, token_type_ids=[[0, 1]]),
    )
    for order, expected in (([plain, typed], [0, 0, 0, 1]), ([typed, plain], [0, 1, 0, 0])):
        assert TokenizedTexts.joined(order).token_type_ids.tolist() == expected


def test_types_that_say_nothing_are_none():
    assert TokenizedTexts.of([[5, 6]], 1, token_type_ids=[[0, 0]]).token_type_ids is None


@pytest.mark.parametrize("count", [0, 1])
def test_few_texts(count):
    found = TokenizedTexts.of([[5, 6]] * count, 1)
    assert len(found) == len(found.lengths) == len(found.truncated) == count
    assert len(found.ids) == 2 * count
