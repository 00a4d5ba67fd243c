"""The judgement as one HTML file that needs nothing else: no network, no script, no font."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lora_bert._version import __version__
from lora_bert.data.examples import Examples
from lora_bert.data.texts import columns_of
from lora_bert.evaluation import report
from lora_bert.evaluation.result import Evaluation
from lora_bert.evaluation.row_tables import table_rows
from lora_bert.files import atomic_file
from lora_bert.metrics.classification import PerClass, Scores
from lora_bert.metrics.comparison import ACCURACY, Comparison
from lora_bert.metrics.intervals import Interval
from lora_bert.metrics.label_thresholds import LabelCurve
from lora_bert.metrics.regression import Errors
from lora_bert.metrics.tagging import Mark, MarkedText
from lora_bert.wording import printable

_SHOWN_ROWS = 25
_MATRIX_CLASSES = 20
_SHOWN_CLASSES = 500
"""More would make a page of megabytes; evaluation.json has them."""
_LISTED_CONFUSIONS = 30
_DRAWN_LABELS = 60
_DRAWN_ROWS = 1500
_BARS = 40
_SHOWN_CHARACTERS = 400
_ENOUGH_ROWS = 20
"""Fewer rows seen in training say nothing about how much they flatter."""


def write_report(
    path: Path, evaluation: Evaluation, rows: Examples, *, title: str, overwrite: bool = True
) -> None:
    """Write the report on ``rows`` as an HTML file, its heading ``title``.

    Raises:
        OutputError: The file cannot be written.
    """
    page = report_page(evaluation, rows, title=title)
    with atomic_file(path, overwrite=overwrite) as work:
        # Half a surrogate pair, out of broken JSON, has no place in UTF-8.
        work.write_text(page, encoding="utf-8", errors="backslashreplace")


def report_page(evaluation: Evaluation, rows: Examples, *, title: str) -> str:
    """The report as HTML, of the parts that the judgement has; texts and labels are escaped."""
    wrong, suspects = (table_rows(evaluation, table, rows) for table in ("wrong", "suspects"))
    figures = report.first(evaluation.metric, evaluation.shown)
    intervals = evaluation.intervals
    page: str = _template().render(
        title=title,
        made=f"lora-bert {__version__}, {date.today().isoformat()}",
        evaluation=evaluation,
        scores=evaluation.scores,
        classes=evaluation.by_class,
        tiles=[figure for figure in figures if figure.name in intervals],
        numbers=[
            each for each in evaluation.shown if not each.share and each.name not in intervals
        ],
        value=lambda figure: report.figure_text(evaluation, figure, interval=False),
        comparisons=_comparisons(evaluation),
        slices=report.slice_cells(evaluation.slices, figures),
        wrong=wrong[:_SHOWN_ROWS],
        wrong_count=len(wrong),
        suspects=suspects[:_SHOWN_ROWS],
        suspect_count=len(suspects),
        file=shown(Path(rows.source).name),
        unit=rows.unit,
        ids=bool(rows.ids),
        curves=(drawn := _curves(evaluation)),
        labels_left_out=len(evaluation.curves) - len(drawn),
        line=_line,
        numbers_drawn=_numbers(evaluation.errors) if evaluation.errors else None,
        residuals=table_rows(evaluation, "residuals", rows, most=_SHOWN_ROWS),
        marked=[_marked(each, rows) for each in evaluation.marked[:_SHOWN_ROWS]],
        pairs=rows.inputs > 1,
        **_bars(evaluation),
        **(_curve(evaluation) if evaluation.coverage else {}),
        **(_classes(evaluation.by_class) if evaluation.by_class else {}),
    )
    return page


def _marked(marked: MarkedText, rows: Examples) -> dict[str, Any]:
    """A text in pieces, each with the type it has and whether both sides say so: said, and true."""
    said, true = (_pieces(marked.text, marks) for marks in (marked.said, marked.true))
    true += [(text, "true answer, not in the text", False) for text in marked.nowhere]
    asked = columns_of(rows.texts)[0][marked.row] if rows.inputs > 1 else ""
    return {"at": rows.mark(marked.row), "asked": asked, "said": said,
            "true": true if true != said else []}  # fmt: skip


def _pieces(text: str, marks: Sequence[Mark]) -> list[tuple[str, str, bool]]:
    pieces, last = [], 0
    for start, end, kind, shared in marks:
        pieces += [(text[last:start], "", True), (text[start:end], kind, shared)]
        last = end
    return [piece for piece in (*pieces, (text[last:], "", True)) if piece[0]]


def _curves(evaluation: Evaluation) -> list[tuple[LabelCurve, PerClass]]:
    """The labels whose thresholds are drawn: all, or those with the lowest F1."""
    if evaluation.by_label is None:
        return []
    known = {curve.label: curve for curve in evaluation.curves}
    scores = evaluation.by_label
    many = len(scores.per_label) > _DRAWN_LABELS
    entries = scores.worst[:_DRAWN_LABELS] if many else scores.per_label
    return [(known[entry.label], entry) for entry in entries]


def _line(curve: LabelCurve, shares: Sequence[float]) -> str:
    """The points of a line in the picture of a label's thresholds."""
    return " ".join(
        f"{8 + 144 * at:.1f},{100 - 92 * share:.1f}"
        for at, share in zip(curve.at, shares, strict=True)
    )


