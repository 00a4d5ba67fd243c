"""Single-label classification: labels in order, the loss, and what a prediction is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_bert.data.examples import Examples
from lora_bert.errors import ConfigError, DataError, did_you_mean
from lora_bert.wording import shortened

if TYPE_CHECKING:
    import numpy as np
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


def class_weights(targets: Sequence[int], classes: int) -> list[float]:
    """``balanced`` weights as scikit-learn's: rows / (classes · rows of the class)."""
    counts = [0] * classes
    for target in targets:
        counts[target] += 1
    return [len(targets) / (classes * count) if count else 0.0 for count in counts]


def loss(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Summed cross-entropy of ``logits [rows, labels]``; ``weights [labels]`` weigh the classes."""
    from torch.nn import functional as F

    return F.cross_entropy(logits.float(), targets, weight=weights, reduction="sum")


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
