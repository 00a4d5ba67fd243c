"""Regression: a number a text."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from lora_bert.data.number_labels import Mark, amounts_in, numbers_of
from lora_bert.errors import AdapterError, ConfigError, DataError
from lora_bert.metrics.comparison import Comparison
from lora_bert.metrics.intervals import Interval
from lora_bert.metrics.metric import Metric
from lora_bert.metrics.regression import (
    DISTANCES,
    METRICS,
    Errors,
    NumberScores,
    bootstrap_numbers,
    compare_numbers,
    score_numbers,
)
from lora_bert.tasks.base import HeadSpec, Task
from lora_bert.tasks.judgement import Judgement
from lora_bert.tasks.ridge import ridge_regression
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.wording import counted

if TYPE_CHECKING:
    from torch import Tensor

    from lora_bert.data.data_options import DataOptions, LabelForm
    from lora_bert.data.examples import Examples
    from lora_bert.data.tables import Table

log = logging.getLogger(__name__)

OUTPUT = "value"
"""What the one output is called."""
_FAR_OUT = 3.0
"""A number further from the middle half than so many times its width is far from the others."""
_ALIKE = 0.01
"""Answers that differ by less than this part of the numbers' deviation are the same."""


@dataclass(frozen=True)
class Regression(Task):
    """A number a text: one output, standardised while it is learned.

    Attributes:
        labels: The name of the output.
        mean: What is added to an output that was multiplied by ``deviation``.
        deviation: The standard deviation of the training's numbers; 1 of a model whose last layer
            gives the numbers themselves.
        spread: The same deviation, also of such a model: what is near is measured by it.
        mark: What stands before the decimals in the training's file.
    """

    problem_type: ClassVar[str] = "regression"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    label_form: ClassVar[LabelForm] = "number"
    random_start: ClassVar[bool] = True
    values_are: ClassVar[str] = "numbers"
    apart_in: ClassVar[str] = "standard deviations"
    judged_with: ClassVar[tuple[str, ...]] = ("against", "baseline")
    linear_model: ClassVar[str] = "ridge regression"
    linear_class: ClassVar[str] = "Ridge"
    # sentence-transformers' CrossEncoder would put a sigmoid on one output.
    in_config: ClassVar[Mapping[str, Any]] = {
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
    }

    labels: tuple[str, ...] = (OUTPUT,)
    mean: float = 0.0
    deviation: float = 1.0
    spread: float = 1.0
    mark: Mark | None = None

    @classmethod
    def recognises(cls, table: Table, options: DataOptions) -> str:
        """Whether labels are amounts.

        Raises:
            DataError: They may be amounts or numbers of classes.
        """
        return amounts_in(table, options)

    @classmethod
    def of(cls, examples: Examples, *, class_weights: str = "none") -> Self:
        """The mean and the deviation of the numbers; their range, and outliers, are said.

        Raises:
            ConfigError: Weights of classes are asked for.
            DataError: A label is no number, or all are the same one.
        """
        if class_weights != "none":
            raise ConfigError("--class-weights is for classes; a regression has none.")
        labels, mark = numbers_of(examples.labels, None, examples)
        values = np.array(labels)
        if values.min() == values.max():
            raise DataError(
                f"'{examples.source}' has one value only, {values[0]:g}: there is nothing to learn."
            )
        with np.errstate(all="ignore"):
            mean, deviation = float(values.mean()), float(values.std())
        if not math.isfinite(deviation):
            raise DataError(f"'{examples.source}': the labels are too large to be learned.")
        log.info(
            "Numbers from %s to %s, mean %s, standard deviation %s.",
            *(f"{each:.4g}" for each in (values.min(), values.max(), mean, deviation)),
        )
        _say_outliers(examples, values)
        return cls((OUTPUT,), mean, deviation, deviation, mark)

    @classmethod
    def restored(cls, labels: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """A saved adapter's; without settings the outputs are the numbers.

        Raises:
            AdapterError: It has several outputs, or a mean or a deviation that is none.
        """
        if len(labels) != 1:
            raise AdapterError(
                f"it is a regression with {counted(len(labels), 'output')}; one is answered."
            )
        named = {"mean": 0.0, "deviation": 1.0}
        numbers = {name: settings.get(name, usual) for name, usual in named.items()}
        numbers["spread"] = settings.get("spread", numbers["deviation"])
        if not all(type(each) in (int, float) and math.isfinite(each) for each in numbers.values()):
            raise AdapterError("'mean' and 'deviation' must be numbers.")
        if min(numbers["deviation"], numbers["spread"]) <= 0:
            raise AdapterError("'deviation' must be more than 0.")
        mark = settings.get("decimal_mark")
        if mark not in (None, ".", ","):
            raise AdapterError("'decimal_mark' must be '.' or ','.")
        return cls(
            tuple(labels), **{name: float(each) for name, each in numbers.items()}, mark=mark
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Mean and deviation, and what stands before the decimals."""
        kept = {"mean": self.mean, "deviation": self.deviation, "spread": self.spread}
        return kept | ({"decimal_mark": self.mark} if self.mark else {})

    def settings_in_words(self) -> str:
        """How an output becomes an answer, where it is not one."""
        if (self.mean, self.deviation) == (0, 1):
            return "The output is the number itself"
        return (
            f"The output is standardised: the number is output · {self.deviation:.7g} + "
            f"{self.mean:.7g}. lora-bert says the number, and so does the merged model"
        )

    def head(self) -> HeadSpec:
        """One output, of the whole text."""
        return HeadSpec(1)

    def targets(self, examples: Examples, tokens: TokenizedTexts, *, hint: str = "") -> np.ndarray:
        """The number of each row, float64 ``[rows]``, in its own unit.

        Raises:
            DataError: A label is no number; names the row.
        """
        return np.array(numbers_of(examples.labels, self.mark, examples)[0])

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squared distance of ``outputs [rows, 1]`` from the standardised numbers, summed."""
        wanted = ((targets - self.mean) / self.deviation).float()
        return (outputs.float()[:, 0] - wanted).square().sum()

    def chance_loss(self, targets: np.ndarray) -> float:
        """That of the mean for every text."""
        return float(np.square((targets - targets.mean()) / self.deviation).mean())

    def probe(
        self, features: np.ndarray, targets: np.ndarray, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ridge regression of the standardised numbers."""
        return ridge_regression(features, (targets - self.mean) / self.deviation, seed=seed)

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """The numbers, float32 ``[rows, 1]``."""
        return (outputs.astype(np.float64) * self.deviation + self.mean).astype(np.float32)

    def folded(self) -> tuple[Self, float, float]:
        """The outputs of a model that stands alone are the numbers."""
        return replace(self, mean=0.0, deviation=1.0), self.deviation, self.mean

    def decode(self, values: np.ndarray) -> list[float]:
        """Values ``[rows, 1]`` -> numbers."""
        numbers: list[float] = values[:, 0].tolist()
        return numbers

    def line(self, prediction: float) -> tuple[str, ...]:
        """The number, to a thousandth of the deviation."""
        digits = max(0, 3 - math.floor(math.log10(self.spread)))
        return (f"{prediction:.{min(digits, 12)}f}",)

    def apart(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """In deviations of the training's numbers."""
        return super().apart(ours, theirs) / self.spread

    def alike(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Whether they differ by less than a hundredth of the deviation."""
        alike: np.ndarray = self.apart(ours, theirs) < _ALIKE
        return alike

    def tuning_notes(self, values: np.ndarray, targets: np.ndarray) -> tuple[str, str]:
        """That numbers which are all the same have no ranks."""
        if targets.min() < targets.max():
            return "", ""
        return "", (
            f"Every validation number is {targets[0]:g}: correlations are 0 there, whatever is "
            "answered, and no epoch is chosen by them."
        )

    def figures_of(self, targets: np.ndarray) -> tuple[Metric, ...]:
        """Without the correlations where the numbers do not vary."""
        return METRICS if np.ptp(targets) > 0 else DISTANCES

    def score(self, values: np.ndarray, targets: np.ndarray) -> NumberScores:
        """Both correlations, and how far the answers are off."""
        return score_numbers(values[:, 0], targets)

    def judge(
        self, values: np.ndarray, targets: np.ndarray, *, target_accuracy: float | None = None,
        outside: tuple[Sequence[str], np.ndarray] | None = None, seed: int = 0,
    ) -> Judgement:  # fmt: skip
        """Scores with intervals; predicted against true, and the rows that are off most."""
        errors = Errors.of(values[:, 0].astype(np.float64), targets)
        return Judgement(
            scores=self.score(values, targets),
            shown=self.figures_of(targets),
            intervals=bootstrap_numbers([values[:, 0]], targets, seed=seed),
            errors=errors,
            residuals=errors.residuals(),
        )

    def compare(
        self, other: str, ours: np.ndarray, theirs: np.ndarray, targets: np.ndarray, *,
        by: Task | None = None, **options: Any,
    ) -> Comparison:  # fmt: skip
        """Both correlations and both errors of both."""
        return compare_numbers(other, ours[:, 0], theirs[:, 0], targets, **options)

    def baseline(
        self, learned: tuple[Any, np.ndarray], features: Any, ours: np.ndarray,
        targets: np.ndarray, *, metric: str,
    ) -> tuple[Comparison, Interval]:  # fmt: skip
        """Our numbers beside those of ridge regression."""
        from sklearn.linear_model import Ridge

        ridge = Ridge(alpha=1.0, solver="sparse_cg", random_state=0)
        theirs = ridge.fit(learned[0], learned[1]).predict(features)
        other = f"TF-IDF + {self.linear_model}"
        compared = compare_numbers(other, ours[:, 0], theirs, targets, metric=metric)
        return compared, bootstrap_numbers([theirs], targets)["spearman"]


def _say_outliers(examples: Examples, values: np.ndarray) -> None:
    """Warn of numbers far from the middle half, which the squared error follows first."""
    low, high = np.quantile(values, [0.25, 0.75])
    width = (high - low) * _FAR_OUT
    far = np.flatnonzero((values < low - width) | (values > high + width)) if width else ()
    if not len(far):
        return
    order = sorted(far, key=lambda row: -abs(values[row] - (low + high) / 2))[:3]
    log.warning(
        "%s far from all others, half of which are %.4g to %.4g: %s%s. If they are mistakes, mend "
        "them: the loss follows them first.",
        counted(len(far), "number lies", "numbers lie"), low, high,
        ", ".join(f"{values[row]:g} ({examples.at(int(row))})" for row in order),
        " …" if len(far) > len(order) else "",
    )  # fmt: skip
