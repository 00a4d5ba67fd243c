"""Rows to look at where rows have several labels."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lora_bert.metrics.label_rows import label_mistakes, label_suspects
from lora_bert.metrics.suspects import suspects


def test_the_surest_wrong_answer_of_each_row():
    scores = np.array([[0.9, 0.2], [0.6, 0.9], [0.1, 0.2]])
    true = np.array([[1, 0], [0, 0], [1, 1]], dtype=bool)
    found = label_mistakes(scores, scores >= 0.5, true)
    # The third has both labels and none was answered: that it lacks the first is surer.
    assert [tuple(entry) for entry in found] == [(1, 1, 0.9), (2, 2, 0.9)]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_one_label_is_looked_at_as_two_classes_are(data):
    rows = data.draw(st.integers(1, 15))
    true = data.draw(arrays(np.bool_, (rows, 1)))
    scores = data.draw(arrays(np.float64, (rows, 1), elements=st.floats(0.0625, 0.9375, width=16)))
    ours = [(each.row, each.suggested == 0) for each in label_suspects(scores, true)]
    both = np.concatenate([1 - scores, scores], axis=1)
    theirs = [(each.row, bool(each.suggested)) for each in suspects(both, true[:, 0].astype(int))]
    assert sorted(ours) == sorted(theirs)
