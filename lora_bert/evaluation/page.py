"""The judgement as one HTML file that needs nothing else: no network, no script, no font."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert._version import __version__
from lora_bert.evaluation.judged import Judged
from lora_bert.evaluation.report import decimal, percent, scope_words, setting_words, target_words
from lora_bert.evaluation.result import Evaluation
from lora_bert.files import atomic_file
from lora_bert.metrics.classification import NAMES, PerClass, Scores, metric
from lora_bert.metrics.comparison import Comparison
from lora_bert.metrics.intervals import Interval
from lora_bert.wording import printable

_SHOWN_ROWS = 25
_MATRIX_CLASSES = 20
_SHOWN_CLASSES = 500
"""More would make a page of megabytes; evaluation.json has them."""
_LISTED_CONFUSIONS = 30
_SHOWN_CHARACTERS = 400
_ENOUGH_ROWS = 20
"""Fewer rows seen in training say nothing about how much they flatter."""


def write_report(path: Path, judged: Judged, *, title: str, overwrite: bool = True) -> None:
    """Write the report.

    Args:
        path: The HTML file.
        judged: What was found.
        title: The heading.
        overwrite: Replace it if it exists.

    Raises:
        OutputError: The file cannot be written.
    """
    page = report_page(judged, title=title)
    with atomic_file(path, overwrite=overwrite) as work:
        # Half a surrogate pair, out of broken JSON, has no place in UTF-8.
        work.write_text(page, encoding="utf-8", errors="backslashreplace")


def report_page(judged: Judged, *, title: str) -> str:
    """The report as HTML; texts and labels are escaped."""
    found = judged.evaluation
    bars = _bars(found)
    floor = _floor(min(line.accuracy or 0 for line in found.coverage))

    def curve_y(accuracy: float) -> float:
        """How far down the picture an accuracy is."""
        return 290 - 280 * (accuracy - floor) / (1 - floor)

    page: str = _template().render(
        title=title,
        made=f"lora-bert {__version__}, {date.today().isoformat()}",
        found=found,
        scores=found.scores,
        bars=bars,
        barred=NAMES[_barred(found)],
        scale=bars[0].scale,
        tiles=_tiles(found),
        names=NAMES,
        comparisons=_comparisons(found),
        curve=" ".join(
            f"{40 + 280 * line.coverage:.1f},{curve_y(line.accuracy or 0):.1f}"
            for line in found.coverage
        ),
        curve_y=curve_y,
        curve_ticks=(floor, 1.0),
        classes=_classes(found.scores),
        left_out=max(0, len(found.scores.per_class) - _SHOWN_CLASSES),
        worst_first=len(found.scores.per_class) > _MATRIX_CLASSES,
        matrix=_matrix(found.scores),
        confusions=_confusions(found.scores),
        bins=found.calibration.bins,
        fullest=max(bin.rows for bin in found.calibration.bins),
        wrong=judged.wrong[:_SHOWN_ROWS],
        wrong_count=len(judged.wrong),
        suspects=judged.suspects[:_SHOWN_ROWS],
        suspect_count=len(judged.suspects),
        file=shown(Path(judged.rows.source).name),
        unit=judged.rows.unit,
        ids=bool(judged.rows.ids),
    )
    return page


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": percent, "shown": shown, "points": _points, "decimal": decimal,
        "setting": setting_words, "target": target_words, "scope": scope_words,
    }  # fmt: skip
    source = (files("lora_bert.evaluation") / "page.html").read_text(encoding="utf-8")
    return environment.from_string(source)


def shown(text: str) -> str:
    """A text as the page shows it: no control characters, cut where it is long."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return printable(cut.replace("\n", " ⏎ "))


@dataclass(frozen=True)
class _Bar:
    """One line of the picture of accuracies, or of macro-F1s.

    Attributes:
        name: Of what.
        value: The figure, 0…1.
        interval: Its interval, or None.
        scale: The value at the picture's left end; the right one is 1.
    """

    name: str
    value: float
    interval: Interval | None
    scale: float = 0.0

    @property
    def at(self) -> str:
        """Where the value is, in percent of the width."""
        return self._place(self.value)

    @property
    def low(self) -> str:
        """How far from the left the interval begins, in percent of the width."""
        return self._place(self.interval.low) if self.interval else ""

    @property
    def high(self) -> str:
        """How far from the right it ends."""
        return f"{100 - float(self._place(self.interval.high)):.1f}" if self.interval else ""

    def _place(self, value: float) -> str:
        return f"{100 * (value - self.scale) / (1 - self.scale):.1f}"


