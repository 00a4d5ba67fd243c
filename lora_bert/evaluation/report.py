"""The judgement as text for a terminal: a summary and two tables, never wider than asked for."""

from __future__ import annotations

from collections.abc import Sequence

from lora_bert.evaluation.baseline import Baseline
from lora_bert.evaluation.display import (
    GAP,
    MINIMUM_WIDTH,
    fit,
    html_table,
    html_text,
    named_lines,
    natural_widths,
    text_table,
    titled,
)
from lora_bert.evaluation.overlap import Overlap
from lora_bert.evaluation.slices import Slice
from lora_bert.metrics.classification import PerClass, Scores
from lora_bert.metrics.comparison import Comparison, Figure
from lora_bert.metrics.coverage import Covered, Target
from lora_bert.metrics.intervals import Interval
from lora_bert.metrics.label_thresholds import LabelCurve
from lora_bert.metrics.metric import Metric
from lora_bert.metrics.multilabel import LabelScores
from lora_bert.metrics.out_of_scope import OutOfScope
from lora_bert.metrics.regression import Errors
from lora_bert.metrics.tagging import TypeScores
from lora_bert.metrics.threshold import Threshold
from lora_bert.tasks.judgement import Judgement
from lora_bert.wording import counted

_ALL_CLASSES = 20
"""Of more classes the tables show the worst, and the most frequent confusions."""
_WORST = 15
_CLASS_COLUMNS = ("class", "precision", "recall", "F1", "rows", "predicted")


def percent(value: float, interval: Interval | None = None) -> str:
    """A share as a percentage: ``90.3 % (95 % interval 89.1–91.5)``.

    An interval that is a point is left out: it says that all rows came out alike, no more.
    """
    text = f"{100 * value:.1f} %"
    if interval is None or interval.low == interval.high:
        return text
    return f"{text} (95 % interval {100 * interval.low:.1f}–{100 * interval.high:.1f})"


def decimal(value: float) -> str:
    """A ``--min-score`` with all its digits, as few as they are."""
    return f"{value:.17f}".rstrip("0").rstrip(".") if value < 1e-4 else str(value)


def figure_text(judged: Judgement, metric: Metric, *, interval: bool = True) -> str:
    """A figure with its interval: ``90.3 % (95 % interval 89.1–91.5)``, or ``0.250``."""
    value, ends = getattr(judged.scores, metric.name), judged.intervals.get(metric.name)
    if metric.share:
        return percent(value, ends if interval else None)
    around = f" (95 % interval {ends.low:.3f}–{ends.high:.3f})" if interval and ends else ""
    return f"{value:.3f}{around}"


def score_words(judged: Judgement, metric: str) -> str:
    """The first two figures and ``metric`` in one line, that first, and one interval."""
    figures, usual = first(metric, judged.shown), judged.shown[:2]
    chosen = [figure for figure in figures if figure in usual or figure.name == metric]
    known = next((figure for figure in chosen if figure.name in judged.intervals), None)
    return ", ".join(
        f"{figure.shown} {figure_text(judged, figure, interval=figure is known)}"
        for figure in chosen
    )


def first(metric: str, figures: Sequence[Metric]) -> list[Metric]:
    """The figures, ``metric`` before all others."""
    return sorted(figures, key=lambda figure: figure.name != metric)


def figures_part(judged: Judgement, metric: str, overlap: Overlap | None, width: int) -> str:
    """The figures of the whole, a line each, ``metric`` first; whatever else is known below."""
    lines = [(figure.shown, figure_text(judged, figure)) for figure in first(metric, judged.shown)]
    if judged.calibration:
        error, by_chance = percent(judged.calibration.error), percent(judged.calibration.by_chance)
        exact = f"exact probabilities would show {by_chance}"
        lines.append(("calibration", f"error {error} ({exact}): {judged.calibration.verdict}"))
    if judged.errors:
        lines.append(("errors", errors_words(judged.errors)))
    lines.append(("rows", f"{judged.scores.rows:,}"))
    if overlap and overlap.rows:
        lines.append(("seen", _seen_words(overlap)))
    if judged.threshold:
        lines.append(("threshold", _threshold_words(judged.threshold)))
    if judged.target:
        lines.append(("target", target_words(judged.target)))
    if judged.out_of_scope:
        lines.append(("out of scope", scope_words(judged.out_of_scope)))
    return named_lines(lines, width)


