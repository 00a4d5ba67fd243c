"""Token tagging: a tag for each word, and the entities that the tags stand for."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from lora_bert.data.tag_schemes import OUTSIDE, SCHEMES, entities_of, tags_of
from lora_bert.data.tagged import tags_in
from lora_bert.data.texts import columns_of
from lora_bert.data.words import RULES, words_in
from lora_bert.errors import AdapterError, ConfigError, DataError
from lora_bert.metrics.comparison import Comparison
from lora_bert.metrics.intervals import Interval
from lora_bert.metrics.metric import Metric
from lora_bert.metrics.tagging import METRICS, SHOWN, MarkedText, Scores, compare, intervals, score
from lora_bert.tasks.base import HeadSpec, Task
from lora_bert.tasks.frequent_tags import most_frequent_tags
from lora_bert.tasks.judgement import Judgement
from lora_bert.tasks.legal_tags import LegalTags, check_tags
from lora_bert.tasks.logistic import logistic_regression
from lora_bert.tasks.tagged_words import (
    CELLS,
    Entity,
    Tagged,
    WordValues,
    columns_of_words,
    marked_text,
)
from lora_bert.tasks.word_targets import (
    NO_WORD,
    gold,
    of_rows,
    of_tokens,
    of_words,
    padded,
    row_targets,
    unknown_type,
)
from lora_bert.tokens.tokenized import TokenizedTexts

if TYPE_CHECKING:
    from torch import Tensor

    from lora_bert.data.data_options import DataOptions, LabelForm
    from lora_bert.data.examples import Examples
    from lora_bert.data.tables import Table

_MOST_MARKED, _PROBED = 100, 8000
_WAYS = ("legal", "first")


@dataclass(frozen=True)
class TokenTagging(Task):
    """Tags of words: a softmax at the first piece of each.

    Attributes:
        labels: The tags in IOB2, in the order of the outputs.
        scheme: In which tags are written for users, a key of
            :data:`~lora_bert.data.tag_schemes.SCHEMES`.
        words: How texts are cut into words, a key of :data:`~lora_bert.data.words.RULES`.
        class_weights: Of each tag in the loss; None weighs every word alike.
        legal: Whether only sequences that stand for entities are answered; else each word has its
            likeliest tag, and an entity begins where the type changes too.
    """

    problem_type: ClassVar[str] = "token_tagging"
    peft_task_type: ClassVar[str] = "TOKEN_CLS"
    pipeline: ClassVar[str] = "token-classification"
    auto_class: ClassVar[str] = "TokenClassification"
    model_is: ClassVar[str] = "tagger"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    label_form: ClassVar[LabelForm] = "tags"
    values_are: ClassVar[str] = "probabilities"
    apart_in: ClassVar[str] = "probability"
    in_config: ClassVar[Mapping[str, Any]] = {"problem_type": None}
    judged_with: ClassVar[tuple[str, ...]] = ("against", "baseline")
    cells: ClassVar[Mapping[str, Any]] = CELLS
    layers: ClassVar[str] = "all"
    least_epochs: ClassVar[int] = 10
    linear_model: ClassVar[str] = "the most frequent tag of each word"

    labels: tuple[str, ...]
    scheme: str = "IOB2"
    words: str = "punctuation"
    class_weights: tuple[float, ...] | None = None
    legal: bool = True

    @classmethod
    def recognises(cls, table: Table, options: DataOptions) -> str:
        """Words with a tag each, or texts with marked parts."""
        return tags_in(table, text=options.text_column, tags=options.label_column)

    @classmethod
    def of(cls, examples: Examples, *, class_weights: str = "none") -> Self:
        """The types that occur, in alphabetical order; O comes first.

        ``balanced`` weights are the words' number / (tags · words of the tag), by square root: most
        words are O.
        """
        if examples.tagging is None:
            raise DataError(f"'{examples.source}' has no tags.")
        kinds = Counter(kind for row in examples.labels for _, _, kind in json.loads(row))
        if not kinds:
            raise DataError(
                f"'{examples.source}' has no entity: every tag is {OUTSIDE}, and there is nothing "
                "to learn."
            )
        labels = [OUTSIDE, *(f"{letter}-{kind}" for kind in sorted(kinds) for letter in "BI")]
        scheme, words = examples.tagging
        task = cls(tuple(labels), scheme, words)
        if class_weights != "balanced":
            return task
        texts = columns_of(examples.texts)[0]
        tags = [task._true(*row) for row in zip(texts, examples.labels, strict=True)]
        counts = np.bincount(np.concatenate(tags), minlength=len(labels))
        weights = np.sqrt(counts.sum() / (len(labels) * np.maximum(counts, 1)))
        return replace(task, class_weights=tuple(weights.tolist()))

    @classmethod
    def restored(cls, labels: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """A saved adapter's.

        Raises:
            AdapterError: The labels are no IOB2 tags, or a setting is none.
        """
        check_tags(labels)
        scheme, words = settings.get("scheme", "IOB2"), settings.get("words", "punctuation")
        if scheme not in SCHEMES or words not in RULES:
            raise AdapterError(f"no such tags or words: '{scheme!s:.20}', '{words!s:.20}'.")
        return cls(tuple(labels), scheme, words)

    @property
    def settings(self) -> dict[str, Any]:
        """The scheme, and how texts are cut into words."""
        return {"scheme": self.scheme, "words": self.words}

    @property
    def named(self) -> frozenset[str]:
        """The tags and the types."""
        return frozenset((*self.labels, *(label[2:] for label in self.labels)))

    def head(self) -> HeadSpec:
        """An output a tag, of each token."""
        return HeadSpec(len(self.labels), of_tokens=True)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {label: number for number, label in enumerate(self.labels)}

    @cached_property
    def _legal_tags(self) -> LegalTags:
        return LegalTags(self.labels)

    def _true(self, text: str, label: str) -> np.ndarray:
        """The tags of a labelled text's words, indices ``[words]``; KeyError for another type's."""
        spans = words_in(text, self.words)
        starts = np.array([start for start, _ in spans])
        entities = [
            (*np.searchsorted(starts, (start, end)).tolist(), kind)
            for start, end, kind in json.loads(label)
        ]
        return np.array([self._index[tag] for tag in tags_of(entities, len(spans))], np.int16)

    def targets(self, examples: Examples, tokens: TokenizedTexts, *, hint: str = "") -> np.ndarray:
        """The tags of each window's tokens and words, int16 ``[windows, longest]``.

        See :mod:`lora_bert.tasks.word_targets`.

        Raises:
            DataError: A type that is none of these; names the row.
        """
        if tokens.spans is None:
            raise ValueError("the tokenizer was not asked for words")
        windows: list[np.ndarray] = []
        begins, texts = tokens.begins.tolist(), columns_of(examples.texts)[0]
        for row, (text, label) in enumerate(zip(texts, examples.labels, strict=True)):
            try:
                tags = self._true(text, label)
            except KeyError as error:
                tag = str(error.args[0])
                raise unknown_type(examples.at(row), tag, self.labels) from None
            first, last = begins[row : row + 2]
            spans = tokens.spans[tokens.starts[first] : tokens.starts[last]]
            starts = [start for start, _ in words_in(text, self.words)]
            windows += row_targets(tags, starts, spans[:, 0], tokens.lengths[first:last])
        return padded(windows)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy at the first piece of each word, ``outputs [tokens, tags]``."""
        from torch.nn import functional as F

        outputs = outputs.float()
        weights = None if self.class_weights is None else outputs.new_tensor(self.class_weights)
        return F.cross_entropy(
            outputs, of_tokens(targets).long(), weight=weights, ignore_index=NO_WORD,
            reduction="sum",
        )  # fmt: skip

    @property
    def _weights(self) -> np.ndarray:
        return np.asarray(self.class_weights or np.ones(len(self.labels)))

    def weight(self, targets: np.ndarray) -> float:
        """The words that are read, or the sum of their tags' weights; at least 1."""
        return max(1.0, float(self._weights[targets[targets >= 0]].sum()))

    def chance_loss(self, targets: np.ndarray) -> float:
        """The entropy of the tags' shares, as the loss weighs them, in nats."""
        counts = np.bincount(targets[targets >= 0], minlength=len(self.labels)) * self._weights
        shares = counts[counts > 0] / counts.sum()
        return abs(float(-(shares * np.log(shares)).sum()))

    def fresh_loss(self, targets: np.ndarray) -> float:
        """That of even odds, in nats."""
        return math.log(len(self.labels))

    def probe(
        self, features: np.ndarray, targets: np.ndarray, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logistic regression of words' first pieces, of so many words as it takes seconds for."""
        tags = targets[targets >= NO_WORD]  # row by row, as the features are
        words = np.flatnonzero(tags >= 0)
        if len(words) > _PROBED:
            words = np.random.default_rng(seed).choice(words, _PROBED, replace=False)
        chosen = tags[words].astype(np.int64)
        return logistic_regression(features[words], chosen, self._weights, seed=seed)

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities ``[tokens, tags]``; each row adds up to 1."""
        powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        probabilities: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
        return probabilities

    def row_values(self, outputs: np.ndarray, tokens: TokenizedTexts) -> np.ndarray:
        """The probabilities of each row's words: :class:`WordValues` ``[rows]``."""
        if tokens.spans is None:
            raise ValueError("the tokenizer was not asked for words")
        begins = np.flatnonzero(tokens.spans[:, 0] >= 0)
        probabilities, spans = self.values(outputs[begins]), tokens.spans[begins]
        bounds = np.searchsorted(begins, tokens.starts[tokens.begins]).tolist()
        rows = np.empty(tokens.row_count, dtype=object)
        for row, first in enumerate(tokens.begins[:-1].tolist()):
            part = slice(bounds[row], bounds[row + 1])
            rows[row] = WordValues(tokens.texts[first], spans[part], probabilities[part])
        return rows

    def reordered(self, values: np.ndarray, order: Sequence[int]) -> np.ndarray:
        """The values with their outputs in another order."""
        rows = np.empty(len(values), dtype=object)
        for at, each in enumerate(values):
            rows[at] = replace(each, probabilities=each.probabilities[:, order])
        return rows

    def apart(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """The largest difference of a probability of each row, ``[rows]``."""
        return np.array([
            float(abs(one.probabilities - two.probabilities).max(initial=0))
            for one, two in zip(ours, theirs, strict=True)
        ])  # fmt: skip

    def alike(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Whether every word of a row has the same tag from both, bool ``[rows]``."""
        both = zip(ours, theirs, strict=True)
        return np.array([np.array_equal(self.tags(our), self.tags(their)) for our, their in both])

    def finite(self, values: np.ndarray) -> bool:
        """Whether all probabilities are numbers."""
        return all(bool(np.isfinite(each.probabilities).all()) for each in values)

    def aggregating(self, aggregation: str | None) -> Self:
        """The same task, which answers legal sequences alone, or each word's likeliest tag.

        ``aggregation`` is ``legal`` or ``first``; None changes nothing.

        Raises:
            ConfigError: It is neither.
        """
        if aggregation not in (None, *_WAYS):
            raise ConfigError(f"--aggregation: '{aggregation}' is not one of {', '.join(_WAYS)}.")
        return self if aggregation is None else replace(self, legal=aggregation == _WAYS[0])

    def tags(self, values: WordValues) -> np.ndarray:
        """The indices of the tags that are answered, ``[words]``."""
        if self.legal:
            return self._legal_tags(values.probabilities)
        best: np.ndarray = values.probabilities.argmax(axis=1)
        return best

    def decode(self, values: np.ndarray) -> list[Tagged]:
        """Values of rows -> what is said of them."""
        return [self._tagged(each) for each in values]

    def _tagged(self, values: WordValues) -> Tagged:
        text, spans, chosen = values.text, values.spans.tolist(), self.tags(values)
        scores = values.probabilities[np.arange(len(chosen)), chosen].tolist()
        tags = [self.labels[tag] for tag in chosen]
        found = entities_of(tags, strict=self.legal)
        entities = tuple(
            Entity(
                spans[start][0], spans[end - 1][1], kind, sum(scores[start:end]) / (end - start),
                text[spans[start][0] : spans[end - 1][1]],
            )
            for start, end, kind in found
        )  # fmt: skip
        written = tags_of(found, len(tags), self.scheme)
        words = tuple(text[start:end] for start, end in spans)
        return Tagged(entities, words, tuple(written), tuple(scores))

    def columns(self, values: np.ndarray) -> dict[str, Sequence[Any]]:
        """The entities, the words, and their tags in the scheme of the training's files."""
        return self.columns_at(values, [()] * len(values))

    def columns_at(
        self, values: np.ndarray, words: Sequence[Sequence[tuple[int, int]]]
    ) -> dict[str, Sequence[Any]]:
        """As :meth:`columns`; where a row's words are given, these are the ones that are tagged."""
        said = self.decode(values)
        return columns_of_words([each.text for each in values], said, words, self.scheme)

    def line(self, prediction: Tagged) -> tuple[str, ...]:
        """The entities with their types, or a dash."""
        said = ", ".join(f"{each.text} [{each.label}]" for each in prediction.entities)
        return (said or "-",)

    def document(self, prediction: Tagged) -> dict[str, Any]:
        """The entities, the words, their tags and these tags' probabilities."""
        return {
            "prediction": [vars(entity) for entity in prediction.entities],
            "words": list(prediction.words),
            "tags": list(prediction.tags),
            "scores": list(prediction.scores),
        }

    def score(self, values: np.ndarray, targets: np.ndarray) -> Scores:
        """Entity F1, token accuracy, type by type; a word that was not read counts as O."""
        if not self.finite(values):
            raise AdapterError(
                "The model's probabilities are not numbers.",
                hint="Its training has probably diverged: lower the --learning-rate.",
            )
        rows = of_rows(targets)
        return score(self._said(values, rows), self._gold(rows))

    def targets_at(self, targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Those of all windows of the rows, a line each."""
        whole = of_rows(targets)
        return padded([whole[row] for row in rows])

    def _gold(self, rows: Sequence[np.ndarray]) -> list[list[str]]:
        return [[self.labels[tag] for tag in gold(row).tolist()] for row in rows]

    def _said(self, values: np.ndarray, targets: Sequence[np.ndarray]) -> list[list[str]]:
        """The answered tags of all words of the rows."""
        outside, rows = self._index[OUTSIDE], []
        for each, row in zip(values, targets, strict=True):
            words = of_words(row)
            tags = np.full(len(words), outside)
            tags[words >= 0] = self.tags(each)
            rows.append([self.labels[tag] for tag in tags])
        return rows

    def judge(
        self, values: np.ndarray, targets: np.ndarray, *, target_accuracy: float | None = None,
        outside: tuple[Sequence[str], np.ndarray] | None = None, seed: int = 0,
    ) -> Judgement:  # fmt: skip
        """The figures with intervals, type by type."""
        scores = self.score(values, targets)
        return Judgement(
            scores=scores, shown=SHOWN, intervals=intervals(scores, seed=seed),
            by_type=scores.per_type, marked=self._marked(scores, values, targets),
        )  # fmt: skip

    def _marked(self, scores: Scores, values: np.ndarray, targets: np.ndarray) -> list[MarkedText]:
        """Rows with their entities, at most so many, those with the most mistakes first."""
        right, said, there, *_ = scores.counts.T
        order = np.argsort(-(said + there - 2 * right), kind="stable")[:_MOST_MARKED].tolist()
        worst = list(map(of_rows(targets).__getitem__, order))
        rows = zip(order, self._said(values[order], worst), self._gold(worst), strict=True)
        return [marked_text(row, values[row].text, self.words, *both) for row, *both in rows]

    def baseline(
        self, learned: tuple[Any, np.ndarray], features: Any, ours: np.ndarray,
        targets: np.ndarray, *, metric: str,
    ) -> tuple[Comparison, Interval]:  # fmt: skip
        """Our values beside tags that each word has most often; ``features`` are the texts."""
        known = zip(learned[0], self._gold(of_rows(learned[1])), strict=True)
        said = most_frequent_tags(known, features, self.words)
        theirs = score(said, self._gold(of_rows(targets)))
        compared = compare(self.linear_model, self.score(ours, targets), theirs, metric=metric)
        return compared, intervals(theirs)[METRICS[0].name]

    def compare(
        self, other: str, ours: np.ndarray, theirs: np.ndarray, targets: np.ndarray, *,
        by: Task | None = None, **options: Any,
    ) -> Comparison:  # fmt: skip
        """Entity F1 and token accuracy of both."""
        return compare(other, self.score(ours, targets), self.score(theirs, targets), **options)
