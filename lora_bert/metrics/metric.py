"""What a figure of a classifier's answers is called, and whether more of it is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A figure that can pick the best epoch.

    Attributes:
        name: In JSON, options and the attributes of scores: ``macro_f1``.
        shown: In sentences and tables: ``macro-F1``.
        higher_is_better: False for losses and errors.
    """

    name: str
    shown: str
    higher_is_better: bool = True