def _numbers(errors: Errors) -> dict[str, Any]:
    """The pictures of predicted against true numbers, and of their errors."""
    chosen = np.arange(len(errors.true))
    if sampled := len(chosen) > _DRAWN_ROWS:
        chosen = np.random.default_rng(0).permutation(len(chosen))[:_DRAWN_ROWS]
    both = np.stack([errors.true, errors.predicted])
    low, high = float(both.min()), float(both.max())
    place = 280 * (both[:, chosen] - low) / max(high - low, 1e-300)
    off = errors.predicted - errors.true
    widest = float(np.abs(off).max()) or 1.0
    counts, _ = np.histogram(off, bins=_BARS, range=(-widest, widest))
    width = 280 / _BARS
    return {
        "points": [(f"{40 + x:.1f}", f"{290 - y:.1f}") for x, y in place.T.tolist()],
        "sampled": sampled,
        "low": f"{low:.3g}",
        "high": f"{high:.3g}",
        "widest": f"{widest:.3g}",
        "bars": [(f"{40 + width * at + 0.5:.1f}", f"{width - 1:.1f}", 270 * rows / counts.max(),
                  rows) for at, rows in enumerate(counts.tolist())],
    }  # fmt: skip


def _curve(evaluation: Evaluation) -> dict[str, Any]:
    """The picture of accuracy against coverage."""
    floor = _floor(min(line.accuracy or 0 for line in evaluation.coverage))

    def curve_y(accuracy: float) -> float:
        """How far down the picture an accuracy is."""
        return 290 - 280 * (accuracy - floor) / (1 - floor)

    points = (f"{40 + 280 * line.coverage:.1f},{curve_y(line.accuracy or 0):.1f}"
              for line in evaluation.coverage)  # fmt: skip
    return {"curve": " ".join(points), "curve_y": curve_y, "curve_ticks": (floor, 1.0)}


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("lora_bert", "evaluation"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "percent": report.percent, "shown": shown, "decimal": report.decimal,
        "setting": report.setting_words, "target": report.target_words,
        "scope": report.scope_words, "errors": report.errors_words,
        "points": lambda share: f"{100 * share:+.1f}",
    }  # fmt: skip
    return environment.get_template("page.html")


def shown(text: str) -> str:
    """A text as the page shows it: no control characters, cut where it is long."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return printable(cut.replace("\n", " ⏎ "))


class _Bar(NamedTuple):
    """One line of the picture of accuracies, or of macro-F1s: shares in 0…1."""

    name: str
    value: float
    interval: Interval | None = None


def _bars(evaluation: Evaluation) -> dict[str, Any]:
    """A bar for all rows and for everything they can be compared with; none without classes."""
    # A share that everything it is compared with has, too.
    intervals = evaluation.intervals
    shares = (figure for figure in evaluation.shown if figure.name in intervals and figure.share)
    barred = next((figure for figure in shares if figure.name == evaluation.metric), ACCURACY)
    if barred.name not in intervals:
        return {"bars": []}
    bars = [_Bar("all rows", getattr(evaluation.scores, barred.name), intervals[barred.name])]
    if barred is ACCURACY and (overlap := evaluation.overlap) and overlap.rows:
        if overlap.accuracy is not None and overlap.rows >= _ENOUGH_ROWS:
            bars.append(_Bar("texts seen in training", overlap.accuracy))
        if overlap.unseen_accuracy is not None:
            bars.append(_Bar("new texts", overlap.unseen_accuracy, overlap.unseen_interval))
    if evaluation.against:
        bars.append(_Bar(evaluation.against.other, evaluation.against[barred.name].theirs))
    if baseline := evaluation.baseline:
        interval = baseline.interval if barred is ACCURACY else None
        theirs = baseline.comparison[barred.name].theirs
        bars.append(_Bar(baseline.comparison.other, theirs, interval))
    lowest = min(bar.interval.low if bar.interval else bar.value for bar in bars)
    scale = _floor(lowest)

    def place(value: float) -> str:
        """Where a value is, in percent of the picture's width."""
        return f"{100 * (value - scale) / (1 - scale):.1f}"

    return {"bars": bars, "barred": barred.shown, "scale": scale, "place": place}


def _floor(lowest: float) -> float:
    """Where a picture of shares begins: a multiple of 5 % below the lowest."""
    return max(0.0, math.floor(lowest * 20 - 1) / 20)


def _comparisons(evaluation: Evaluation) -> list[tuple[Comparison, str]]:
    """What it is compared with, and what that is where the name does not say it."""
    both = [(evaluation.against, "")] if evaluation.against else []
    if baseline := evaluation.baseline:
        fitted = f"{baseline.description}, fitted in {baseline.seconds:.1f} s"
        both.append((baseline.comparison, f"{fitted}; nothing of it is tuned."))
    return both


def _classes(scores: Scores) -> dict[str, Any]:
    """The tables of the classes and of the confusions: a matrix, or with many classes a list."""
    labels, many = scores.labels, len(scores.per_class) > _MATRIX_CLASSES
    lines = zip(labels, scores.confusion.tolist(), scores.shares.tolist(), strict=True)
    matrix = [(label, list(zip(*line, strict=True))) for label, *line in lines]
    return {
        "listed": scores.worst[:_SHOWN_CLASSES] if many else scores.per_class,
        "left_out": max(0, len(labels) - _SHOWN_CLASSES),
        "worst_first": many,
        "matrix": [] if many else matrix,
        "confusions": [(labels[true], labels[predicted], rows)
                       for true, predicted, rows in scores.confusions[:_LISTED_CONFUSIONS]],
    }  # fmt: skip
