"""How well scores tell relevant pairs from others, over all rows and query by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lora_bert.errors import AdapterError, DataError
from lora_bert.metrics.classification import Floats, Indices
from lora_bert.metrics.comparison import Comparison, Figure, compared
from lora_bert.metrics.intervals import Interval, ends, redrawn
from lora_bert.metrics.metric import Metric
from lora_bert.metrics.regression import mean_ranks

OF_ROWS = (
    Metric("auc", "ROC AUC", means="a relevant row scores above another"),
    Metric("average_precision", "average precision", means="area under precision and recall"),
)
OF_QUERIES = (
    Metric("mrr_at_10", "MRR@10", means="1 / rank of a query's first relevant row"),
    Metric("ndcg_at_10", "NDCG@10", means="how near a query's rows are to their best order"),
)
METRICS = (*OF_ROWS, *OF_QUERIES)
"""The figures that are shown and can pick the best epoch; those of queries where rows share some.
"""
CUT = 10
_DRAWS, _MOST_DRAWN = 2000, 20_000_000
"""Draws of a bootstrap; of many rows fewer, 200 at least."""


@dataclass(frozen=True)
class RankingScores:
    """What labelled pairs say about a model that scores their relevance.

    Attributes:
        auc: The share of pairs of a relevant row and another in which that one scores higher, 0…1;
            equal scores count half.
        average_precision: The precision at each threshold, weighed by the recall it adds, 0…1.
        mrr_at_10: The mean of 1 / rank of a query's first relevant row, 0 beyond rank 10; of equal
            scores the irrelevant row stands first. None where no query has rows of both kinds.
        ndcg_at_10: Discounted gain of a query's first ten rows, in parts of the best order's, the
            mean over queries; equal scores share their gain. None likewise.
        rows: Number of rows scored.
        queries: Number of queries with rows of both kinds: the others say nothing of an order.
    """

    auc: float
    average_precision: float
    mrr_at_10: float | None
    ndcg_at_10: float | None
    rows: int
    queries: int

    def __repr__(self) -> str:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in self.figures.items())
        return f"RankingScores({figures}, {self.rows:,} rows, {self.queries:,} queries)"

    @property
    def figures(self) -> dict[str, float]:
        """The figures that there are, by name."""
        values = {metric.name: getattr(self, metric.name) for metric in METRICS}
        return {name: float(value) for name, value in values.items() if value is not None}


def ordered_queries(grades: Floats, queries: Indices) -> list[Indices]:
    """The row numbers of each query that has relevant rows and others."""
    order = np.argsort(queries, kind="stable")
    begins = np.flatnonzero(np.diff(queries[order], prepend=-1))
    groups = np.split(order, begins[1:])
    return [rows for rows in groups if len(rows) > 1 and 0 < (grades[rows] > 0).sum() < len(rows)]


def score_ranking(scores: Floats, grades: Floats, queries: Indices) -> RankingScores:
    """Score answered pairs, ``[rows]`` all: relevant are those with a grade above 0.

    Raises:
        DataError: There are no rows, or all are relevant, or none is.
        AdapterError: A score is not a finite number.

    References:
        K. Järvelin, J. Kekäläinen (2002). Cumulated gain-based evaluation of IR techniques. ACM
        Transactions on Information Systems 20(4). Ties as F. McSherry, M. Najork (2008). Computing
        information retrieval performance measures efficiently in the presence of tied scores.
    """
    relevant = grades > 0
    if not relevant.any() or relevant.all():
        what = "is relevant" if not len(grades) or not relevant.any() else "is irrelevant"
        raise DataError(f"Of {len(grades):,} rows none {what}: there is nothing to tell apart.")
    if not np.isfinite(scores).all():
        raise AdapterError(
            f"The model's answers are not numbers for {int((~np.isfinite(scores)).sum()):,} of "
            f"{len(scores):,} rows.",
            hint="Its training has probably diverged: train again with a lower --learning-rate.",
        )
    rows = _of_rows(scores, relevant)(np.ones((1, len(scores))))
    each = _of_queries(scores, grades, queries)
    rank, gain = each.mean(axis=0).tolist() if len(each) else (None, None)
    auc, precision = float(rows["auc"][0]), float(rows["average_precision"][0])
    return RankingScores(auc, precision, rank, gain, len(scores), len(each))


def bootstrap_ranking(
    answers: Sequence[Floats], grades: Floats, queries: Indices, *, seed: int = 0
) -> dict[str, Interval]:
    """95 % bootstrap intervals of the figures, by name: rows drawn anew, or queries.

    Of one model's ``answers`` they are those of its figures; of two models' those of the first's
    less the second's.
    """
    rng, relevant = np.random.default_rng(seed), grades > 0
    figures = [_of_rows(scores, relevant) for scores in answers]
    draws = int(min(_DRAWS, max(200, _MOST_DRAWN / len(grades))))
    drawn: dict[str, list[Floats]] = {metric.name: [] for metric in OF_ROWS}
    for weights in redrawn(np.ones(len(grades), dtype=np.int64), 1, rng, draws):
        found = [of(weights) for of in figures]
        for name, values in drawn.items():
            values.append(found[0][name] - (found[1][name] if len(found) > 1 else 0.0))
    intervals = {name: ends(np.concatenate(values)) for name, values in drawn.items()}
    each = [_of_queries(scores, grades, queries) for scores in answers]
    if not len(each[0]):
        return intervals
    apart = each[0] - (each[1] if len(each) > 1 else 0.0)
    means = [weights @ apart / len(apart) for weights in redrawn(
        np.ones(len(apart), dtype=np.int64), 1, rng)]  # fmt: skip
    both = np.concatenate(means)
    return intervals | {metric.name: ends(both[:, at]) for at, metric in enumerate(OF_QUERIES)}


def compare_ranking(
    other: str, ours: Floats, theirs: Floats, grades: Floats, queries: Indices, *, metric: str,
    settings: Mapping[str, tuple[Any, Any]] | None = None, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare our scores with those of a model called ``other``, ``[rows]`` all.

    The nearer one puts a row further up among all where it is relevant, else further down.
    """
    apart = bootstrap_ranking([ours, theirs], grades, queries, seed=seed)
    both = [score_ranking(scores, grades, queries).figures for scores in (ours, theirs)]
    figures = [Figure(each, both[0][each.name], both[1][each.name], apart[each.name])
               for each in METRICS if each.name in both[0]]  # fmt: skip
    sign = np.where(grades > 0, 1, -1)
    we, they = (sign * mean_ranks(scores) for scores in (ours, theirs))
    return compared(
        other, figures, we > they, they > we, metric=metric, settings=settings, nearer=True
    )


