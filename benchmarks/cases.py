"""A set at a size on a backbone: who is measured on it under which name, and what was found."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.data import E5, Row
from benchmarks.labelled_sets import BACKBONES, CHINESE
from benchmarks.measure import Contender, alternate
from benchmarks.options import Options
from benchmarks.record import Record, number

SEEDS = (42, 43, 44)
THREADS = os.environ.get("OMP_NUM_THREADS", "all")
"""Of every contender. One thread waits for no other: on a busy machine its CPU seconds are work."""
WORDS = "TF-IDF + linear SVM"
MEAN = "logistic regression, frozen features, mean"
FIRST = "logistic regression, frozen features, first token"
LINEAR = (WORDS, MEAN, FIRST)


@dataclass(frozen=True)
class Case:
    """Which rows, how many of each class (None: all), and which backbone."""

    data: str
    size: int | None
    backbone: str = E5

    def __str__(self) -> str:
        rows = "all rows" if self.size is None else f"{self.size} a class"
        return f"{self.data}, {rows}" + (f", {self.backbone}" if self.backbone != E5 else "")

    def key(self, label: str) -> str:
        """The contender's name in the record."""
        return f"{self}: {label}"


def cases(sizes: Sequence[int | None]) -> Iterator[Case]:
    """Fewest rows first, in them most classes first."""
    for size in sizes:
        for data, backbones in BACKBONES.items():
            for backbone in backbones:
                yield Case(data, size, backbone)


def our_contender(case: Case, label: str, given: dict[str, Any], **options: Any) -> Contender:
    """``lora_bert.train`` with these options."""
    return Contender(case.key(label), "benchmarks.public:by_itself", {**given, **options},
                     scratch=True)  # fmt: skip


def linear_contenders(case: Case, given: dict[str, Any]) -> list[Contender]:
    """The classifiers that train no backbone."""
    features = "benchmarks.peers.classic:logistic_regression"
    characters = {"characters": case.data in CHINESE}
    return [
        Contender(case.key(WORDS), "benchmarks.peers.classic:tfidf_svm", {**given, **characters}),
        Contender(case.key(MEAN), features, {**given, "pooling": "mean"}),
        Contender(case.key(FIRST), features, {**given, "pooling": "cls"}),
    ]


def measure_seed(
    contenders: Sequence[Contender], options: Options, record: Record, *, round_number: int
) -> None:
    """Whatever is missing of one seed; ``--only`` chooses by a part of the name."""
    chosen = [one for one in contenders
              if not options.only or any(word in one.name for word in options.only)]  # fmt: skip
    alternate(chosen, replace(options, only=()), record, rounds=1, first=round_number,
              show=lambda raw: f"{percent(raw):.1f} % in {raw['fit_cpu_seconds']:.0f} CPU s",
              )  # fmt: skip


def earlier_epochs(rows: Sequence[Row]) -> int:
    """As many as show 600 rows of each class and 4,000 in all, 3 at least and 20 at most."""
    classes = len({label for _, label in rows})
    return min(20, max(3, math.ceil(max(4000, 600 * classes) / (0.8 * len(rows)))))


def percent(raw: dict[str, Any]) -> float:
    """Of the rows, those that are right."""
    return 100 * sum(raw["correct"]) / len(raw["correct"])


def mean(record: Record, key: str, figure: str | Callable[[dict[str, Any]], float]) -> float:
    """Over the seeds."""
    read = figure if callable(figure) else lambda raw: float(raw[figure])
    return statistics.mean(read(raw) for raw in record.figures[key])


def cell(record: Record, key: str) -> str:
    """Accuracy in % and CPU seconds."""
    if not record.figures.get(key):
        return "-"
    cost = number(mean(record, key, "fit_cpu_seconds"))
    return f"{mean(record, key, percent):.1f} ({cost})"
