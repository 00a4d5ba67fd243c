"""What a task is: everything that depends on what is asked of a text, and nothing else.

Rooms above and below know no task by name: they are handed a :class:`Task` and call it. A task is
added as one file here, its figures as one in ``metrics/``, and is registered by its problem type.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from lora_bert.errors import ConfigError, did_you_mean
from lora_bert.metrics.metric import Metric
from lora_bert.options import flag
from lora_bert.tasks.judgement import Judgement, Scores

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from lora_bert.config.shared import Decoding
    from lora_bert.data.data_options import DataOptions, LabelForm
    from lora_bert.data.examples import Examples
    from lora_bert.data.tables import Table
    from lora_bert.metrics.comparison import Comparison
    from lora_bert.metrics.intervals import Interval
    from lora_bert.tokens.tokenized import TokenizedTexts


@dataclass(frozen=True)
class HeadSpec:
    """The head of a task.

    Attributes:
        outputs: How many it has.
        of_tokens: Whether it reads each token by itself, and not the vector that stands for a text.
    """

    outputs: int
    of_tokens: bool = False


class Task(Protocol):
    """What is asked of a text: targets, head, loss, activation, decoding and figures.

    What stands without a body here a task must have; it inherits the rest, or does it better.

    Attributes:
        problem_type: As ``config.json`` and the manifest call it; the key in the registry.
        peft_task_type: As ``adapter_config.json`` calls it: ``SEQ_CLS``, ``TOKEN_CLS`` …
        pipeline: The pipeline of ``transformers`` that answers so.
        auto_class: What ``transformers`` calls such models: ``AutoModelFor…``; we: ``model_is``.
        metrics: Figures that can pick the best epoch, the first one by default.
        classes: Whether a label is one of a few classes, each of which needs rows to learn from:
            then rows are divided class by class, what is wrong with classes is said, and answers
            are right or wrong.
        label_form: What the label of a row is, as ``data/`` reads it.
        input_names: What the texts of a row are called, of pairs both.
        asked_as: How a command asks ``infer`` a text, or a pair.
        max_length: Tokens that are read at once where nobody says otherwise; 0: the usual number.
        random_start: Whether the head starts at random by default where layers learn beneath it. So
            it does where the slope of the loss grows with the distance of an answer, as a squared
            error's does: under a head that is fitted already, whose weights are large, the first
            steps of the layers then throw the answers far off, and they may never come back. And
            where a frozen backbone says so little that the start is soon forgotten.
        values_are: What :meth:`values` gives, in a word.
        apart_in: What :meth:`apart` is measured in: ``probability``, ``standard deviations``.
        judged_with: Which options of ``evaluate`` that compare or look for a line make sense.
        layers: Which layers learn with ``--layers auto``; ``auto``: the upper half, of pairs all.
        least_epochs: Passes over any number of training rows where ``--epochs`` is left out.
        linear_model: What :meth:`baseline` fits, in words, and ``linear_class`` in scikit-learn's.
        in_config: What ``config.json`` of a merged model says of it, in words of transformers and
            of sentence-transformers; empty: that ``problem_type`` is transformers' own.
        cells: A cell by the name of its column, where cells of :meth:`columns` may be empty lists:
            a file with types takes the column's type from it, whatever its rows hold.
        words: By which rule of :mod:`lora_bert.data.words` words are answered; "": whole texts are.
        stride: Tokens that the windows of a row share where rows always come in windows; 0: where
            that is asked for (``--overflow``).
        activation: What makes values of a merged model's outputs, a tensor, in torch's words.
        labels: Names of the outputs, in their order.
    """

    problem_type: ClassVar[str]
    peft_task_type: ClassVar[str] = "SEQ_CLS"
    pipeline: ClassVar[str] = "text-classification"
    auto_class: ClassVar[str] = "SequenceClassification"
    model_is: ClassVar[str] = "classifier"
    metrics: ClassVar[tuple[Metric, ...]]
    classes: ClassVar[bool] = False
    label_form: ClassVar[LabelForm] = "one"
    input_names: ClassVar[tuple[str, str]] = ("text", "text_pair")
    asked_as: ClassVar[tuple[str, str]] = ('"…"', '"…" --pair "…"')
    max_length: ClassVar[int] = 0
    random_start: ClassVar[bool] = False
    values_are: ClassVar[str] = "numbers"
    apart_in: ClassVar[str] = "their own unit"
    judged_with: ClassVar[tuple[str, ...]] = ()
    layers: ClassVar[str] = "auto"
    least_epochs: ClassVar[int] = 3
    linear_model: ClassVar[str] = ""
    linear_class: ClassVar[str] = ""
    in_config: ClassVar[Mapping[str, Any]] = {}
    cells: ClassVar[Mapping[str, Any]] = {}
    activation: ClassVar[str] = ""
    words: str = ""
    stride: int = 0
    labels: tuple[str, ...]

    @classmethod
    def metric(cls, name: str | None) -> Metric:
        """The metric of that name; None: the first one.

        Raises:
            ConfigError: The task has none of that name.
        """
        known = {metric.name: metric for metric in cls.metrics}
        if name is not None and name not in known:
            raise ConfigError(
                f"--metric: '{name}' is not one of {', '.join(known)}.",
                hint=did_you_mean(name, known),
            )
        return cls.metrics[0] if name is None else known[name]

    @classmethod
    def recognises(cls, table: Table, options: DataOptions) -> str:
        """What in training rows says that they are for this task, in words; "" where nothing does.

        Raises:
            DataError: They may be, and the user has to say so.
        """
        return ""

    @classmethod
    @abstractmethod
    def of(cls, examples: Examples, *, class_weights: str = "none") -> Self:
        """The task of a training set.

        ``class_weights`` are ``none`` or ``balanced``.
        """

    @classmethod
    @abstractmethod
    def restored(cls, labels: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """The task of a saved adapter: its labels, and what :attr:`settings` gave.

        Raises:
            AdapterError: They are none that the task can have; the sentence names no file.
        """

    def figures_of(self, targets: np.ndarray) -> tuple[Metric, ...]:
        """The metrics that rows with these targets have a figure of: all of them."""
        return self.metrics

    @property
    def settings(self) -> dict[str, Any]:
        """What decoding needs beside the labels, as JSON values: kept in the manifest."""
        return {}

    def settings_in_words(self) -> str:
        """What :attr:`settings` mean, for the card: a sentence without its stop, or ""."""
        return ""

    def tuned(self, values: np.ndarray, targets: np.ndarray) -> Self:
        """The same task, what it decides by being chosen on these rows, which are not learned from.

        ``values`` and ``targets`` are those of the validation rows.
        """
        return self

    def tuning_notes(self, values: np.ndarray, targets: np.ndarray) -> tuple[str, str]:
        """What is worth knowing of :meth:`tuned`: a note and a warning, each maybe ""."""
        return "", ""

    @property
    def named(self) -> frozenset[str]:
        """The names that renamed labels can have."""
        return frozenset(self.labels)

    @abstractmethod
    def head(self) -> HeadSpec:
        """How many outputs the head has."""

    def epochs(self, rows: int, *, fitted: bool) -> int:
        """How many passes over so many training rows there are where ``--epochs`` is left out.

        As few as :attr:`least_epochs`; more where they show fewer than 4,000 rows, or 600 an
        output, in all; at most 20. A head that starts ``fitted`` knows its outputs already: 1,600
        rows or 240 an output, of which 5,000 rows are enough, or 60 an output; at most 8.
        """
        outputs = self.head().outputs
        shown, most = max(4000, 600 * outputs), 20
        if fitted:
            shown, most = max(1600, min(240 * outputs, 5000), 60 * outputs), 8
        return max(self.least_epochs, min(most, math.ceil(shown / rows)))

    @abstractmethod
    def targets(self, examples: Examples, tokens: TokenizedTexts, *, hint: str = "") -> np.ndarray:
        """What the outputs should be, ``[rows, …]``, out of raw labels and the same rows' tokens.

        Where the head reads tokens, a line for each window of a row.

        Raises:
            DataError: A label that is none of the task's; names the row. ``hint`` says what else
                can be done about it.
        """

    def targets_at(self, targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The :meth:`targets` of some rows, by their numbers, as if those alone were there."""
        chosen: np.ndarray = targets[rows]
        return chosen

    def learning_notes(self, targets: np.ndarray) -> list[str]:
        """What cannot be learned of training rows with these targets, in sentences."""
        return []

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The summed loss of ``outputs [rows, outputs]``: a number, float32, differentiable."""

    def weight(self, targets: np.ndarray) -> float:
        """What the summed loss of these rows is divided by: how many they are."""
        return float(len(targets))

    @abstractmethod
    def chance_loss(self, targets: np.ndarray) -> float:
        """The mean loss of answers that know nothing of a text but how frequent its answer is."""

    def validation_loss(self, outputs: Tensor, targets: np.ndarray) -> float:
        """The mean loss of ``outputs [rows, outputs]`` to rows that nothing is learned from."""
        import torch

        return float(self.loss(outputs, torch.from_numpy(targets))) / self.weight(targets)

    def fresh_loss(self, targets: np.ndarray) -> float:
        """The mean loss that a fresh head has, about."""
        return self.chance_loss(targets)

    @classmethod
    def has_probe(cls) -> bool:
        """Whether :meth:`probe` gives anything."""
        return cls.probe is not Task.probe

    def probe(
        self, features: np.ndarray, targets: np.ndarray, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The last linear layer of the head that answers best from what a frozen backbone says.

        Args:
            features: What that layer reads, float32 ``[rows, width]``, or ``[tokens, width]``.
            targets: Of the same rows, ``[rows, …]``.
            seed: Whatever is drawn depends on it alone.

        Returns:
            Its weight, float32 ``[outputs, width]``, and bias ``[outputs]``; None: the task has no
            such answer, and the layer starts at random.
        """
        return None

    @abstractmethod
    def values(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs ``[rows, outputs]`` -> what is shown of them, float32: probabilities, numbers."""

    def row_values(self, outputs: np.ndarray, tokens: TokenizedTexts) -> np.ndarray:
        """Outputs of all rows' windows -> :meth:`values`, a row each.

        Where the head reads tokens, outputs are ``[tokens, outputs]``, and ``tokens`` say which
        rows they belong to.
        """
        return self.values(self.joined(outputs, tokens))

    def joined(self, outputs: np.ndarray, tokens: TokenizedTexts) -> np.ndarray:
        """Outputs of windows -> the mean of each row's; outputs of tokens stay as they are."""
        return outputs if self.head().of_tokens else tokens.means(outputs)

    def reordered(self, values: np.ndarray, order: Sequence[int]) -> np.ndarray:
        """Values of a model whose outputs are in another order, in ours."""
        reordered: np.ndarray = values[:, order]
        return reordered

    def finite(self, values: np.ndarray) -> bool:
        """Whether values are numbers, all of them."""
        return bool((abs(values) < float("inf")).all())

    def folded(self) -> tuple[Self, float, float]:
        """What a model that stands alone has in its last layer: a factor of the outputs, an addend.

        With the task of such a model, which needs them no more.
        """
        return self, 1.0, 0.0

    def answering(self, min_score: float | None, otherwise: str | None) -> Self:
        """The same task, which says ``otherwise`` where no answer is as probable as ``min_score``.

        Raises:
            ConfigError: They make no sense, for this task or for any.
        """
        if min_score is not None or otherwise is not None:
            raise ConfigError(
                f"--min-score and --otherwise are for labels, which '{self.problem_type}' has not."
            )
        return self

    def aggregating(self, aggregation: str | None) -> Self:
        """The same task, which joins tags of words to entities in another way.

        Raises:
            ConfigError: There is no such way, or it does not tag words.
        """
        if aggregation is not None:
            raise ConfigError(f"--aggregation is for taggers, and this is a '{self.problem_type}'.")
        return self

    def asked_with(self, **options: Any) -> Self:
        """The same task by options of question answering; ConfigError if it finds no answers."""
        if given := [name for name, value in options.items() if value not in (None, "auto")]:
            raise ConfigError(
                f"{flag(given[0])} is for question answering, and this is a '{self.problem_type}'."
            )
        return self

    def told(self, decoding: Decoding) -> Self:
        """The same task with what is said of its answers; ConfigError for what it has not."""
        said = self.answering(decoding.min_score, decoding.otherwise)
        return said.aggregating(decoding.aggregation).asked_with(
            max_answer_length=decoding.max_answer_length, null_threshold=decoding.null_threshold
        )

    @abstractmethod
    def decode(self, values: np.ndarray) -> list[Any]:
        """Values -> a prediction a row, in order."""

    def answers(self, values: np.ndarray) -> list[Any]:
        """What stands in the column ``prediction``, a row each: labels, numbers."""
        return self.decode(values)

    def columns(self, values: np.ndarray) -> dict[str, Sequence[Any]]:
        """What a file of predictions gets, by the column's name, in order."""
        return {"prediction": self.answers(values)}

    def columns_at(
        self, values: np.ndarray, words: Sequence[Sequence[tuple[int, int]]]
    ) -> dict[str, Sequence[Any]]:
        """As :meth:`columns`, of rows whose file gives their words, where these stand."""
        return self.columns(values)

    def line(self, prediction: Any) -> tuple[str, ...]:
        """A prediction as it stands before its text in a terminal, cell by cell."""
        return (str(prediction),)

    def document(self, prediction: Any) -> dict[str, Any]:
        """A prediction as it stands behind its text in JSON."""
        return {"prediction": prediction}

    def right(self, values: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
        """Whether each row is answered rightly, bool ``[rows]``; None where that is no question."""
        return None

    @abstractmethod
    def score(self, values: np.ndarray, targets: np.ndarray) -> Scores:
        """The figures of answered rows.

        Raises:
            DataError: There are no rows.
            AdapterError: A value is not a finite number.
        """

    def judge(
        self, values: np.ndarray, targets: np.ndarray, *, target_accuracy: float | None = None,
        outside: tuple[Sequence[str], np.ndarray] | None = None, seed: int = 0,
    ) -> Judgement:  # fmt: skip
        """The figures of answered rows, and whatever else can be said of them.

        ``target_accuracy`` is the share of right answers to look a line for, 0…1; ``outside`` are
        labels and values of rows that have none of the task's labels. Both are of classes only.

        Raises:
            DataError, AdapterError: As :meth:`score`.
        """
        return Judgement(scores=self.score(values, targets), shown=self.metrics)

    def apart(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """How far the values of two forms of one model are apart, ``[rows]``, 0 … about 1."""
        apart: np.ndarray = abs(ours - theirs).max(axis=1)
        return apart

    def alike(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Whether two forms of one model answer each row with the same, bool ``[rows]``."""
        import numpy as np

        both = zip(self.answers(ours), self.answers(theirs), strict=True)
        return np.array([our == their for our, their in both], dtype=bool)

    def compare(
        self, other: str, ours: np.ndarray, theirs: np.ndarray, targets: np.ndarray, *,
        by: Task | None = None, **options: Any,
    ) -> Comparison:  # fmt: skip
        """Our values beside those of a model called ``other``, its outputs in our order.

        ``by`` is the task of the other model. ``options`` are ``metric`` and ``settings`` of
        :func:`lora_bert.metrics.comparison.compare`.

        Raises:
            ConfigError: Models of this task cannot be compared.
        """
        raise ConfigError(f"--against: models of '{self.problem_type}' cannot be compared.")

    def baseline(
        self, learned: tuple[Any, np.ndarray], features: Any, ours: np.ndarray,
        targets: np.ndarray, *, metric: str,
    ) -> tuple[Comparison, Interval]:  # fmt: skip
        """Our values beside what a linear model says of the same rows, and its own 95 % interval.

        ``learned`` is what it learns from: features, sparse ``[rows, n]``, and targets;
        ``features`` and ``targets`` are those of the scored rows; the verdict is about ``metric``.

        Raises:
            ConfigError: No such model fits this task.
        """
        raise ConfigError(f"--baseline: there is none for '{self.problem_type}'.")