def _of_rows(scores: Floats, relevant: np.ndarray) -> Any:
    """A function of weights ``[draws, rows]``: the figures of rows by name, ``[draws]``."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))  # of rows of equal scores

    def of(weights: Floats) -> dict[str, Floats]:
        mine = np.cumsum(weights[:, order] * relevant[order], axis=1)[:, last]
        others = np.cumsum(weights[:, order] * ~relevant[order], axis=1)[:, last]
        gained = np.diff(mine, axis=1, prepend=0.0)
        passed = np.diff(others, axis=1, prepend=0.0)
        all_mine, all_others = (np.maximum(each[:, -1:], 1e-12) for each in (mine, others))
        above = (passed * (mine - gained / 2)).sum(axis=1) / (all_mine * all_others)[:, 0]
        precision = mine / np.maximum(mine + others, 1e-12)
        return {
            "auc": above,
            "average_precision": (gained * precision).sum(axis=1) / all_mine[:, 0],
        }

    return of


def _of_queries(scores: Floats, grades: Floats, queries: Indices) -> Floats:
    """Reciprocal rank and NDCG of each query with rows of both kinds, ``[queries, 2]``."""
    discounts = 1 / np.log2(np.arange(2, CUT + 2))
    figures = []
    for rows in ordered_queries(grades, queries):
        # Of equal scores, irrelevant rows first.
        order = rows[np.lexsort((grades[rows] > 0, -scores[rows]))]
        rank = 1 + int(np.argmax(grades[order] > 0))
        best = np.sort(grades[rows])[::-1][:CUT] @ discounts[: len(rows)]
        _, ties = np.unique(-scores[order], return_inverse=True)
        shared = (np.bincount(ties, grades[order]) / np.bincount(ties))[ties]
        gain = shared[:CUT] @ discounts[: len(rows)]
        figures.append((1 / rank if rank <= CUT else 0.0, gain / best))
    return np.array(figures, dtype=np.float64).reshape(-1, 2)
