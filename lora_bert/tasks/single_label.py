"""Single-label classification: one label a text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from lora_bert.errors import AdapterError, ConfigError, DataError, did_you_mean
from lora_bert.metrics.calibration import calibration
from lora_bert.metrics.classification import FIGURES, METRICS, Scores, losses, score
from lora_bert.metrics.comparison import Comparison, compare
from lora_bert.metrics.coverage import coverage, reach
from lora_bert.metrics.intervals import Interval, bootstrap
from lora_bert.metrics.metric import Metric
from lora_bert.metrics.out_of_scope import out_of_scope
from lora_bert.metrics.suspects import mistakes, suspects
from lora_bert.metrics.threshold import best_threshold
from lora_bert.tasks.base import HeadSpec, Task
from lora_bert.tasks.judgement import Judgement
from lora_bert.tasks.logistic import logistic_regression
from lora_bert.tasks.problem_types import USUAL
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.wording import shortened

if TYPE_CHECKING:
    from torch import Tensor

    from lora_bert.data.examples import Examples

OTHERWISE = "unknown"
"""The answer where no label is probable enough, unless another is asked for."""

_SHOWN = 3
"""Labels in the ``repr`` of a prediction."""


@dataclass(frozen=True)
class Prediction:
    """What an adapter says of one text.

    Attributes:
        label: The likeliest label; or, where its probability is below a ``min_score`` that was
            asked for, the answer that stands for "none".
        score: The likeliest label's probability, 0..1.
        scores: The probability of every label, in the labels' stored order; they add up to 1.
    """

    label: str
    score: float
    scores: Mapping[str, float]

    @property
    def best(self) -> str:
        """The likeliest label, whether it is the answer or not."""
        return max(self.scores, key=self.scores.__getitem__)

    def __repr__(self) -> str:
        best = sorted(self.scores.items(), key=lambda item: -item[1])[:_SHOWN]
        shown = ", ".join(f"{shortened(label)!r}: {score:.4f}" for label, score in best)
        more = f", … {len(self.scores) - _SHOWN:,} more" if len(self.scores) > _SHOWN else ""
        return f"Prediction({shortened(self.label)!r}, {self.score:.4f}, {{{shown}{more}}})"


@dataclass(frozen=True)
class SingleLabel(Task):
    """One label a text: a softmax over the labels.

    Attributes:
        labels: In the order of the outputs.
        class_weights: Of each label in the loss; None weighs every row alike.
        refusal: The probability below which no label is answered, and what is answered then; None
            answers every text with its likeliest label.
    """

    problem_type: ClassVar[str] = USUAL
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    classes: ClassVar[bool] = True
    values_are: ClassVar[str] = "probabilities"
    apart_in: ClassVar[str] = "probability"
    judged_with: ClassVar[tuple[str, ...]] = (
        "target_accuracy", "out_of_scope", "against", "baseline",
    )  # fmt: skip
    linear_model: ClassVar[str] = "linear SVM"
    linear_class: ClassVar[str] = "LinearSVC"

    labels: tuple[str, ...]
    class_weights: tuple[float, ...] | None = None
    refusal: tuple[float, str] | None = None

    @classmethod
    def of(cls, examples: Examples, *, class_weights: str = "none") -> Self:
        """The labels that occur, whole numbers by value, all else by spelling.

        ``balanced`` weights are scikit-learn's: rows / (classes · rows of the class).
        """
        labels = set(examples.labels)
        numbers = all(label.removeprefix("-").isdecimal() for label in labels)
        task = cls(tuple(sorted(labels, key=lambda name: (int(name) if numbers else 0, name))))
        if class_weights != "balanced":
            return task
        rows, classes = Counter(examples.labels), len(labels)
        weights = tuple(len(examples) / (classes * rows[label]) for label in task.labels)
        return replace(task, class_weights=weights)

    @classmethod
    def restored(cls, labels: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """A saved adapter's: nothing but the labels counts.

        Raises:
            AdapterError: They are fewer than two, or the same one stands among them twice.
        """
        if len(labels) < 2:
            raise AdapterError("'labels' must be at least two strings.")
        if len(set(labels)) != len(labels):
            raise AdapterError("'labels' holds the same label twice.")
        return cls(tuple(labels))

    def head(self) -> HeadSpec:
        """An output a label, of the whole text."""
        return HeadSpec(len(self.labels))

    def targets(self, examples: Examples, tokens: TokenizedTexts, *, hint: str = "") -> np.ndarray:
        """The index of each row's label, int64 ``[rows]``.

        Raises:
            DataError: A label that is none of these; names the row.
        """
        index = {label: number for number, label in enumerate(self.labels)}
        for row, label in enumerate(examples.labels):
            if label not in index:
                shown = ", ".join(self.labels[:10]) + (" …" if len(index) > 10 else "")
                raise DataError(
                    f"{examples.at(row)}: the label '{shortened(label)}' is not one of the "
                    "adapter's.",
                    hint=f"{did_you_mean(label, self.labels)} It knows: {shown}. Rename labels "
                    f"with --label-names old=new,…. {hint}".strip(),
                )
        return np.fromiter(map(index.__getitem__, examples.labels), np.int64, len(examples))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy of ``outputs [rows, labels]`` and ``targets [rows]``."""
        from torch.nn import functional as F

        outputs = outputs.float()
        weights = None if self.class_weights is None else outputs.new_tensor(self.class_weights)
        return F.cross_entropy(outputs, targets, weight=weights, reduction="sum")

    def weight(self, targets: np.ndarray) -> float:
        """The rows, or the sum of their classes' weights."""
        return float(self._weights[targets].sum())

    def chance_loss(self, targets: np.ndarray) -> float:
        """The entropy of the labels' shares, as the loss weighs them, in nats."""
        counts = np.bincount(targets, minlength=len(self.labels)) * self._weights
        shares = counts[counts > 0] / counts.sum()
        return abs(float(-(shares * np.log(shares)).sum()))

    def validation_loss(self, outputs: Tensor, targets: np.ndarray) -> float:
        """The log loss: weighed or not, the classes count as often as they occur."""
        return self.score(self.values(outputs.numpy()), targets).log_loss

    def fresh_loss(self, targets: np.ndarray) -> float:
        """That of even odds, in nats."""
        return math.log(len(self.labels))

    def probe(
        self, features: np.ndarray, targets: np.ndarray, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logistic regression with the weights of the classes, as strong as rows left out say."""
        return logistic_regression(features, targets, self._weights, seed=seed)

    @property
    def _weights(self) -> np.ndarray:
        return np.asarray(self.class_weights or np.ones(len(self.labels)))

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities ``[rows, labels]``, in the outputs' dtype; each row adds up to 1."""
        powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        probabilities: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
        return probabilities

    def answering(self, min_score: float | None, otherwise: str | None) -> Self:
        """The same task, which says ``otherwise`` where no label is as probable as ``min_score``.

        Raises:
            ConfigError: ``otherwise`` without ``min_score``, or one of the model's own labels;
                a probability that is none.
        """
        if min_score is None:
            if otherwise is not None:
                raise ConfigError(
                    "--otherwise needs --min-score: the probability below which it is the answer."
                )
            return replace(self, refusal=None)
        try:
            probable = bool(0 <= min_score <= 1)
        except (TypeError, ValueError):  # a text, an array
            probable = False
        if not probable:
            said = shortened(repr(min_score))
            raise ConfigError(f"--min-score: {said} is not a probability, 0 to 1.")
        answer = OTHERWISE if otherwise is None else otherwise
        if not isinstance(answer, str):
            raise ConfigError(f"--otherwise: {shortened(repr(answer))} is not a text.")
        if not answer.strip():
            raise ConfigError("--otherwise: the answer is empty.", hint=f"Default: {OTHERWISE}.")
        if answer in self.labels:
            raise ConfigError(
                f"--otherwise '{shortened(answer)}': the model has a label of this name, so its "
                "answers could not be told from refusals.",
                hint="Name another answer with --otherwise.",
            )
        return replace(self, refusal=(float(min_score), answer))

    def decode(self, values: np.ndarray) -> list[Prediction]:
        """Probabilities ``[rows, labels]`` -> predictions."""
        return [
            Prediction(answer, max(row), dict(zip(self.labels, row, strict=True)))
            for answer, row in zip(self.answers(values), values.tolist(), strict=True)
        ]

    def answers(self, values: np.ndarray) -> list[str]:
        """The likeliest labels, but for those that are refused."""
        best = self._best(values)
        if self.refusal is None:
            return best
        least, answer = self.refusal
        # As Python's floats, which is how scores are shown and compared with elsewhere.
        scores = values.max(axis=1).tolist()
        return [
            label if score >= least else answer for label, score in zip(best, scores, strict=True)
        ]

    def _best(self, values: np.ndarray) -> list[str]:
        return [self.labels[index] for index in values.argmax(axis=1)]

    def columns(self, values: np.ndarray) -> dict[str, Sequence[Any]]:
        """The answer, its probability and each label's; where some are refused, the likeliest."""
        # The label whose probability the score is, given or not.
        best = {"best": self._best(values)} if self.refusal else {}
        names = (f"prob_{label}" for label in self.labels)
        each = dict(zip(names, values.T.tolist(), strict=True))
        score = values.max(axis=1).tolist()
        return {"prediction": self.answers(values), **best, "score": score, **each}

    def line(self, prediction: Prediction) -> tuple[str, ...]:
        """Label and probability."""
        return (prediction.label, f"{prediction.score:.4f}")

    def document(self, prediction: Prediction) -> dict[str, Any]:
        """Label, probability and each label's; where some are refused, the likeliest."""
        scores = dict(prediction.scores)
        known = {"prediction": prediction.label, "score": prediction.score, "scores": scores}
        return known | ({"best": prediction.best} if self.refusal else {})

    def right(self, values: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Whether the likeliest label is the row's."""
        right: np.ndarray = values.argmax(axis=1) == targets
        return right

    def score(self, values: np.ndarray, targets: np.ndarray) -> Scores:
        """Accuracy, F1, log loss and what they are made of."""
        return score(self.labels, values, targets)

    def judge(
        self, values: np.ndarray, targets: np.ndarray, *, target_accuracy: float | None = None,
        outside: tuple[Sequence[str], np.ndarray] | None = None, seed: int = 0,
    ) -> Judgement:  # fmt: skip
        """Scores with intervals, class by class; what the probabilities are worth; odd rows."""
        scores, answers = self.score(values, targets), values.argmax(axis=1)
        target = reach(values, targets, target_accuracy, seed=seed) if target_accuracy else None
        also_at = [target.reached.min_score] if target and target.reached else []
        scope = out_of_scope(*outside, values, targets, also_at=also_at) if outside else None
        return Judgement(
            scores=scores,
            shown=FIGURES,
            intervals={
                "accuracy": bootstrap(targets, answers, "accuracy", seed=seed),
                "macro_f1": bootstrap(targets, answers, "macro_f1", seed=seed),
            },
            by_class=scores,
            calibration=calibration(values, targets, seed=seed),
            coverage=coverage(values, targets),
            threshold=best_threshold(self.labels, values, targets, seed=seed),
            target=target,
            out_of_scope=scope,
            wrong=mistakes(values, targets),
            suspects=suspects(values, targets),
        )

    def compare(
        self, other: str, ours: np.ndarray, theirs: np.ndarray, targets: np.ndarray, *,
        by: Task | None = None, **options: Any,
    ) -> Comparison:  # fmt: skip
        """Accuracy, macro-F1 and log loss of both."""
        both = losses(ours, targets), losses(theirs, targets)
        answers = ours.argmax(axis=1), theirs.argmax(axis=1)
        return compare(other, *answers, targets, losses=both, **options)

    def baseline(
        self, learned: tuple[Any, np.ndarray], features: Any, ours: np.ndarray,
        targets: np.ndarray, *, metric: str,
    ) -> tuple[Comparison, Interval]:  # fmt: skip
        """Our answers beside those of a linear SVM, whose own interval is that of its accuracy."""
        from sklearn.svm import LinearSVC

        classifier = LinearSVC(C=1.0, random_state=0).fit(*learned)
        theirs = np.asarray(classifier.predict(features), dtype=np.int64)
        other = f"TF-IDF + {self.linear_model}"
        compared = compare(other, ours.argmax(axis=1), theirs, targets, metric=metric)
        return compared, bootstrap(targets, theirs, "accuracy")
