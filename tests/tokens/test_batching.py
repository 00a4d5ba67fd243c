"""Batches to predict with: every row once, the longest first."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.tokens.batching import by_length


@given(st.lists(st.integers(1, 40), min_size=1, max_size=200), st.integers(1, 33))
def test_by_length_has_every_row_once_longest_first(lengths, size):
    batches = by_length(np.array(lengths), size)
    rows = [row for batch in batches for row in batch.tolist()]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert 1 <= len(batches[-1]) <= size
