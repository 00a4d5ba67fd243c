"""The judgement as text for a terminal: a summary and two tables, never wider than asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lora_bert.evaluation.comparison import Comparison
from lora_bert.evaluation.display import cells, column, fit, printable, wrapped
from lora_bert.evaluation.intervals import Interval
from lora_bert.evaluation.metrics import PerClass, Scores
from lora_bert.evaluation.overlap import Overlap
from lora_bert.evaluation.threshold import Threshold

if TYPE_CHECKING:
    from lora_bert.evaluation.result import Evaluation

MINIMUM_WIDTH = 60
"""Below this many columns the tables would say nothing; a smaller ``width`` counts as this."""

_MATRIX_CLASSES = 20
_LISTED_CONFUSIONS = 15
_GAP = "  "


def percent(value: float, interval: Interval | None = None) -> str:
    """A share as a percentage: ``90.3 % (95 % interval 89.1–91.5)``.

    An interval that is a point is left out: it says that all rows came out alike, no more.
    """
    text = f"{100 * value:.1f} %"
    if interval is None or interval.low == interval.high:
        return text
    return f"{text} (95 % interval {100 * interval.low:.1f}–{100 * interval.high:.1f})"


def summary_lines(found: Evaluation, *, width: int = 80) -> str:
    """The figures of the whole, a line each; below them what they are compared with."""
    scores = found.scores
    lines = [
        ("accuracy", percent(scores.accuracy, found.accuracy_interval)),
        ("macro-F1", percent(scores.macro_f1, found.macro_f1_interval)),
        ("weighted F1", percent(scores.weighted_f1)),
        ("log loss", f"{scores.log_loss:.3f}"),
        ("calibration", f"error {percent(found.calibration.error)} (exact probabilities would show "
         f"{percent(found.calibration.by_chance)})"),
        ("rows", f"{scores.rows:,}"),
        *_overlap_lines(found.overlap),
        *_threshold_lines(found.threshold),
    ]  # fmt: skip
    parts = [lines, _against_lines(found.against, width), _baseline_lines(found)]
    return "\n\n".join(_named_lines(part, width) for part in parts if part)


def _overlap_lines(overlap: Overlap | None) -> list[tuple[str, str]]:
    if overlap is None or not overlap.rows:
        return []
    seen = f"{overlap.rows:,} of the texts stand in the training rows too"
    if overlap.unseen_accuracy is None:
        return [("seen", f"{seen}: none is new")]
    figure = percent(overlap.unseen_accuracy, overlap.unseen_interval)
    return [("seen", f"{seen}; accuracy on the others {figure}")]


def _threshold_lines(threshold: Threshold | None) -> list[tuple[str, str]]:
    if threshold is None:
        return []
    return [
        ("threshold", f"{threshold.value:.2f} for '{fit(threshold.label, 20)}' is best here; "
         f"chosen on half the rows it gives the others macro-F1 {percent(threshold.macro_f1)}, "
         f"0.5 gives {percent(threshold.usual)}")
    ]  # fmt: skip


def _against_lines(against: Comparison | None, width: int) -> list[tuple[str, str]]:
    if against is None:
        return []
    low, high = (100 * end for end in against.interval)
    return [
        ("against", fit(against.other, max(width, MINIMUM_WIDTH) - 13)),
        ("accuracy", percent(against.accuracy)),
        ("difference", f"{100 * against.difference:+.1f} points (95 % interval {low:+.1f} to "
         f"{high:+.1f}); {against.only_ours:,} rows only this one has right, "
         f"{against.only_theirs:,} only the other; McNemar p = {against.p_value:.2g}"),
    ]  # fmt: skip


def _baseline_lines(found: Evaluation) -> list[tuple[str, str]]:
    baseline = found.baseline
    if baseline is None:
        return []
    ahead = 100 * (found.scores.accuracy - baseline.accuracy)
    return [
        ("baseline", f"{baseline.description}, {baseline.seconds:.1f} s"),
        ("accuracy", percent(baseline.accuracy, baseline.interval)),
        ("macro-F1", percent(baseline.macro_f1)),
        ("difference", f"{ahead:+.1f} points of accuracy over the baseline"),
    ]


def per_class_table(scores: Scores, *, width: int = 80) -> str:
    """Precision, recall, F1 (percent), rows and predictions of every class."""
    return _table(*per_class_cells(scores), 1, width)


def per_class_cells(scores: Scores) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows of the table of classes."""
    header = ("class", "precision", "recall", "F1", "rows", "predicted")
    return header, [_class_row(entry) for entry in scores.per_class]


