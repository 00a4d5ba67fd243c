"""What every classifier that learns and then answers test rows is measured by."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.data import Row


class Stopwatch:
    """Seconds since it was made: of the clock, and of all the process's threads together."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """``seconds`` and ``fit_cpu_seconds``; the latter hardly depend on what else computes."""
        return {
            "seconds": time.perf_counter() - self._wall,
            "fit_cpu_seconds": time.process_time() - self._cpu,
        }


def judged(answers: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    """Which answers are right, row by row, and the macro-F1 of all of them."""
    from sklearn.metrics import f1_score

    labels = [label for _, label in rows]
    return {
        "correct": [int(one == two) for one, two in zip(answers, labels, strict=True)],
        "macro_f1": float(f1_score(labels, list(answers), average="macro", zero_division=0)),
    }