def errors_words(errors: Errors) -> str:
    """How far answers are off, and to which side."""
    (half, most), bias = errors.within, errors.bias
    side = "high" if bias > 0 else "low"
    return (
        f"half of the answers are off by {half:.3g} at most, nine in ten by {most:.3g}; on average "
        f"they are {abs(bias):.2g} too {side}"
    )


def _seen_words(overlap: Overlap) -> str:
    texts = overlap.rows + overlap.unseen_rows
    different = f" ({overlap.texts:,} different)" if overlap.texts < overlap.rows else ""
    what = "pairs" if overlap.pairs else "texts"
    seen = f"{overlap.rows:,} of {texts:,} {what}{different} stand in the training rows too"
    if not overlap.unseen_rows:
        return f"{seen}: none is new"
    if overlap.unseen_accuracy is None:
        return seen
    figure = percent(overlap.unseen_accuracy, overlap.unseen_interval)
    return f"{seen}; accuracy on the others {figure}"


def _threshold_words(threshold: Threshold) -> str:
    return (
        f"{threshold.value:.2f} for '{fit(threshold.label, 20)}' is best here; "
        f"chosen on half the rows it gives the others macro-F1 {percent(threshold.macro_f1)}, "
        f"0.5 gives {percent(threshold.usual)}"
    )


def target_words(target: Target) -> str:
    """From which probability on the answers are as good as asked for, and what that is worth."""
    wanted, line, elsewhere = percent(target.accuracy), target.reached, target.expected
    if line is None:
        return f"no --min-score makes {wanted} of the answered rows right here"
    if line.min_score == 0:
        return f"no --min-score is needed: of all rows {percent(line.accuracy or 0)} are right"
    words = (
        f"from --min-score {decimal(line.min_score)} on, {percent(line.accuracy or 0)} of the "
        f"answered rows are right, and {percent(line.coverage)} of the rows are answered; "
    )
    if elsewhere is None:
        return words + f"on half the rows no line reaches {wanted}, so do not rely on this one"
    if elsewhere.accuracy is None:
        return words + "chosen on half the rows, such a line answers none of the others"
    return words + (
        f"chosen on half the rows, such a line has {percent(elsewhere.accuracy)} of the others "
        f"right and answers {percent(elsewhere.coverage)}"
    )


def scope_words(scope: OutOfScope) -> str:
    """How well the probability of the answer tells rows out of scope from the others."""
    low, high = scope.auroc_interval
    return (
        f"{counted(scope.rows, 'row')}, not in the figures above; AUROC {scope.auroc:.3f} (95 % "
        f"interval {low:.3f}–{high:.3f}) by the probability of the answer; where 95 % of the rows "
        f"in scope are answered, {percent(scope.fpr_at_95_tpr)} of those out of scope are too"
    )


def against_part(against: Comparison, width: int) -> str:
    """Another classifier beside this one, and in what the two differ."""
    name = fit(against.other, max(width, MINIMUM_WIDTH) - 13)
    lines = named_lines([("against", name), *_comparison_lines(against)], width)
    if not against.settings:
        return lines
    settings = [(key, *map(setting_words, pair)) for key, pair in sorted(against.settings.items())]
    return f"{lines}\n\n{text_table(('what differs', 'this one', 'the other'), settings, 3, width)}"


def baseline_part(baseline: Baseline, width: int) -> str:
    """The TF-IDF baseline beside this classifier."""
    name = f"{baseline.description}, {baseline.seconds:.1f} s"
    return named_lines([("baseline", name), *_comparison_lines(baseline.comparison)], width)


def _comparison_lines(against: Comparison) -> list[tuple[str, str]]:
    first, *others = against.figures
    shown = [first, *(figure for figure in others if figure.metric.share or against.nearer)]
    return [
        ("verdict", against.verdict),
        *((figure.metric.shown, _figure_words(figure)) for figure in shown),
        ("rows", against.rows_in_words),
    ]  # fmt: skip