def confusion_table(scores: Scores, *, width: int = 80) -> str:
    """Which classes are taken for which.

    Up to 20 classes as a matrix if ``width`` holds it (columns named by number where the names are
    too long), beyond that the most frequent confusions as a list.
    """
    if len(scores.per_class) <= _MATRIX_CLASSES:
        matrix = _matrix(scores, max(width, MINIMUM_WIDTH))
        if matrix:
            return f"confusion (line: true class, column: predicted class)\n{matrix}"
    return _confusion_list(scores, width)


def _class_row(entry: PerClass) -> tuple[str, ...]:
    def share(value: float, of: int) -> str:
        return f"{100 * value:.1f}" if of else "–"

    return (
        entry.label,
        share(entry.precision, entry.predicted),
        share(entry.recall, entry.rows),
        share(entry.f1, entry.rows + entry.predicted),
        f"{entry.rows:,}",
        f"{entry.predicted:,}",
    )


def _matrix(scores: Scores, width: int) -> str:
    """The confusion matrix, or "" where it does not fit."""
    rows = [[f"{count:,}" for count in line] for line in scores.confusion.tolist()]
    named = [[label, *row] for label, row in zip(scores.labels, rows, strict=True)]
    header = ["", *scores.labels]
    if _natural_width(header, named) <= width:
        return _table(header, named, 1, width)
    numbered = [[f"{number} {row[0]}", *row[1:]] for number, row in enumerate(named, start=1)]
    header = ["", *(str(number) for number in range(1, len(named) + 1))]
    readable = [[row[0][:12], *row[1:]] for row in numbered]
    if _natural_width(header, readable) <= width:
        return _table(header, numbered, 1, width)
    return ""


def _confusion_list(scores: Scores, width: int) -> str:
    wrong = scores.confusion.copy()
    np.fill_diagonal(wrong, 0)
    pairs = np.argwhere(wrong)
    if len(pairs) == 0:
        return "confusions: none, every row was predicted right"
    counts = wrong[pairs[:, 0], pairs[:, 1]]
    most = np.argsort(-counts, kind="stable")[:_LISTED_CONFUSIONS]
    rows = [
        (
            scores.labels[true],
            scores.labels[predicted],
            f"{wrong[true, predicted]:,}",
            f"{100 * wrong[true, predicted] / scores.per_class[true].rows:.1f}",
        )
        for true, predicted in pairs[most].tolist()
    ]
    title = f"confusions ({wrong.sum():,} rows), {len(rows)} of {len(pairs):,} pairs"
    table = _table(("true class", "predicted class", "rows", "% of class"), rows, 2, width)
    return f"{title}\n{table}"


def _named_lines(lines: Sequence[tuple[str, str]], width: int) -> str:
    width = max(width, MINIMUM_WIDTH)
    return "\n".join(
        line
        for name, value in lines
        for line in wrapped(value, width, first=f"{name:<13}", indent=" " * 13)
    )


def _natural_width(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    widths = _natural_widths(header, rows)
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _natural_widths(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max(cells(printable(text)) for text in texts) for texts in zip(header, *rows, strict=True)
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], names: int, width: int) -> str:
    """Lines of aligned columns: the first ``names`` are text and give way, the others numbers."""
    widths = _natural_widths(header, rows)
    room = max(width, MINIMUM_WIDTH) - sum(widths[names:]) - len(_GAP) * (len(widths) - 1)
    widths[:names] = _shared_out(widths[:names], room)
    return "\n".join(
        _GAP.join(
            column(text, size, right=position >= names)
            for position, (text, size) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (header, *rows)
    )


def _shared_out(wanted: Sequence[int], room: int) -> list[int]:
    """Widths that add up to no more than ``room``, none larger than wanted, the rest even."""
    widths = list(wanted)
    narrow_first = sorted(range(len(widths)), key=widths.__getitem__)
    for done, position in enumerate(narrow_first):
        widths[position] = min(widths[position], room // (len(widths) - done))
        room -= widths[position]
    return widths
