"""Everything one evaluation found out, as one object: for programs, for JSON, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from lora_bert.evaluation.baseline import Baseline
from lora_bert.evaluation.display import html_text
from lora_bert.evaluation.overlap import Overlap
from lora_bert.evaluation.report import (
    classes_html,
    classes_table,
    confusion_table,
    coverage_table,
    percent,
    scope_table,
    summary_lines,
)
from lora_bert.metrics.calibration import Calibration, calibration
from lora_bert.metrics.classification import Floats, Indices, Scores, score
from lora_bert.metrics.comparison import Comparison
from lora_bert.metrics.coverage import Covered, Target, coverage, reach
from lora_bert.metrics.intervals import Interval, bootstrap_confusion
from lora_bert.metrics.out_of_scope import OutOfScope, out_of_scope
from lora_bert.metrics.threshold import Threshold, best_threshold
from lora_bert.wording import counted


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The judgement of one classifier on one set of labelled rows.

    Attributes:
        scores: The figures.
        accuracy_interval: 95 % bootstrap interval of the accuracy.
        macro_f1_interval: 95 % bootstrap interval of the macro-F1.
        calibration: Whether the probabilities mean what they say.
        coverage: How many answers are right where only the surest are given.
        metric: Which figure the classifier is steered by: it stands first, and the comparisons'
            verdicts are about it.
        threshold: Where to draw the line between two classes; None with more.
        target: From which probability on the answers reach an accuracy, where that was asked for.
        out_of_scope: How well rows of no class are told apart, where there are some.
        overlap: The rows that stand in the training rows too, scored apart; None where those are
            not known.
        against: The comparison with another classifier, where that was asked for.
        baseline: What TF-IDF + LinearSVC makes of the same rows, where that was asked for.
    """

    scores: Scores
    accuracy_interval: Interval
    macro_f1_interval: Interval
    calibration: Calibration
    coverage: tuple[Covered, ...] = ()
    metric: str = "accuracy"
    threshold: Threshold | None = None
    target: Target | None = None
    out_of_scope: OutOfScope | None = None
    overlap: Overlap | None = None
    against: Comparison | None = None
    baseline: Baseline | None = None

    def as_dict(self) -> dict[str, Any]:
        """Everything in it as plain JSON values; shares in 0…1, intervals as [low, high]."""
        scores = self.scores
        return {
            "metric": self.metric,
            "accuracy": scores.accuracy,
            "macro_f1": scores.macro_f1,
            "weighted_f1": scores.weighted_f1,
            "log_loss": scores.log_loss,
            "rows": scores.rows,
            "interval": list(self.accuracy_interval),
            "macro_f1_interval": list(self.macro_f1_interval),
            "calibration": {**_plain(self.calibration), "verdict": self.calibration.verdict},
            "coverage": _plain(self.coverage),
            "threshold": _plain(self.threshold),
            "target": _plain(self.target),
            "out_of_scope": _plain(self.out_of_scope),
            "overlap": _plain(self.overlap),
            "against": self.against.as_dict() if self.against else None,
            "baseline": self.baseline.as_dict() if self.baseline else None,
            "labels": scores.labels,
            "per_class": [asdict(entry) for entry in scores.per_class],
            "confusion": scores.confusion.tolist(),
        }

    def __repr__(self) -> str:
        scores = self.scores
        return (
            f"Evaluation(accuracy {percent(scores.accuracy, self.accuracy_interval)}, macro-F1 "
            f"{percent(scores.macro_f1)}, {counted(scores.rows, 'row')}, "
            f"{counted(len(scores.per_class), 'class', 'classes')})"
        )

    def _repr_html_(self) -> str:
        """The summary and the classes, for a notebook."""
        return html_text(self.summary()) + classes_html(self.scores)

    def summary(self, width: int = 80) -> str:
        """The figures of the whole, a line each, and what they are compared with below."""
        return summary_lines(self, width=width)

    def text(self, width: int = 80) -> str:
        """Summary and tables for a terminal of ``width`` columns; the worst of many classes."""
        parts = (
            self.summary(width),
            coverage_table(self.coverage, width=width),
            scope_table(self.out_of_scope, width=width) if self.out_of_scope else "",
            classes_table(self.scores, width=width),
            confusion_table(self.scores, width=width),
        )
        return "\n\n".join(part for part in parts if part)


def judge(
    labels: Sequence[str],
    probabilities: Floats,
    true: Indices,
    *,
    metric: str = "accuracy",
    target_accuracy: float | None = None,
    outside: tuple[Sequence[str], Floats] | None = None,
    overlap: Overlap | None = None,
    against: Comparison | None = None,
    baseline: Baseline | None = None,
    seed: int = 0,
) -> Evaluation:
    """Score predicted probabilities and put intervals around the scores.

    Args:
        labels: Class names, in the order of the columns of ``probabilities``.
        probabilities: [rows, classes], each row summing to 1.
        true: [rows], the index of each row's true class.
        metric: Which figure stands first.
        target_accuracy: The share of right answers to look a line for, 0…1.
        outside: Labels and probabilities, [rows, classes], of rows that are of none of the classes.
        overlap: From :func:`~lora_bert.evaluation.overlap.overlap`, shown beside.
        against: From :func:`~lora_bert.metrics.comparison.compare`, shown beside.
        baseline: From :func:`~lora_bert.evaluation.baseline.tfidf_baseline`, shown beside.
        seed: Of the bootstrap's draws.

    Raises:
        DataError: There are no rows.
        AdapterError: A probability is not a finite number.
    """
    scores = score(labels, probabilities, true)
    target = reach(probabilities, true, target_accuracy, seed=seed) if target_accuracy else None
    also_at = [target.reached.min_score] if target and target.reached else []
    return Evaluation(
        scores=scores,
        accuracy_interval=bootstrap_confusion(scores.confusion, "accuracy", seed=seed),
        macro_f1_interval=bootstrap_confusion(scores.confusion, "macro_f1", seed=seed),
        calibration=calibration(probabilities, true, seed=seed),
        coverage=coverage(probabilities, true),
        metric=metric,
        threshold=best_threshold(labels, probabilities, true, seed=seed),
        target=target,
        out_of_scope=out_of_scope(*outside, probabilities, true, also_at=also_at)
        if outside
        else None,
        overlap=overlap,
        against=against,
        baseline=baseline,
    )


def _plain(part: Any) -> Any:
    """A dataclass as JSON values, and whatever it holds; tuples as lists."""
    if is_dataclass(part):
        return {entry.name: _plain(getattr(part, entry.name)) for entry in fields(part)}
    return [_plain(one) for one in part] if isinstance(part, tuple) else part
