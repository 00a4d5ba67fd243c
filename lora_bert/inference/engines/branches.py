"""Exported branches on one trunk: the trunk's graph runs once, and each branch's on what it gives.

For several of them at once there is what :mod:`.many_adapters` has for adapters on a backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lora_bert.inference.engines.engine import (
    Compute,
    ComputeOn,
    Engine,
    answer,
    compute_batches,
    empty_logits,
    logits_at,
)
from lora_bert.runtime.threads import Workers
from lora_bert.tokens.tokenized import TokenizedTexts


class GraphEngine(Engine, Protocol):
    """The engine of one graph, which may be a trunk's, or a branch's."""

    def logits(
        self, texts: TokenizedTexts, rows: np.ndarray, hidden: np.ndarray | None = None
    ) -> np.ndarray:
        """As that of an engine; of a trunk the hidden states, ``[rows, length, hidden]``."""

    def side_by_side(self, texts: int | None) -> tuple[ComputeOn, Workers]:
        """As that of an engine."""


@dataclass(frozen=True)
class BranchEngine:
    """Computes a branch on its trunk.

    Attributes:
        trunk: What is shared by all branches on it.
        branch: The layers above, with the head.
        own_bytes: Of the branch's files.
    """

    trunk: GraphEngine
    branch: GraphEngine
    own_bytes: int

    def __str__(self) -> str:
        return f"{self.trunk}, on a shared trunk"

    @property
    def name(self) -> str:
        """As ``--engine`` calls it."""
        return self.trunk.name

    @property
    def outputs(self) -> int:
        """How many the head has."""
        return self.branch.outputs

    @property
    def of_tokens(self) -> bool:
        """Whether the head reads each token by itself."""
        return self.branch.of_tokens

    def cut(self, lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
        """The rows in batches, as the trunk is fastest with."""
        return self.trunk.cut(lengths, batch_size)

    def logits(self, texts: TokenizedTexts, rows: np.ndarray) -> np.ndarray:
        """The logits of one batch."""
        return self.branch.logits(texts, rows, self.trunk.logits(texts, rows))

    def side_by_side(self, texts: int | None) -> tuple[Compute, Workers]:
        """The threads of the trunk, on which the branch is computed too."""
        (below, threads), (above, _) = (
            part.side_by_side(texts) for part in (self.trunk, self.branch)
        )
        return lambda texts, rows: above(texts, rows, below(texts, rows)), threads


def answer_rows(
    engines: Sequence[BranchEngine], tokens: Sequence[TokenizedTexts], batch_size: int
) -> list[np.ndarray]:
    """Each engine its own texts: what :func:`.answer` gives, for each engine."""
    pairs = zip(engines, tokens, strict=True)
    return [answer(engine, own, batch_size) for engine, own in pairs]


def answer_all(
    engines: Sequence[BranchEngine], tokens: TokenizedTexts, batch_size: int
) -> list[np.ndarray]:
    """Every engine the same texts; all are on one trunk. As :func:`answer_rows`."""
    outputs = [empty_logits(engine, tokens) for engine in engines]
    trunk, branches = engines[0].trunk, [engine.branch for engine in engines]
    batches = trunk.cut(tokens.lengths, batch_size) if len(tokens) else []
    if len(batches) > 1:
        below, threads = trunk.side_by_side(len(tokens))
        above = [branch.side_by_side(len(tokens))[0] for branch in branches]
    else:
        below, threads = trunk.logits, Workers(1)
        above = [branch.logits for branch in branches]

    def compute(rows: np.ndarray) -> None:
        hidden = below(tokens, rows)
        for engine, branch, found in zip(engines, above, outputs, strict=True):
            found[logits_at(engine, tokens, rows)] = branch(tokens, rows, hidden)

    compute_batches([(compute, rows) for rows in batches], threads, len(tokens))
    return outputs
