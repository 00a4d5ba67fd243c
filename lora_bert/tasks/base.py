"""What a task is: everything that depends on what is asked of a text, and nothing else.

Rooms above and below know no task by name: they are handed a :class:`Task` and call it. A task is
added as one file here, its figures as one in ``metrics/``, and is registered by its problem type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from lora_bert.data.examples import Examples
from lora_bert.metrics.metric import Metric
from lora_bert.tokens.tokenized import TokenizedTexts

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class HeadSpec:
    """What the head of a task reads and how much it gives.

    Attributes:
        outputs: Width of the last layer.
        reads: ``text``: the vector that stands for the whole text; ``tokens``: each token's.
    """

    outputs: int
    reads: Literal["text", "tokens"] = "text"


class Scores(Protocol):
    """What labelled rows say about a classifier, whatever its task.

    Every :class:`~lora_bert.metrics.metric.Metric` of the task is an attribute, a float.
    """

    @property
    def rows(self) -> int:
        """How many rows were scored."""

    @property
    def figures(self) -> dict[str, float]:
        """The task's metrics by name, in their order."""


class Task(Protocol):
    """What is asked of a text: targets, head, loss, activation, decoding and figures.

    Attributes:
        problem_type: As ``config.json`` and the manifest call it; the key in the registry.
        peft_task_type: As ``adapter_config.json`` calls it: ``SEQ_CLS``, ``TOKEN_CLS`` …
        inputs: Texts a row: 1, or 2 for pairs.
        metrics: Figures that can pick the best epoch; the first one does unless another is asked
            for.
    """

    problem_type: ClassVar[str]
    peft_task_type: ClassVar[str]
    inputs: ClassVar[Literal[1, 2]]
    metrics: ClassVar[tuple[Metric, ...]]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the outputs, in their order."""

    @classmethod
    def of(cls, examples: Examples, *, class_weights: str = "none") -> Self:
        """The task of a training set.

        Args:
            examples: The training rows.
            class_weights: ``none`` or ``balanced``.
        """

    @classmethod
    def restored(cls, labels: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """The task of a saved adapter: its labels, and what :attr:`settings` gave."""

    @property
    def settings(self) -> dict[str, Any]:
        """What decoding needs beside the labels, as JSON values: kept in the manifest."""

    def head(self) -> HeadSpec:
        """What the head reads and how many outputs it has."""

    def targets(self, examples: Examples, tokens: TokenizedTexts, *, hint: str = "") -> np.ndarray:
        """What the outputs of each row should be, ``[rows, …]``.

        Args:
            examples: With raw labels.
            tokens: The same rows, tokenized.
            hint: What else can be done about a label that is not known.

        Raises:
            DataError: A label that is none of the task's; names the row.
        """

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The summed loss of ``outputs [rows, outputs]``: a number, float32, differentiable."""

    def weight(self, targets: np.ndarray) -> float:
        """What the summed loss of these rows is divided by."""

    def chance_loss(self, targets: np.ndarray) -> float:
        """The mean loss of answers that know nothing of a text but how frequent its answer is."""

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs ``[rows, outputs]`` -> what is shown of them, float32: probabilities, numbers."""

    def decode(self, values: np.ndarray) -> list[Any]:
        """Values -> a prediction a row, in order."""

    def score(self, values: np.ndarray, targets: np.ndarray) -> Scores:
        """The figures of answered rows.

        Raises:
            DataError: There are no rows.
            AdapterError: A value is not a finite number.
        """
