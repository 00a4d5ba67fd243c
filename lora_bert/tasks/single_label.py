"""Single-label classification: one label a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from lora_bert.data.examples import Examples
from lora_bert.errors import ConfigError, DataError, did_you_mean
from lora_bert.metrics.classification import Scores, score
from lora_bert.metrics.metric import Metric
from lora_bert.tasks.base import HeadSpec
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.wording import shortened

if TYPE_CHECKING:
    from torch import Tensor

TASK = "text-classification"
PROBLEM_TYPE = "single_label_classification"
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
class Refusal:
    """When to answer with no label of the model, and what then.

    Attributes:
        below: Answers whose probability is less than this are not given, 0..1.
        answer: What is answered instead.
    """

    below: float
    answer: str

    @classmethod
    def asked(
        cls, min_score: float | None, otherwise: str | None, labels: Sequence[str]
    ) -> Refusal | None:
        """What was asked for; None where every text is answered with its likeliest label.

        Raises:
            ConfigError: ``otherwise`` without ``min_score``, or one of the model's own labels;
                a probability that is none.
        """
        if min_score is None:
            if otherwise is not None:
                raise ConfigError(
                    "--otherwise needs --min-score: the probability below which it is the answer."
                )
            return None
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
        if answer in labels:
            raise ConfigError(
                f"--otherwise '{shortened(answer)}': the model has a label of this name, so its "
                "answers could not be told from refusals.",
                hint="Name another answer with --otherwise.",
            )
        return cls(float(min_score), answer)


@dataclass(frozen=True)
class LabelCodec:
    """Labels as users write them <-> the model's class indices; the order never changes."""

    labels: tuple[str, ...]

    @classmethod
    def of(cls, labels: Sequence[str]) -> LabelCodec:
        """The codec of a training set: whole numbers by value, all else by spelling."""
        distinct = set(labels)
        if all(label.removeprefix("-").isdecimal() for label in distinct):
            return cls(tuple(sorted(distinct, key=lambda label: (int(label), label))))
        return cls(tuple(sorted(distinct)))

    def __len__(self) -> int:
        return len(self.labels)

    def encode(self, rows: Examples, *, or_else: str = "") -> list[int]:
        """Class indices of the labels of ``rows``.

        Args:
            rows: With labels.
            or_else: What else can be done about a label that is not known, for the hint.

        Raises:
            DataError: A label the adapter does not know.
        """
        index = {label: number for number, label in enumerate(self.labels)}
        for row, label in enumerate(rows.labels):
            if label not in index:
                shown = ", ".join(self.labels[:10]) + (" …" if len(self) > 10 else "")
                raise DataError(
                    f"{rows.at(row)}: the label '{shortened(label)}' is not one of the adapter's.",
                    hint=f"{did_you_mean(label, self.labels)} It knows: {shown}. Rename labels "
                    f"with --label-names old=new,…. {or_else}".strip(),
                )
        return [index[label] for label in rows.labels]


@dataclass(frozen=True)
class SingleLabel:
    """One label a text: a softmax over the labels.

    Attributes:
        labels: In the order of the outputs.
        class_weights: Of each label in the loss; None weighs every row alike.
    """

    problem_type: ClassVar[str] = PROBLEM_TYPE
    peft_task_type: ClassVar[str] = "SEQ_CLS"
    inputs: ClassVar[Literal[1, 2]] = 1
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", "accuracy"),
        Metric("macro_f1", "macro-F1"),
        Metric("log_loss", "log loss", higher_is_better=False),
    )

    labels: tuple[str, ...]
    class_weights: tuple[float, ...] | None = None

    @classmethod
    def of(cls, examples: Examples, *, class_weights: str = "none") -> Self:
        """The labels that occur; ``balanced`` weights as scikit-learn's."""
        codec = LabelCodec.of(examples.labels)
        if class_weights != "balanced":
            return cls(codec.labels)
        return cls(codec.labels, balanced_weights(codec.encode(examples), len(codec)))

    @classmethod
    def restored(cls, labels: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """A saved adapter's: nothing but the labels counts."""
        return cls(tuple(labels))

    @property
    def settings(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def head(self) -> HeadSpec:
        """An output a label, of the whole text."""
        return HeadSpec(len(self.labels))

    def targets(self, examples: Examples, tokens: TokenizedTexts, *, hint: str = "") -> np.ndarray:
        """The index of each row's label, int64 ``[rows]``.

        Raises:
            DataError: A label that is none of these; names the row.
        """
        return np.asarray(LabelCodec(self.labels).encode(examples, or_else=hint), dtype=np.int64)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy of ``outputs [rows, labels]`` and ``targets [rows]``."""
        weights = None if self.class_weights is None else outputs.new_tensor(self.class_weights)
        return loss(outputs, targets, weights)

    def weight(self, targets: np.ndarray) -> float:
        """The rows, or the sum of their classes' weights."""
        if self.class_weights is None:
            return float(len(targets))
        return float(np.asarray(self.class_weights)[targets].sum())

    def chance_loss(self, targets: np.ndarray) -> float:
        """The entropy of the labels' shares, as the loss weighs them, in nats."""
        counts = np.bincount(targets, minlength=len(self.labels)).astype(float)
        counts *= 1.0 if self.class_weights is None else np.asarray(self.class_weights)
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities ``[rows, labels]``; each row adds up to 1."""
        return softmax(outputs)

    def decode(self, values: np.ndarray, refusal: Refusal | None = None) -> list[Prediction]:
        """Probabilities -> predictions; ``refusal`` says when none is given."""
        return decode(self.labels, values, refusal)

    def score(self, values: np.ndarray, targets: np.ndarray) -> Scores:
        """Accuracy, F1, log loss and what they are made of."""
        return score(self.labels, values, targets)


def balanced_weights(targets: Sequence[int], classes: int) -> tuple[float, ...]:
    """``balanced`` weights as scikit-learn's: rows / (classes · rows of the class)."""
    counts = [0] * classes
    for target in targets:
        counts[target] += 1
    return tuple(len(targets) / (classes * count) if count else 0.0 for count in counts)


def loss(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Summed cross-entropy of ``logits [rows, labels]``; ``weights [labels]`` weigh the classes."""
    from torch.nn import functional as F

    return F.cross_entropy(logits.float(), targets, weight=weights, reduction="sum")


def softmax(outputs: np.ndarray) -> np.ndarray:
    """Logits ``[rows, labels]`` -> probabilities, in their own dtype."""
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    found: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return found


def decode(
    labels: Sequence[str], probabilities: np.ndarray, refusal: Refusal | None = None
) -> list[Prediction]:
    """Probabilities ``[rows, labels]`` -> predictions."""
    answers = answered(labels, probabilities, refusal)
    return [
        Prediction(answer, max(row), dict(zip(labels, row, strict=True)))
        for answer, row in zip(answers, probabilities.tolist(), strict=True)
    ]


def answered(
    labels: Sequence[str], probabilities: np.ndarray, refusal: Refusal | None = None
) -> list[str]:
    """The answers alone: the likeliest labels, but for those that are refused."""
    best = [labels[index] for index in probabilities.argmax(axis=1)]
    if refusal is None:
        return best
    # As Python's floats, which is how scores are shown and compared with elsewhere.
    scores = probabilities.max(axis=1).tolist()
    return [
        refusal.answer if score < refusal.below else label
        for label, score in zip(best, scores, strict=True)
    ]
