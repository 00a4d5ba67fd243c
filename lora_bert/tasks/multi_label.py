"""Multi-label classification: none, one or several labels a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from lora_bert.data.label_sets import rows_of_several
from lora_bert.errors import AdapterError, ConfigError, DataError, did_you_mean
from lora_bert.metrics.calibration import calibration_of
from lora_bert.metrics.comparison import Comparison
from lora_bert.metrics.intervals import Interval, mean_interval
from lora_bert.metrics.label_rows import label_mistakes, label_suspects
from lora_bert.metrics.label_thresholds import USUAL, best_thresholds, curves, tuned
from lora_bert.metrics.metric import Metric
from lora_bert.metrics.multilabel import (
    METRICS,
    LabelScores,
    bootstrap_labels,
    compare_labels,
    losses,
    ranking_precision,
    score_labels,
)
from lora_bert.tasks.base import HeadSpec, Task
from lora_bert.tasks.judgement import Judgement
from lora_bert.tasks.logistic import logistic_regressions
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.wording import counted, listed, shortened

if TYPE_CHECKING:
    from torch import Tensor

    from lora_bert.data.data_options import DataOptions, LabelForm
    from lora_bert.data.examples import Examples
    from lora_bert.data.tables import Table

_MOST_WEIGHT = 20.0
"""A label of few rows weighs so much more with ``--class-weights balanced`` at most."""
_SHOWN = 3
"""Labels in the ``repr`` of a prediction."""
_BETWEEN = (",", ";", "|", "\n")
"""What may stand between the labels of an answer: the first that stands in no label."""


@dataclass(frozen=True)
class LabelsPrediction:
    """What a multi-label adapter says of one text.

    Attributes:
        labels: Those whose probability reaches their threshold, in their stored order; maybe none.
        scores: The probability of every label, each by itself, in the labels' stored order.
    """

    labels: tuple[str, ...]
    scores: Mapping[str, float]

    def __repr__(self) -> str:
        best = sorted(self.scores.items(), key=lambda item: -item[1])[:_SHOWN]
        shown = ", ".join(f"{shortened(label)!r}: {score:.4f}" for label, score in best)
        more = f", … {len(self.scores) - _SHOWN:,} more" if len(self.scores) > _SHOWN else ""
        return f"LabelsPrediction({list(map(shortened, self.labels))!r}, {{{shown}{more}}})"


@dataclass(frozen=True)
class MultiLabel(Task):
    """None, one or several labels a text: a yes or a no of each label, by a sigmoid.

    Attributes:
        labels: In the order of the outputs.
        thresholds: The probability from which on each label is answered.
        label_weights: How much more than the rows without it each label's own rows weigh in the
            loss; None weighs every row alike.
        otherwise: What stands in a file or a line where no label is answered.
    """

    problem_type: ClassVar[str] = "multi_label_classification"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    classes: ClassVar[bool] = True
    label_form: ClassVar[LabelForm] = "set"
    values_are: ClassVar[str] = "probabilities"
    apart_in: ClassVar[str] = "probability"
    judged_with: ClassVar[tuple[str, ...]] = ("against", "baseline")
    linear_model: ClassVar[str] = "one-vs-rest linear SVMs"
    linear_class: ClassVar[str] = "LinearSVC a label"
    activation: ClassVar[str] = ".sigmoid()"

    labels: tuple[str, ...]
    thresholds: tuple[float, ...] = ()
    label_weights: tuple[float, ...] | None = None
    otherwise: str = ""

    def __post_init__(self) -> None:
        if not self.thresholds:
            object.__setattr__(self, "thresholds", (USUAL,) * len(self.labels))

    @classmethod
    def recognises(cls, table: Table, options: DataOptions) -> str:
        """Whether rows have several labels."""
        rows = rows_of_several(table, options)
        have = "has" if rows == 1 else "have"
        return f"{rows:,} of {counted(len(table), 'row')} {have} several labels" if rows else ""

    @classmethod
    def of(cls, examples: Examples, *, class_weights: str = "none") -> Self:
        """The labels that occur, whole numbers by value, all else by spelling.

        ``balanced`` gives the rows of a label the weight of those without it, at most twenty times
        their own.
        """
        counts = examples.label_counts
        numbers = all(label.removeprefix("-").isdecimal() for label in counts)
        labels = sorted(counts, key=lambda name: (int(name) if numbers else 0, name))
        if class_weights != "balanced":
            return cls(tuple(labels))
        shares = ((len(examples) - counts[label]) / counts[label] for label in labels)
        return cls(tuple(labels), label_weights=tuple(min(s, _MOST_WEIGHT) for s in shares))

    @classmethod
    def restored(cls, labels: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """A saved adapter's: labels and their thresholds, 0.5 where there are none.

        Raises:
            AdapterError: There is no label, or one twice, or not a probability for each.
        """
        if not labels:
            raise AdapterError("'labels' must be at least one string.")
        if len(set(labels)) != len(labels):
            raise AdapterError("'labels' holds the same label twice.")
        lines = settings.get("thresholds", [])
        fit = isinstance(lines, list) and len(lines) in (0, len(labels))
        if not fit or not all(type(line) in (int, float) and 0 <= line <= 1 for line in lines):
            raise AdapterError("'thresholds' must be a probability for each label.")
        return cls(tuple(labels), tuple(map(float, lines)))

    @property
    def settings(self) -> dict[str, Any]:
        """The thresholds, in the order of the labels."""
        return {"thresholds": list(self.thresholds)}

    def settings_in_words(self) -> str:
        """The threshold of each label."""
        pairs = zip(self.labels, self.thresholds, strict=True)
        return "A label is answered from its threshold on: " + ", ".join(
            f"{label} {line:.4g}" for label, line in pairs
        )

    def head(self) -> HeadSpec:
        """An output a label, of the whole text."""
        return HeadSpec(len(self.labels))

    def targets(self, examples: Examples, tokens: TokenizedTexts, *, hint: str = "") -> np.ndarray:
        """Which labels each row has, 0 or 1, uint8 ``[rows, labels]``.

        Raises:
            DataError: A label that is none of these; names the row.
        """
        index = {label: number for number, label in enumerate(self.labels)}
        if strange := examples.first_beside(index):
            row, label = strange
            raise DataError(
                f"{examples.at(row)}: the label '{shortened(label)}' is not one of the adapter's.",
                hint=f"{did_you_mean(label, self.labels)} It knows: {listed(self.labels, 10)}. "
                f"Rename labels with --label-names old=new,…. {hint}".strip(),
            )
        targets = np.zeros((len(examples), len(self.labels)), dtype=np.uint8)
        for row, written in enumerate(examples.labels):
            targets[row, [index[label] for label in examples.each(written)]] = 1
        return targets

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of ``outputs [rows, labels]`` the binary cross-entropy, a mean over labels, summed."""
        from torch.nn import functional as F

        outputs = outputs.float()
        weights = None if self.label_weights is None else outputs.new_tensor(self.label_weights)
        summed = F.binary_cross_entropy_with_logits(
            outputs, targets.float(), pos_weight=weights, reduction="sum"
        )
        return summed / len(self.labels)

    def chance_loss(self, targets: np.ndarray) -> float:
        """The mean entropy of the labels' shares, as the loss weighs them, in nats."""
        shares = targets.mean(axis=0, dtype=np.float64)
        weights = np.asarray(self.label_weights or np.ones(len(self.labels)))
        guess = weights * shares / (weights * shares + 1 - shares)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = -weights * shares * np.log(guess), -(1 - shares) * np.log(1 - guess)
        return float(sum(np.nan_to_num(part, posinf=0.0).mean() for part in parts))

    def fresh_loss(self, targets: np.ndarray) -> float:
        """That of even odds, in nats."""
        shares = targets.mean(axis=0, dtype=np.float64)
        weights = np.asarray(self.label_weights or np.ones(len(self.labels)))
        return float(np.log(2) * (weights * shares + 1 - shares).mean())

    def validation_loss(self, outputs: Tensor, targets: np.ndarray) -> float:
        """The log loss, weighed or not."""
        return float(losses(self.values(outputs.numpy()), targets.astype(bool)).mean())

    def probe(
        self, features: np.ndarray, targets: np.ndarray, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logistic regression of each label, as strong as rows left out say."""
        weights = np.asarray(self.label_weights or np.ones(len(self.labels)))
        return logistic_regressions(features, targets, weights, seed=seed)

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """The probability of each label, ``[rows, labels]``, in the outputs' dtype."""
        powers = np.exp(-np.abs(outputs))
        probabilities: np.ndarray = np.where(outputs >= 0, 1 / (1 + powers), powers / (1 + powers))
        return probabilities

    def tuned(self, values: np.ndarray, targets: np.ndarray) -> Self:
        """With the threshold of each label that has the highest F1 on these rows."""
        return replace(self, thresholds=best_thresholds(values, targets.astype(bool)))

    def tuning_notes(self, values: np.ndarray, targets: np.ndarray) -> tuple[str, str]:
        """What thresholds tuned on these rows are worth; of which labels the rows say nothing."""
        true = targets.astype(bool)
        worth = tuned(values, true)
        note = (
            f"Thresholds of {counted(len(self.labels), 'label')} tuned on "
            f"{counted(len(true), 'validation row')}: macro-F1 {100 * worth.chosen:.1f} % at them, "
            f"{100 * worth.usual:.1f} % at 0.5; tuned on one half and scored on the other one, "
            f"{100 * worth.expected:.1f} %."
        )
        unseen = [label for label, rows in zip(self.labels, true.sum(axis=0), strict=True)
                  if not rows]  # fmt: skip
        if not unseen:
            return note, ""
        line = best_thresholds(values, true)[self.labels.index(unseen[0])]
        return note, (
            f"{counted(len(unseen), 'label stands', 'labels stand')} in no validation row "
            f"({listed(map(shortened, unseen))}): the threshold there is the one that is best for "
            f"all others together, {line:.2f}."
        )

    def answering(self, min_score: float | None, otherwise: str | None) -> Self:
        """The same task with ``min_score`` in place of every threshold; ``otherwise`` where none.

        Raises:
            ConfigError: ``otherwise`` is one of the model's own labels or no text; ``min_score`` is
                no probability.
        """
        task = self
        if min_score is not None:
            if not isinstance(min_score, int | float) or not 0 <= min_score <= 1:
                said = shortened(repr(min_score))
                raise ConfigError(f"--min-score: {said} is not a probability, 0 to 1.")
            task = replace(task, thresholds=(float(min_score),) * len(self.labels))
        if otherwise is None:
            return task
        if not isinstance(otherwise, str):
            raise ConfigError(f"--otherwise: {shortened(repr(otherwise))} is not a text.")
        if otherwise in self.labels:
            raise ConfigError(
                f"--otherwise '{shortened(otherwise)}': the model has a label of this name, so its "
                "answers could not be told from texts without a label.",
                hint="Name another answer with --otherwise.",
            )
        return replace(task, otherwise=otherwise)

    def answered(self, values: np.ndarray) -> np.ndarray:
        """Which labels reach their threshold, bool ``[rows, labels]``."""
        reached: np.ndarray = values >= np.asarray(self.thresholds, dtype=np.float32)
        return reached

    def decode(self, values: np.ndarray) -> list[LabelsPrediction]:
        """Probabilities ``[rows, labels]`` -> predictions."""
        return [
            LabelsPrediction(labels, dict(zip(self.labels, row, strict=True)))
            for labels, row in zip(self._sets(values), values.tolist(), strict=True)
        ]

    def _sets(self, values: np.ndarray) -> list[tuple[str, ...]]:
        return [
            tuple(self.labels[at] for at in np.flatnonzero(row)) for row in self.answered(values)
        ]

    def answers(self, values: np.ndarray) -> list[str]:
        """The labels of each row with commas between, or what stands in no label."""
        return [self._joined(labels) for labels in self._sets(values)]

    def _joined(self, labels: Sequence[str]) -> str:
        between = next(
            (mark for mark in _BETWEEN if not any(mark in label for label in self.labels)), ","
        )
        return between.join(labels) or self.otherwise

    def columns(self, values: np.ndarray) -> dict[str, Sequence[Any]]:
        """The labels and the probability of each label."""
        names = (f"prob_{label}" for label in self.labels)
        each = dict(zip(names, values.T.tolist(), strict=True))
        return {"prediction": self.answers(values), **each}

    def line(self, prediction: LabelsPrediction) -> tuple[str, ...]:
        """The labels, and the probability of each."""
        scores = ",".join(f"{prediction.scores[label]:.4f}" for label in prediction.labels)
        return (self._joined(prediction.labels) or "(none)", scores)

    def document(self, prediction: LabelsPrediction) -> dict[str, Any]:
        """The labels as a list, and the probability of each label."""
        return {"prediction": list(prediction.labels), "scores": dict(prediction.scores)}

    def right(self, values: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Whether the labels are the row's, all of them and no other."""
        right: np.ndarray = (self.answered(values) == targets.astype(bool)).all(axis=1)
        return right

    def score(self, values: np.ndarray, targets: np.ndarray) -> LabelScores:
        """Macro-F1, micro-F1 and what they are made of."""
        return score_labels(self.labels, values, self.answered(values), targets.astype(bool))

    def judge(
        self, values: np.ndarray, targets: np.ndarray, *, target_accuracy: float | None = None,
        outside: tuple[Sequence[str], np.ndarray] | None = None, seed: int = 0,
    ) -> Judgement:  # fmt: skip
        """Scores with intervals, label by label; thresholds; what the probabilities are worth."""
        true, answered = targets.astype(bool), self.answered(values)
        scores = self.score(values, targets)
        return Judgement(
            scores=scores,
            shown=METRICS,
            intervals={
                **bootstrap_labels([answered], true, seed=seed),
                "lrap": mean_interval(ranking_precision(values, true), seed=seed),
                "hamming_loss": mean_interval((answered != true).mean(axis=1), seed=seed),
            },
            by_label=scores,
            curves=curves(self.labels, self.thresholds, values, true),
            calibration=calibration_of(
                values.ravel(), true.ravel(), seed=seed, unit="labels of rows"
            ),
            answers=tuple(f"{sign}{label}" for sign in "+−" for label in self.labels),
            wrong=label_mistakes(values, answered, true),
            suspects=label_suspects(values, true),
        )

    def compare(
        self, other: str, ours: np.ndarray, theirs: np.ndarray, targets: np.ndarray, *,
        by: Task | None = None, **options: Any,
    ) -> Comparison:  # fmt: skip
        """Macro-F1, micro-F1, subset accuracy, LRAP and log loss of both, each at its thresholds.

        ``by`` is the other model's task, whose labels may have another order.
        """
        task = self
        if isinstance(by, MultiLabel):
            lines = dict(zip(by.labels, by.thresholds, strict=True))
            task = replace(self, thresholds=tuple(lines[label] for label in self.labels))
        answered = self.answered(ours), task.answered(theirs)
        return compare_labels(
            other, answered, targets.astype(bool), probabilities=(ours, theirs), **options
        )

    def baseline(
        self, learned: tuple[Any, np.ndarray], features: Any, ours: np.ndarray,
        targets: np.ndarray, *, metric: str,
    ) -> tuple[Comparison, Interval]:  # fmt: skip
        """Our answers beside those of a linear SVM a label, which answers it or not."""
        theirs = _by_linear_machines(learned, features)
        true = targets.astype(bool)
        other = f"TF-IDF + {self.linear_model}"
        compared = compare_labels(other, (self.answered(ours), theirs), true, metric=metric)
        return compared, bootstrap_labels([theirs], true)["macro_f1"]


def _by_linear_machines(learned: tuple[Any, np.ndarray], features: Any) -> np.ndarray:
    """Which labels a linear SVM each answers, bool ``[rows, labels]``."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    answers = np.zeros((features.shape[0], learned[1].shape[1]), dtype=bool)
    for label, of_label in enumerate(learned[1].T):
        if of_label.min() == of_label.max():  # nothing to tell apart
            answers[:, label] = bool(of_label[0])
            continue
        machine = LinearSVC(C=1.0, class_weight="balanced", random_state=0)
        with warnings.catch_warnings():
            # The weights' last digits are still on their way: they decide no answer.
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.fit(learned[0], of_label)
        answers[:, label] = machine.predict(features) > 0
    return answers
