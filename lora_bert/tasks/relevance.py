"""Relevance: how well the second text of a pair fits the first, one output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from lora_bert.data.stored import hashes, numbered
from lora_bert.data.texts import columns_of
from lora_bert.errors import AdapterError, DataError, did_you_mean
from lora_bert.metrics.comparison import Comparison
from lora_bert.metrics.intervals import Interval
from lora_bert.metrics.metric import Metric
from lora_bert.metrics.ranking import (
    METRICS,
    OF_ROWS,
    RankingScores,
    bootstrap_ranking,
    compare_ranking,
    ordered_queries,
    score_ranking,
)
from lora_bert.tasks.base import HeadSpec, Task
from lora_bert.tasks.judgement import Judgement
from lora_bert.tasks.logistic import logistic_regression
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.wording import counted, listed, shortened

if TYPE_CHECKING:
    from torch import Tensor

    from lora_bert.data.examples import Examples

_RELEVANT = frozenset(
    "yes true relevant positive match duplicate related good y t 是 相关 正确 匹配 相似 对".split()
)
"""What the relevant one of two labels is called, where they are no numbers."""


@dataclass(frozen=True)
class Relevance(Task):
    """How relevant the second text is to the first, 0…1: a sigmoid on one output.

    Attributes:
        labels: The label of the most relevant rows, which the output stands for.
        grades: How relevant each label of the training is, 0…1: of two labels 0 and 1, of more
            numbers their share of the largest.
        weights: What irrelevant and relevant rows weigh in the loss.
    """

    problem_type: ClassVar[str] = "relevance"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    values_are: ClassVar[str] = "probabilities"
    apart_in: ClassVar[str] = "probability"
    judged_with: ClassVar[tuple[str, ...]] = ("against", "baseline")
    linear_model: ClassVar[str] = "linear SVM"
    linear_class: ClassVar[str] = "LinearSVC"
    activation: ClassVar[str] = ".sigmoid()"
    # transformers' pipeline and sentence-transformers' CrossEncoder both put a sigmoid on it.
    in_config: ClassVar[Mapping[str, Any]] = {
        "problem_type": "multi_label_classification",
        "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"},
    }

    labels: tuple[str, ...]
    grades: Mapping[str, float]
    weights: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(cls, examples: Examples, *, class_weights: str = "none") -> Self:
        """Grades of the labels that occur: two, or numbers that are not below 0.

        Raises:
            DataError: Rows are single texts, or which of two labels is the relevant one is not
                known, or labels are no grades.
        """
        if examples.inputs < 2:
            raise DataError(
                f"'{examples.source}' has one text a row; relevance is asked of pairs, a query and "
                "a passage for example.",
                hint="Name the columns with --text-column and --text-pair-column.",
            )
        grades = _graded(sorted(set(examples.labels)), examples.source)
        task = cls((max(grades, key=lambda label: grades[label]),), grades)
        if class_weights != "balanced":
            return task
        relevant = float(np.mean([grades[label] > 0 for label in examples.labels]))
        return replace(task, weights=(0.5 / (1 - relevant), 0.5 / relevant))

    @classmethod
    def restored(cls, labels: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """A saved adapter's.

        Raises:
            AdapterError: It has several outputs, or grades that are none.
        """
        grades = settings.get("grades")
        if len(labels) != 1 or not isinstance(grades, dict):
            raise AdapterError("a model of relevance has one output, and 'grades' of its labels.")
        if not all(type(each) in (int, float) and 0 <= each <= 1 for each in grades.values()):
            raise AdapterError("'grades' must be numbers from 0 to 1.")
        return cls(tuple(labels), {label: float(grade) for label, grade in grades.items()})

    @property
    def settings(self) -> dict[str, Any]:
        """The grades."""
        return {"grades": dict(self.grades)}

    def settings_in_words(self) -> str:
        """How an output becomes an answer."""
        return "The answer is the sigmoid of the output: how relevant the second text is, 0 to 1"

    def head(self) -> HeadSpec:
        """One output, of the whole pair."""
        return HeadSpec(1)

    def targets(self, examples: Examples, tokens: TokenizedTexts, *, hint: str = "") -> np.ndarray:
        """Grade, and the number of the first text among the rows: float32 ``[rows, 2]``.

        Raises:
            DataError: A label that training did not have, which names the row; or all rows are
                relevant, or none is.
        """
        for row, label in enumerate(examples.labels):
            if label not in self.grades:
                raise DataError(
                    f"{examples.at(row)}: the label '{shortened(label)}' is not one of the "
                    "adapter's.",
                    hint=f"{did_you_mean(label, self.grades)} It knows: {listed(self.grades)}. "
                    f"Rename labels with --label-names old=new,…. {hint}".strip(),
                )
        grades = np.array([self.grades[label] for label in examples.labels], np.float32)
        if len({*(grades > 0).tolist()}) == 1:  # said before a training, not behind it
            kind = "irrelevant" if grades[0] else "relevant"
            raise DataError(
                f"Of {counted(len(grades), 'row')} of '{examples.source}' none is {kind}: there is "
                "nothing to tell apart."
            )
        first = columns_of(examples.texts)[0]
        queries = numbered(hashes(map(str.strip, first), len(first)))
        return np.stack([grades, queries.astype(np.float32)], axis=1)

    def figures_of(self, targets: np.ndarray) -> tuple[Metric, ...]:
        """Those of rows; those of queries too where some query has rows of both kinds."""
        return METRICS if ordered_queries(*_apart(targets)) else OF_ROWS

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Summed binary cross-entropy of ``outputs [rows, 1]`` and ``targets [rows, 2]``."""
        from torch.nn import functional as F

        grades = targets[:, 0]
        weights = (grades > 0).float() * (self.weights[1] - self.weights[0]) + self.weights[0]
        return F.binary_cross_entropy_with_logits(
            outputs[:, 0].float(), grades, weight=weights, reduction="sum"
        )

    def weight(self, targets: np.ndarray) -> float:
        """The rows, or the sum of their weights."""
        return float(np.where(targets[:, 0] > 0, self.weights[1], self.weights[0]).sum())

    def chance_loss(self, targets: np.ndarray) -> float:
        """The loss of the mean grade as the answer to every row, in nats."""
        weights = np.where(targets[:, 0] > 0, self.weights[1], self.weights[0])
        mean = float(np.average(targets[:, 0], weights=weights))
        return -sum(part * math.log(part) for part in (mean, 1 - mean) if part > 0)

    def fresh_loss(self, targets: np.ndarray) -> float:
        """That of even odds, in nats."""
        return math.log(2)

    def probe(
        self, features: np.ndarray, targets: np.ndarray, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logistic regression of relevant rows against the others."""
        relevant = (targets[:, 0] > 0).astype(np.int64)
        weight, bias = logistic_regression(features, relevant, np.array(self.weights), seed=seed)
        return weight[1:] - weight[:1], bias[1:] - bias[:1]

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities ``[rows, 1]``, in the outputs' dtype."""
        values: np.ndarray = 0.5 * (1 + np.tanh(0.5 * outputs))
        return values

    def decode(self, values: np.ndarray) -> list[float]:
        """How relevant each second text is, 0…1."""
        answers: list[float] = values[:, 0].tolist()
        return answers

    def line(self, prediction: float) -> tuple[str, ...]:
        """The number."""
        return (f"{prediction:.4f}",)

    def score(self, values: np.ndarray, targets: np.ndarray) -> RankingScores:
        """AUC and average precision; MRR and NDCG where rows share a query."""
        return score_ranking(values[:, 0].astype(np.float64), *_apart(targets))

    def judge(
        self, values: np.ndarray, targets: np.ndarray, *, target_accuracy: float | None = None,
        outside: tuple[Sequence[str], np.ndarray] | None = None, seed: int = 0,
    ) -> Judgement:  # fmt: skip
        """Scores with intervals."""
        return Judgement(
            scores=self.score(values, targets),
            shown=self.figures_of(targets),
            intervals=bootstrap_ranking(
                [values[:, 0].astype(np.float64)], *_apart(targets), seed=seed
            ),
        )

    def alike(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Whether they differ by less than a hundredth."""
        alike: np.ndarray = self.apart(ours, theirs) < 0.01
        return alike

    def compare(
        self, other: str, ours: np.ndarray, theirs: np.ndarray, targets: np.ndarray, *,
        by: Task | None = None, **options: Any,
    ) -> Comparison:  # fmt: skip
        """The figures of both."""
        our, their = (each[:, 0].astype(np.float64) for each in (ours, theirs))
        return compare_ranking(other, our, their, *_apart(targets), **options)

    def baseline(
        self, learned: tuple[Any, np.ndarray], features: Any, ours: np.ndarray,
        targets: np.ndarray, *, metric: str,
    ) -> tuple[Comparison, Interval]:  # fmt: skip
        """Our scores beside those of a linear SVM."""
        from sklearn.svm import LinearSVC

        machine = LinearSVC(C=1.0, random_state=0).fit(learned[0], learned[1][:, 0] > 0)
        theirs = machine.decision_function(features)
        mine, other = ours[:, 0].astype(np.float64), f"TF-IDF + {self.linear_model}"
        compared = compare_ranking(other, mine, theirs, *_apart(targets), metric=metric)
        return compared, bootstrap_ranking([theirs], *_apart(targets))["auc"]


def _apart(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grades and the numbers of queries, ``[rows]`` both."""
    return targets[:, 0].astype(np.float64), targets[:, 1].astype(np.int64)


def _graded(labels: Sequence[str], source: str) -> dict[str, float]:
    """How relevant each label is, 0…1.

    Raises:
        DataError: That is not known, or all are equal.
    """
    try:
        numbers = {label: float(label) for label in labels}
    except ValueError:
        numbers = {}
    if len(labels) == 1:
        only = shortened(labels[0])
        raise DataError(f"'{source}' has one label only, '{only}': there is nothing to tell apart.")

    if not numbers and len(labels) == 2:
        relevant = [label for label in labels if label.strip().lower() in _RELEVANT]
        if len(relevant) == 1:
            return {label: float(label in relevant) for label in labels}
    if not numbers or not all(math.isfinite(each) for each in numbers.values()):
        raise DataError(
            f"'{source}': which labels are how relevant is not known of {listed(labels)}.",
            hint="Say it with numbers: --label-names NAME=0,NAME=1; or leave --task out for "
            "classes.",
        )
    low, high = min(numbers.values()), max(numbers.values())
    if low < 0 and len(labels) > 2:
        raise DataError(f"'{source}' has the label {low:g}: a grade of relevance is 0 or more.")
    low = low if len(labels) == 2 else 0.0
    return {label: (number - low) / (high - low) for label, number in numbers.items()}
