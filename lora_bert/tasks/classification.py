"""Single-label classification: labels in order, the loss, and what a prediction is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_bert.data.examples import Examples
from lora_bert.data.wording import shortened
from lora_bert.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

TASK = "text-classification"
PROBLEM_TYPE = "single_label_classification"
_SHOWN = 3
"""Labels in the ``repr`` of a prediction."""


@dataclass(frozen=True)
class Prediction:
    """What an adapter says of one text.

    Attributes:
        label: The likeliest label.
        score: Its probability, 0..1.
        scores: The probability of every label, in the labels' stored order; they add up to 1.
    """

    label: str
    score: float
    scores: Mapping[str, float]

    def __repr__(self) -> str:
        best = sorted(self.scores.items(), key=lambda item: -item[1])[:_SHOWN]
        shown = ", ".join(f"{shortened(label)!r}: {score:.4f}" for label, score in best)
        more = f", … {len(self.scores) - _SHOWN:,} more" if len(self.scores) > _SHOWN else ""
        return f"Prediction({shortened(self.label)!r}, {self.score:.4f}, {{{shown}{more}}})"


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

    def encode(self, rows: Examples) -> list[int]:
        """Class indices of the labels of ``rows``.

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
                    "with --label-names old=new,….".strip(),
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


def decode(labels: Sequence[str], probabilities: np.ndarray) -> list[Prediction]:
    """Probabilities ``[rows, labels]`` -> predictions."""
    predictions = []
    for row in probabilities.tolist():
        best = max(range(len(row)), key=row.__getitem__)
        predictions.append(Prediction(labels[best], row[best], dict(zip(labels, row, strict=True))))
    return predictions
