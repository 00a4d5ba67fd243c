"""Relative positions: what the distance of two tokens adds to their attention score.

MPNet adds a number a head; DeBERTa lets embeddings of distances meet queries and keys (disentangled
attention, He et al. 2020, arXiv:2006.03654, and 2021, arXiv:2111.09543).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.model.backbone import Backbone

# Those of MPNet, which transformers fixes whatever the configuration says.
_BUCKETS, _FARTHEST = 32, 128


def biases_by_distance(table: Tensor, length: int) -> Tensor:
    """``table [buckets, heads]`` -> what is added to the scores, ``[1, heads, length, length]``."""
    buckets = mpnet_buckets(_apart(length, table.device).neg())
    return F.embedding(buckets, table).permute(2, 0, 1)[None]


def mpnet_buckets(ahead: Tensor) -> Tensor:
    """How far a key stands ahead of its query -> its bucket: exact when near, else logarithmic.

    Keys ahead have the upper half of the buckets (Raffel et al. 2019, arXiv:1910.10683).
    """
    side = _BUCKETS // 2
    exact, far = side // 2, ahead.abs()
    logs = torch.log(far.clamp(min=1).float() / exact) / math.log(_FARTHEST / exact)
    wide = (exact + (logs * (side - exact)).long()).clamp(max=side - 1)
    return torch.where(far < exact, far, wide) + side * (ahead > 0)


@dataclass(frozen=True)
class Distances:
    """The distances that occur between the tokens of a batch.

    Attributes:
        embeddings: ``[distances, hidden]``.
        of_key: Which of them is that of a query and a key, ``[1, 1, length, length]``.
        of_query: The same, seen from the key.
        scale: Of the scores.
    """

    embeddings: Tensor
    of_key: Tensor
    of_query: Tensor
    scale: float

    def of_first_tokens(self) -> Distances:
        """The same where the first token of each row is the only query."""
        return replace(self, of_key=self.of_key[..., :1, :], of_query=self.of_query[..., :1])

    def scores(
        self, query: Tensor, key: Tensor, position_key: Tensor | None, position_query: Tensor | None
    ) -> Tensor:
        """Attention scores, ``[rows, heads, queries, length]``.

        Args:
            query: ``[rows, heads, queries, head size]``.
            key: ``[rows, heads, length, head size]``.
            position_key: What queries meet, ``[1, heads, distances, head size]``; None: nothing.
            position_query: What keys meet.
        """
        scores = query @ key.transpose(-1, -2)
        if position_key is not None:
            scores = scores + _picked(query @ position_key.transpose(-1, -2), self.of_key)
        if position_query is not None:
            found = _picked(key @ position_query.transpose(-1, -2), self.of_query)
            scores = scores + found.transpose(-1, -2)
        return scores * self.scale


def distances_of(backbone: Backbone, length: int) -> Distances:
    """What a DeBERTa needs of the distances between ``length`` tokens."""
    table = backbone.relative
    assert table is not None
    config, span = backbone.config, len(table) // 2
    apart = deberta_buckets(_apart(length, table.device), config.relative_span)
    # Short texts need but a few rows of the table.
    reach = int(apart.max()) if length > 1 else 0
    first, last = max(0, span - reach), min(2 * span - 1, span + reach)
    embeddings = table[first : last + 1]
    if backbone.relative_norm is not None:
        embeddings = backbone.relative_norm(embeddings)
    scale = (config.head_size * (1 + len(config.relative_kinds))) ** -0.5
    of_key = (apart + span).clamp(0, 2 * span - 1) - first
    of_query = (span - apart).clamp(0, 2 * span - 1) - first
    return Distances(embeddings, of_key[None, None], of_query[None, None], scale)


def deberta_buckets(apart: Tensor, span: tuple[int, int]) -> Tensor:
    """Query's place less key's -> the same, beyond some distance in logarithmic buckets.

    ``span`` is the number of buckets a side, or -1 for none, and the farthest distance.
    """
    buckets, farthest = span
    if buckets <= 0:
        return apart
    middle = buckets // 2
    far = apart.abs().clamp(min=middle) / middle
    longest = torch.log(torch.tensor((farthest - 1) / middle))
    logs = torch.ceil(torch.log(far) / longest * (middle - 1)) + middle
    return torch.where(apart.abs() <= middle, apart, (logs * apart.sign()).long())


def _apart(length: int, device: torch.device) -> Tensor:
    at = torch.arange(length, device=device)
    return at[:, None] - at[None, :]


def _picked(scores: Tensor, index: Tensor) -> Tensor:
    """``[rows, heads, tokens, distances]`` -> those of ``index``, ``[rows, heads, tokens, …]``."""
    return scores.gather(-1, index.expand(*scores.shape[:2], *index.shape[-2:]))
