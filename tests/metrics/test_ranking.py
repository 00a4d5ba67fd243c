"""Figures of relevance: those of scikit-learn, and of orders that are easy to see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from lora_bert.errors import AdapterError, DataError
from lora_bert.metrics.ranking import (
    bootstrap_ranking,
    compare_ranking,
    score_ranking,
)


def scored(scores, grades, queries=None):
    rows = len(scores)
    numbers = np.arange(rows) if queries is None else np.array(queries)
    return score_ranking(np.array(scores, float), np.array(grades, float), numbers)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), rows=st.integers(2, 30))
def test_rows_as_scikit_learn(data: st.DataObject, rows: int) -> None:
    grades = data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=rows, max_size=rows))
    scores = data.draw(st.lists(st.integers(0, 8), min_size=rows, max_size=rows))
    if len(set(grades)) < 2:
        with pytest.raises(DataError, match="nothing to tell apart"):
            scored(scores, grades)
        return
    found = scored(scores, grades)
    assert found.auc == pytest.approx(roc_auc_score(grades, scores))
    assert found.average_precision == pytest.approx(average_precision_score(grades, scores))
    assert found.mrr_at_10 is found.ndcg_at_10 is None
    assert list(found.figures) == ["auc", "average_precision"]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rows=st.integers(2, 25))
def test_gain_as_scikit_learn(data: st.DataObject, rows: int) -> None:
    grades = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=rows, max_size=rows))
    scores = data.draw(st.lists(st.integers(0, 6), min_size=rows, max_size=rows))
    if not 0 < sum(grade > 0 for grade in grades) < rows:
        return
    found = scored(scores, grades, [7] * rows)
    assert found.ndcg_at_10 == pytest.approx(ndcg_score([grades], [scores], k=10))


def test_the_first_relevant_row_of_each_query() -> None:
    found = scored([3, 2, 1, 1, 2, 3], [0, 1, 0, 0, 1, 0], [0, 0, 0, 1, 1, 1])
    assert found.mrr_at_10 == 0.5
    assert found.queries == 2
    # Of equal scores the irrelevant row stands first; beyond the tenth place nothing is gained.
    assert scored([1, 1], [1, 0], [0, 0]).mrr_at_10 == 0.5
    assert scored(range(12), [1, *[0] * 11], [0] * 12).mrr_at_10 == 0


def test_queries_of_one_kind_say_nothing_of_an_order() -> None:
    found = scored([1, 2, 3, 4, 5], [0, 1, 1, 1, 0], [0, 0, 1, 1, 2])
    assert (found.queries, found.mrr_at_10, found.ndcg_at_10) == (1, 1.0, 1.0)


def test_no_numbers_are_no_scores() -> None:
    with pytest.raises(AdapterError, match="not numbers for 1 of 2 rows"):
        scored([np.nan, 1], [0, 1])


def test_intervals_hold_the_figures_and_comparisons_tell_who_is_better() -> None:
    rng = np.random.default_rng(0)
    queries = np.repeat(np.arange(60), 5)
    grades = (rng.random(300) < 0.3).astype(float)
    good, poor = grades + rng.normal(0, 0.5, 300), grades + rng.normal(0, 5, 300)
    figures = score_ranking(good, grades, queries).figures
    intervals = bootstrap_ranking([good], grades, queries)
    assert intervals.keys() == figures.keys()
    for name, (low, high) in intervals.items():
        assert low < figures[name] < high
        assert high - low < 0.3
    compared = compare_ranking("other", good, poor, grades, queries, metric="ndcg_at_10")
    assert compared.verdict == "better in NDCG@10"
    same = compare_ranking("other", good, good, grades, queries, metric="auc")
    assert all(figure.difference == 0 for figure in same.figures)
