"""The same batches for everyone: what the steady-state measurements step through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.ratios import shuffled


@dataclass(frozen=True)
class Plan:
    """Full batches of like length in random order.

    Everyone steps through them twice and is timed the second time: a shape that is met for the
    first time costs the libraries up to a fifth more, which a run of thousand steps never notices.

    Attributes:
        batches: Row numbers, a list a batch.
        useful: Tokens in them; ``padded``: with padding to each batch's longest row.
    """

    batches: list[list[int]]
    useful: int
    padded: int

    @property
    def rows(self) -> int:
        """Rows in the batches."""
        return sum(map(len, self.batches))

    @property
    def padding(self) -> float:
        """The share of the tokens that is padding, 0..1."""
        return 1 - self.useful / self.padded


def plan(lengths: Sequence[int], size: int) -> Plan:
    """Sort rows by length, cut them into batches of ``size`` (a rest is left out), shuffle those.

    Args:
        lengths: Tokens per row.
        size: Rows per batch.
    """
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    cut = [order[at : at + size] for at in range(0, len(order) - size + 1, size)]
    batches = [cut[at] for at in shuffled(len(cut), seed=0)]
    return Plan(
        batches=batches,
        useful=sum(lengths[row] for batch in batches for row in batch),
        padded=sum(len(batch) * max(lengths[row] for row in batch) for batch in batches),
    )


def longest_first(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Row numbers in batches of like length, the longest first, every row once."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    return [order[at : at + size] for at in range(0, len(order), size)]
