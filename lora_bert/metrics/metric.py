"""What a figure of a classifier's answers is called, and whether more of it is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A figure of how good answers are.

    Attributes:
        name: In JSON, options and the attributes of scores: ``macro_f1``.
        shown: In sentences and tables: ``macro-F1``.
        higher_is_better: False for losses and errors.
        share: Whether it lies in 0…1 and is shown in percent; others are numbers of any size.
        means: What it is in a few words, where its name does not say it.
    """

    name: str
    shown: str
    higher_is_better: bool = True
    share: bool = True
    means: str = ""

    @property
    def best(self) -> float:
        """Where nothing is left to gain."""
        return 1.0 if self.higher_is_better else 0.0
