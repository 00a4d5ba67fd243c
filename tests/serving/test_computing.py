"""Rows of many requests at once are what each adapter says alone."""

from __future__ import annotations

import numpy as np
import pytest

from lora_bert.serving.asked import rows_of
from lora_bert.serving.computing import compute

TEXTS = ["good tasty", "bad", "太慢了 slow", "", "good tasty", "Good tasty", "late " * 30]
PAIRS = [("good", "tasty good cold awful fast " * 8), ("bad", "slow"), ("good", "bad " * 40)]


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_each_row_is_what_its_adapter_says_alone(alone, batch_size):
    names = ["reviews", "tagger", "stars", "pairs", "reader", "several", "relevant"]
    asked, wanted = [], []
    for name in names:
        predictor = alone.predictor(name)
        texts = PAIRS if predictor.manifest.inputs == 2 else TEXTS
        tokens = predictor.tokenizer.encode(texts)
        rows = rows_of(predictor, tokens)
        assert len(rows) == len(texts)
        assert sum(row.tokens for row in rows) == len(tokens.ids)
        asked += [row.work for row in rows]
        wanted += list(predictor.values(texts))
    order = np.random.default_rng(batch_size).permutation(len(asked))
    outputs = compute([asked[at] for at in order], batch_size)
    for at, found in zip(order, outputs, strict=True):
        task, tokens = asked[at].predictor.task, asked[at].tokens
        (values,) = task.row_values(found, tokens)
        assert (
            task.apart(np.array([values]), np.array([wanted[at]]))[0] < 1e-5
            if isinstance(values, np.ndarray)
            else np.allclose(_numbers(values), _numbers(wanted[at]), atol=1e-4)
        )


def _numbers(values):
    return values.probabilities() if callable(values.probabilities) else values.probabilities


def test_equal_tokens_of_one_adapter_are_one_row(alone):
    one, other = alone.predictor("reviews"), alone.predictor("stars")
    keys = [row.key for row in rows_of(one, one.tokenizer.encode(["good", "good ", "bad"]))]
    assert keys[0] == keys[1] != keys[2]
    assert rows_of(other, other.tokenizer.encode(["good"]))[0].key not in keys


def test_a_text_that_several_are_asked_is_computed_for_them_together(alone, monkeypatch):
    from lora_bert.serving import computing

    shared = list[int]()
    answer_all = computing.answer_all

    def watched(engines, tokens, batch_size):
        shared.append(len(engines))
        return answer_all(engines, tokens, batch_size)

    monkeypatch.setattr(computing, "answer_all", watched)
    asked = []
    for name in ("reviews", "stars", "several"):
        predictor = alone.predictor(name)
        asked += [row.work for row in rows_of(predictor, predictor.tokenizer.encode(["good", "x"]))]
    reviews = alone.predictor("reviews")
    asked.append(rows_of(reviews, reviews.tokenizer.encode(["alone"]))[0].work)
    outputs = compute(asked, 8)
    assert shared == [3]
    np.testing.assert_allclose(
        reviews.task.values(outputs[-1]), reviews.values(["alone"]), atol=1e-5
    )
