"""The benchmarks by name; each is a module of that name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol, cast

from benchmarks.options import Options
from benchmarks.record import Goal, Record, Table

NAMES = ("train", "run", "predict", "one", "startup", "growth", "roof", "memory", "session", "many",
         "branches", "depths", "serve", "soak", "accuracy", "few-rows", "defaults", "confirm",
         "layers", "mfu", "exactness")  # fmt: skip
"""In the order of the report."""


class Benchmark(Protocol):
    """What a benchmark's module has.

    ``plot(record, path)`` too where a picture says something, and ``PAGE`` where the tables stand
    on a page of ``docs`` that is written by hand.
    """

    SUMMARY: str
    NOTES: str

    def measure(self, options: Options) -> Record:
        """Measure everything; the record is saved on the way."""

    def tables(self, record: Record) -> list[Table]:
        """What to show."""

    def goals(self, record: Record) -> list[Goal]:
        """What must be reached; of an empty record, what was not measured."""


def benchmark(name: str) -> Benchmark:
    """The module of a benchmark."""
    return cast("Benchmark", importlib.import_module(f"benchmarks.{name.replace('-', '_')}"))


def draw(name: str, record: Record, results: Path) -> Path | None:
    """Draw the benchmark's picture beside its results, where it has one."""
    module: Any = benchmark(name)
    if not hasattr(module, "plot") or not record.figures:
        return None
    path = results / f"{record.name}.png"
    module.plot(record, path)
    return path
