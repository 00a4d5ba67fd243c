"""What a task says of answers to labelled rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lora_bert.metrics.metric import Metric

if TYPE_CHECKING:
    from lora_bert.metrics.calibration import Calibration
    from lora_bert.metrics.classification import Scores as ClassScores
    from lora_bert.metrics.coverage import Covered, Target
    from lora_bert.metrics.intervals import Interval
    from lora_bert.metrics.label_thresholds import LabelCurve
    from lora_bert.metrics.multilabel import LabelScores
    from lora_bert.metrics.out_of_scope import OutOfScope
    from lora_bert.metrics.regression import Errors, Residual
    from lora_bert.metrics.suspects import Mistake, Suspect
    from lora_bert.metrics.tagging import MarkedText, TypeScores
    from lora_bert.metrics.threshold import Threshold


class Scores(Protocol):
    """What labelled rows say about a classifier, whatever its task.

    Every :class:`~lora_bert.metrics.metric.Metric` of the task is an attribute, a float.
    """

    @property
    def rows(self) -> int:
        """How many rows were scored."""

    @property
    def figures(self) -> Mapping[str, float]:
        """The task's metrics by name, in their order."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Judgement:
    """What a task says of answers to labelled rows; a part that it does not have is left empty.

    Attributes:
        scores: The figures.
        shown: Which of them are shown, in this order.
        intervals: 95 % bootstrap intervals, by the name of the figure.
        by_class: Scores class by class, with the confusions.
        by_label: Scores label by label, where a row may have several.
        curves: What each threshold of each label would come to.
        answers: What the indices in ``wrong`` and ``suspects`` stand for; the classes where empty.
        by_type: Scores of entities, type by type.
        marked: Rows with their entities, those with the most mistakes first.
        calibration: Whether the probabilities mean what they say.
        coverage: How many answers are right where only the surest are given.
        threshold: Where to draw the line between two classes.
        target: From which probability on the answers reach an accuracy, where that was asked for.
        out_of_scope: How well rows of no class are told apart, where there are some.
        wrong: Rows answered with another class than theirs, the most confident first.
        suspects: Rows whose label is doubted, the most doubtful first.
        errors: How far numbers are off, where the answers are numbers.
        residuals: Their rows, those first whose answer is off most.
    """

    scores: Scores
    shown: tuple[Metric, ...]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    by_class: ClassScores | None = None
    by_label: LabelScores | None = None
    curves: tuple[LabelCurve, ...] = ()
    answers: tuple[str, ...] = ()
    by_type: tuple[TypeScores, ...] = ()
    marked: Sequence[MarkedText] = ()
    calibration: Calibration | None = None
    coverage: tuple[Covered, ...] = ()
    threshold: Threshold | None = None
    target: Target | None = None
    out_of_scope: OutOfScope | None = None
    wrong: Sequence[Mistake] = ()
    suspects: Sequence[Suspect] = ()
    errors: Errors | None = None
    residuals: Sequence[Residual] = ()
