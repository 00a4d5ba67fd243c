"""Everything one evaluation found out, as one object: for programs, for JSON, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from lora_bert.evaluation import report
from lora_bert.evaluation.baseline import Baseline
from lora_bert.evaluation.display import html_text
from lora_bert.evaluation.overlap import Overlap
from lora_bert.evaluation.slices import Slice
from lora_bert.metrics.comparison import Comparison
from lora_bert.metrics.intervals import Interval
from lora_bert.tasks.base import Task
from lora_bert.tasks.judgement import Judgement
from lora_bert.wording import counted


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation(Judgement):
    """The judgement of one classifier on one set of labelled rows.

    What its task has to say is described at :class:`~lora_bert.tasks.base.Judgement`: ``scores``,
    ``intervals``, ``calibration``, ``coverage``, ``threshold`` …

    Attributes:
        metric: Which figure the classifier is steered by: it stands first, and the comparisons'
            verdicts are about it.
        overlap: The rows that stand in the training rows too, scored apart; None where those are
            not known.
        against: The comparison with another classifier, where that was asked for.
        baseline: What TF-IDF + LinearSVC makes of the same rows, where that was asked for.
        slices: Parts of the rows scored apart, where that was asked for.
    """

    metric: str
    overlap: Overlap | None = None
    against: Comparison | None = None
    baseline: Baseline | None = None
    slices: tuple[Slice, ...] = ()

    @property
    def accuracy_interval(self) -> Interval:
        """95 % bootstrap interval of the accuracy."""
        return self.intervals["accuracy"]

    @property
    def macro_f1_interval(self) -> Interval:
        """95 % bootstrap interval of the macro-F1."""
        return self.intervals["macro_f1"]

    def as_dict(self) -> dict[str, Any]:
        """Everything in it as plain JSON values; shares in 0…1, intervals as [low, high].

        Parts that a task does not have are absent; those that were not asked for are None.
        """
        scores, classes, calibration = self.scores, self.by_class, self.calibration
        document: dict[str, Any] = {"metric": self.metric}
        document |= {figure.name: getattr(scores, figure.name) for figure in self.shown}
        document["rows"] = scores.rows
        for name, interval in self.intervals.items():
            document["interval" if name == "accuracy" else f"{name}_interval"] = list(interval)
        parts = {
            "calibration": calibration and {**_plain(calibration), "verdict": calibration.verdict},
            **{name: _plain(getattr(self, name))
               for name in ("coverage", "threshold", "target", "out_of_scope", "overlap")},
            "against": self.against and self.against.as_dict(),
            "baseline": self.baseline and self.baseline.as_dict(),
        }  # fmt: skip
        if self.slices:
            parts["slices"] = [asdict(each) for each in self.slices]
        if self.by_type:
            parts["per_type"] = [asdict(entry) for entry in self.by_type]
        if self.by_label:
            parts |= {
                "per_label": [asdict(entry) for entry in self.by_label.per_label],
                "thresholds": {curve.label: curve.threshold for curve in self.curves},
            }
        if self.errors:
            half, most = self.errors.within
            parts["errors"] = {"bias": self.errors.bias, "half_within": half,
                               "nine_in_ten_within": most}  # fmt: skip
        if classes is None:
            return document | {name: part for name, part in parts.items() if part}
        return document | parts | {
            "labels": classes.labels,
            "per_class": [asdict(entry) for entry in classes.per_class],
            "confusion": classes.confusion.tolist(),
        }  # fmt: skip

    def __repr__(self) -> str:
        words = [report.score_words(self, self.shown[0].name), counted(self.scores.rows, "row")]
        if self.by_class:
            words.append(counted(len(self.by_class.labels), "class", "classes"))
        if self.by_label:
            words.append(counted(len(self.by_label.per_label), "label"))
        return f"Evaluation({', '.join(words)})"

    def _repr_html_(self) -> str:
        """The summary, the slices and the classes, for a notebook."""
        entries = self.by_class or self.by_label
        classes = report.classes_html(entries) if entries else ""
        figures = report.first(self.metric, self.shown)
        return html_text(self.summary()) + report.slices_html(self.slices, figures) + classes

    def summary(self, width: int = 80) -> str:
        """The figures of the whole, a line each, and what they are compared with below."""
        parts = [report.figures_part(self, self.metric, self.overlap, width)]
        if self.against:
            parts.append(report.against_part(self.against, width))
        if self.baseline:
            parts.append(report.baseline_part(self.baseline, width))
        return "\n\n".join(parts)

    def text(self, width: int = 80) -> str:
        """Summary and tables for a terminal of ``width`` columns; the worst of many classes."""
        parts = [self.summary(width)]
        figures = report.first(self.metric, self.shown)
        parts += report.slice_tables(self.slices, figures, width=width)
        if self.coverage:
            parts.append(report.coverage_table(self.coverage, width=width))
        if self.out_of_scope:
            parts.append(report.scope_table(self.out_of_scope, width=width))
        if self.by_type:
            parts.append(report.types_table(self.by_type, width=width))
        if self.by_label:
            parts.append(report.labels_table(self.by_label, self.curves, width=width))
        if self.by_class:
            parts.append(report.classes_table(self.by_class, width=width))
            parts.append(report.confusion_table(self.by_class, width=width))
        return "\n\n".join(parts)


def judge(
    task: Task, values: np.ndarray, targets: np.ndarray, *, metric: str | None = None,
    target_accuracy: float | None = None, outside: tuple[Sequence[str], np.ndarray] | None = None,
    seed: int = 0, **compared: Any,
) -> Evaluation:  # fmt: skip
    """What :meth:`~lora_bert.tasks.base.Task.judge` says, ``metric`` first, else the task's first.

    ``compared`` are ``overlap``, ``against``, ``baseline`` and ``slices``, which are shown beside.

    Raises:
        DataError, AdapterError: As that says.
    """
    judged = task.judge(
        values, targets, target_accuracy=target_accuracy, outside=outside, seed=seed
    )
    return Evaluation(**vars(judged), metric=metric or task.metrics[0].name, **compared)


def _plain(part: Any) -> Any:
    """A dataclass as JSON values, and whatever it holds; tuples as lists."""
    if is_dataclass(part):
        return {entry.name: _plain(getattr(part, entry.name)) for entry in fields(part)}
    return [_plain(entry) for entry in part] if isinstance(part, tuple) else part