def _barred(found: Evaluation) -> str:
    """The metric of the bars: a share that everything it is compared with has, too."""
    return found.metric if found.metric in ("accuracy", "macro_f1") else "accuracy"


def _bars(found: Evaluation) -> list[_Bar]:
    barred = _barred(found)
    of_all = {"accuracy": found.accuracy_interval, "macro_f1": found.macro_f1_interval}
    bars = [_Bar("all rows", metric(barred, found.scores), of_all[barred])]
    if barred == "accuracy" and (overlap := found.overlap) and overlap.rows:
        if overlap.accuracy is not None and overlap.rows >= _ENOUGH_ROWS:
            bars.append(_Bar("texts seen in training", overlap.accuracy, None))
        if overlap.unseen_accuracy is not None:
            bars.append(_Bar("new texts", overlap.unseen_accuracy, overlap.unseen_interval))
    if found.against:
        bars.append(_Bar(found.against.other, found.against[barred].theirs, None))
    if baseline := found.baseline:
        interval = baseline.interval if barred == "accuracy" else None
        bars.append(_Bar("TF-IDF + linear SVM", baseline.comparison[barred].theirs, interval))
    lowest = min(bar.interval.low if bar.interval else bar.value for bar in bars)
    return [replace(bar, scale=_floor(lowest)) for bar in bars]


def _floor(lowest: float) -> float:
    """Where a picture of shares begins: a multiple of 5 % below the lowest."""
    return max(0.0, math.floor(lowest * 20 - 1) / 20)


def _tiles(found: Evaluation) -> list[tuple[str, float, Interval]]:
    """Accuracy and macro-F1, that first which the classifier is steered by."""
    tiles = [
        ("accuracy", found.scores.accuracy, found.accuracy_interval),
        ("macro_f1", found.scores.macro_f1, found.macro_f1_interval),
    ]
    tiles.sort(key=lambda tile: tile[0] != found.metric)
    return [(NAMES[name], value, interval) for name, value, interval in tiles]


def _comparisons(found: Evaluation) -> list[tuple[Comparison, str]]:
    """What it is compared with, and what that is where the name does not say it."""
    both = [(found.against, "")] if found.against else []
    if baseline := found.baseline:
        what = (
            f"{baseline.description}, fitted in {baseline.seconds:.1f} s; nothing of it is tuned."
        )
        both.append((baseline.comparison, what))
    return both


def _classes(scores: Scores) -> Sequence[PerClass]:
    """Every class; where there are many, those with the lowest F1 first."""
    if len(scores.per_class) <= _MATRIX_CLASSES:
        return scores.per_class
    worst = sorted(scores.per_class, key=lambda entry: (not entry.rows + entry.predicted, entry.f1))
    return worst[:_SHOWN_CLASSES]


def _matrix(scores: Scores) -> list[tuple[str, list[tuple[int, float]]]]:
    """A line a true class: counts and their share of the class; empty with many classes."""
    if len(scores.per_class) > _MATRIX_CLASSES:
        return []
    lines = []
    for label, counts in zip(scores.labels, scores.confusion.tolist(), strict=True):
        rows = max(1, sum(counts))
        lines.append((label, [(count, count / rows) for count in counts]))
    return lines


def _confusions(scores: Scores) -> list[tuple[str, str, int]]:
    """The most frequent confusions: true class, predicted class, rows."""
    wrong = scores.confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_LISTED_CONFUSIONS]
    pairs = [divmod(int(at), len(wrong)) for at in order]
    return [
        (scores.labels[true], scores.labels[predicted], int(wrong[true, predicted]))
        for true, predicted in pairs
        if wrong[true, predicted]
    ]


def _points(share: float) -> str:
    """A difference of shares in points of a percent, signed."""
    return f"{100 * share:+.1f}"