def _figure_words(figure: Figure) -> str:
    """Both values of a metric, the difference, and what it would be on other rows."""
    low, high = figure.interval
    if not figure.metric.share:
        return (
            f"{figure.ours:.3f}, the other {figure.theirs:.3f}: {figure.difference:+.3f} "
            f"(95 % interval {low:+.3f} to {high:+.3f})"
        )
    return (
        f"{percent(figure.ours)}, the other {percent(figure.theirs)}: "
        f"{100 * figure.difference:+.1f} points (95 % interval {100 * low:+.1f} to "
        f"{100 * high:+.1f})"
    )


def setting_words(value: object) -> str:
    """A setting's value as it is shown."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def coverage_table(lines: Sequence[Covered], *, width: int = 80) -> str:
    """How many rows are answered from which probability on, and how many of those are right."""
    rows = [
        (decimal(line.min_score), f"{line.rows:,}", _share(line.coverage), _share(line.accuracy))
        for line in lines
    ]
    return text_table(("--min-score", "answered", "% of rows", "% right"), rows, 1, width)


def slice_tables(
    slices: Sequence[Slice], figures: Sequence[Metric], *, width: int = 80
) -> list[str]:
    """A table for each column that rows are sliced by."""
    return [text_table(*part, 1, width) for part in slice_cells(slices, figures)]


def slices_html(slices: Sequence[Slice], figures: Sequence[Metric]) -> str:
    """The same for a notebook."""
    return "".join(html_table(*part) for part in slice_cells(slices, figures))


def slice_cells(
    slices: Sequence[Slice], figures: Sequence[Metric]
) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Header and rows for each column: the first figure with its interval, and the second one."""
    one, *others = (figure.shown for figure in figures[:2])
    return [
        ((by, "rows", one, "95 % interval", *others),
         [_slice_row(each, figures) for each in slices if each.by == by])
        for by in dict.fromkeys(each.by for each in slices)
    ]  # fmt: skip


def _slice_row(found: Slice, figures: Sequence[Metric]) -> tuple[str, ...]:
    first, *others = (_bare(found.figures.get(figure.name), figure) for figure in figures[:2])
    ends = found.intervals.get(figures[0].name)
    # A point says that all rows came out alike, no more.
    known = ends is not None and ends.low != ends.high
    around = "–".join(_bare(end, figures[0]) for end in ends) if ends and known else "–"
    return (found.value, f"{found.rows:,}", first, around, *others)


def _bare(value: float | None, metric: Metric) -> str:
    """A figure as it stands in a table: ``90.3`` of a share, or ``0.250``."""
    if metric.share:
        return _share(value)
    return "–" if value is None else f"{value:.3f}"


def scope_table(scope: OutOfScope, *, width: int = 80) -> str:
    """What a line does to the rows in scope, of which it answers some, and to those out of it."""
    rows = [
        (decimal(line.min_score),
         *map(_share, (line.answered, line.accuracy, line.recall, line.right)))
        for line in scope.lines
    ]  # fmt: skip
    header = ("--min-score", "answered", "rightly", "refused", "both right")
    title = (
        "% of the rows in scope answered, and rightly; % of those out of scope refused; % of both "
        "together treated rightly"
    )
    return titled(title, text_table(header, rows, 1, width), width)


def labels_table(scores: LabelScores, curves: Sequence[LabelCurve], *, width: int = 80) -> str:
    """The table of the labels with their thresholds; of more than 20 those with the lowest F1."""
    entries, title = _worst_classes(scores.per_label, scores.worst)
    lines = {curve.label: f"{curve.threshold:.3f}" for curve in curves}
    rows = [(*_class_row(entry), lines[entry.label]) for entry in entries]
    table = text_table(("label", *_CLASS_COLUMNS[1:], "threshold"), rows, 1, width)
    all_of_them = f"{title}; --output and --json have all of them"
    return titled(all_of_them.replace("classes", "labels"), table, width) if title else table


def classes_table(scores: Scores, *, width: int = 80) -> str:
    """The table of the classes; of more than 20 those with the lowest F1."""
    entries, title = _worst_classes(scores.per_class, scores.worst)
    table = text_table(_CLASS_COLUMNS, list(map(_class_row, entries)), 1, width)
    all_of_them = f"{title}; --output and --json have all of them"
    return titled(all_of_them, table, width) if title else table


