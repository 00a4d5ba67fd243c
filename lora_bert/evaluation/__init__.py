"""Judging: metrics, intervals, the baseline to beat, reports and plots."""

from __future__ import annotations

from lora_bert.evaluation.baseline import Baseline, tfidf_baseline
from lora_bert.evaluation.plots import confusion_png, curve_png
from lora_bert.evaluation.report import confusion_table, per_class_table, percent
from lora_bert.evaluation.result import Evaluation, judge
from lora_bert.evaluation.row_tables import write_rows
from lora_bert.metrics.classification import (
    METRICS,
    PerClass,
    Scores,
    higher_is_better,
    metric,
    score,
)
from lora_bert.metrics.intervals import Interval, bootstrap

__all__ = [
    "METRICS",
    "Baseline",
    "Evaluation",
    "Interval",
    "PerClass",
    "Scores",
    "bootstrap",
    "confusion_png",
    "confusion_table",
    "curve_png",
    "higher_is_better",
    "judge",
    "metric",
    "per_class_table",
    "percent",
    "score",
    "tfidf_baseline",
    "write_rows",
]