def types_table(types: Sequence[TypeScores], *, width: int = 80) -> str:
    """The table of the types of entities; of more than 20 those with the lowest F1."""
    shown = types
    if len(types) > _ALL_CLASSES:
        shown = sorted(types, key=lambda each: (each.f1, -each.entities))[:_WORST]
    rows = [_type_row(each) for each in shown]
    table = text_table(("type", *_CLASS_COLUMNS[1:4], "entities", "predicted"), rows, 1, width)
    if len(shown) == len(types):
        return table
    title = f"types: the {len(shown)} with the lowest F1 of {len(types):,}; --json has all of them"
    return titled(title, table, width)


def _type_row(entry: TypeScores) -> tuple[str, ...]:
    precision = _share(entry.precision) if entry.predicted else "–"
    recall = _share(entry.recall) if entry.entities else "–"
    counts = f"{entry.entities:,}", f"{entry.predicted:,}"
    return (entry.type, precision, recall, _share(entry.f1), *counts)


def classes_html(scores: Scores | LabelScores) -> str:
    """The same for a notebook."""
    every = scores.per_class if isinstance(scores, Scores) else scores.per_label
    entries, title = _worst_classes(every, scores.worst)
    table = html_table(_CLASS_COLUMNS, list(map(_class_row, entries)))
    return html_text(f"{title}; scores.per_class has all of them") + table if title else table


def _worst_classes(
    every: Sequence[PerClass], worst: Sequence[PerClass]
) -> tuple[Sequence[PerClass], str]:
    """All classes; of more than 20 those with the lowest F1, and what the table is then called."""
    if len(every) <= _ALL_CLASSES:
        return every, ""
    worst = [entry for entry in worst[:_WORST] if entry.rows + entry.predicted]
    return worst, f"classes: the {len(worst)} with the lowest F1 of {len(every):,}"


def _class_row(entry: PerClass) -> tuple[str, ...]:
    precision = _share(entry.precision) if entry.predicted else "–"
    recall = _share(entry.recall) if entry.rows else "–"
    f1 = _share(entry.f1) if entry.rows + entry.predicted else "–"
    return (entry.label, precision, recall, f1, f"{entry.rows:,}", f"{entry.predicted:,}")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def confusion_table(scores: Scores, *, width: int = 80) -> str:
    """Which classes are taken for which.

    Up to 20 classes as a matrix if ``width`` holds it (columns named by number where the names are
    too long), beyond that the most frequent confusions as a list.
    """
    few = len(scores.per_class) <= _ALL_CLASSES
    if few and (matrix := _matrix(scores, max(width, MINIMUM_WIDTH))):
        return f"confusion (line: true class, column: predicted class)\n{matrix}"
    return _confusion_list(scores, width)


def _matrix(scores: Scores, width: int) -> str:
    """The confusion matrix, or "" where it does not fit."""

    def fits(header: Sequence[str], lines: Sequence[Sequence[str]]) -> bool:
        return sum(natural_widths(header, lines)) + len(GAP) * len(lines) <= width

    rows = [[f"{count:,}" for count in line] for line in scores.confusion.tolist()]
    named = [[label, *row] for label, row in zip(scores.labels, rows, strict=True)]
    header = ["", *scores.labels]
    if fits(header, named):
        return text_table(header, named, 1, width)
    numbered = [[f"{number} {row[0]}", *row[1:]] for number, row in enumerate(named, start=1)]
    header = ["", *(str(number) for number in range(1, len(named) + 1))]
    readable = [[row[0][:12], *row[1:]] for row in numbered]
    return text_table(header, numbered, 1, width) if fits(header, readable) else ""


def _confusion_list(scores: Scores, width: int) -> str:
    pairs = scores.confusions
    if not pairs:
        return "confusions: none, every row was predicted right"
    rows = [
        (scores.labels[true], scores.labels[predicted], f"{count:,}",
         _share(count / scores.per_class[true].rows))
        for true, predicted, count in pairs[:_WORST]
    ]  # fmt: skip
    wrong = sum(count for *_, count in pairs)
    title = f"confusions ({wrong:,} rows), {len(rows)} of {len(pairs):,} pairs"
    table = text_table(("true class", "predicted class", "rows", "% of class"), rows, 2, width)
    return f"{title}\n{table}"
