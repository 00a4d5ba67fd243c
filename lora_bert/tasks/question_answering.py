"""Extractive question answering: where the answer to a question stands in its context."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from lora_bert.data.answers import NO_ANSWER, answers_in
from lora_bert.data.texts import columns_of
from lora_bert.errors import AdapterError, ConfigError, DataError
from lora_bert.metrics.answer_texts import UNITS, exact_and_f1, unit_of
from lora_bert.metrics.answers import METRICS, Scores, best_threshold, compare, intervals, score
from lora_bert.metrics.comparison import Comparison
from lora_bert.metrics.intervals import Interval
from lora_bert.metrics.metric import Metric
from lora_bert.metrics.tagging import Mark, MarkedText
from lora_bert.tasks.answer_spans import Answer, AnswerValues, answer_of, values_in
from lora_bert.tasks.answer_targets import UNKNOWN, Column, gold_answers, of_rows, window_targets
from lora_bert.tasks.base import HeadSpec, Task
from lora_bert.tasks.judgement import Judgement
from lora_bert.tasks.nearest_sentence import nearest_sentences
from lora_bert.tasks.pointing import pointing_layer
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.wording import counted

if TYPE_CHECKING:
    from torch import Tensor

    from lora_bert.data.data_options import DataOptions, LabelForm
    from lora_bert.data.examples import Examples
    from lora_bert.data.tables import Table

DOC_STRIDE, LONGEST = 128, 64
"""Tokens that windows share, and those of the longest answer, where nobody says otherwise."""
_MOST_MARKED, _SCRIPT_ROWS = 100, 1000


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """Answers that stand in a context: a softmax over its tokens for each of the two ends.

    A question without an answer points to the first token.

    Attributes:
        labels: ``start`` and ``end``.
        units: What answers are compared in, see :mod:`lora_bert.metrics.answer_texts`.
        stride: Tokens that the windows of a context share.
        max_answer_length: Tokens of the longest answer.
        null_threshold: By how much the first token's score must be above that of the best answer,
            in logits, for no answer to be given; None: every question is answered.
    """

    problem_type: ClassVar[str] = "question_answering"
    peft_task_type: ClassVar[str] = "QUESTION_ANS"
    pipeline: ClassVar[str] = "question-answering"
    auto_class: ClassVar[str] = "QuestionAnswering"
    model_is: ClassVar[str] = "question answering model"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    label_form: ClassVar[LabelForm] = "answers"
    input_names: ClassVar[tuple[str, str]] = ("question", "context")
    asked_as: ClassVar[tuple[str, str]] = ("", '--question "…" --context "…"')
    max_length: ClassVar[int] = 384
    layers: ClassVar[str] = "all"
    random_start: ClassVar[bool] = True
    values_are: ClassVar[str] = "scores of answers"
    apart_in: ClassVar[str] = "probability"
    in_config: ClassVar[Mapping[str, Any]] = {"problem_type": None}
    judged_with: ClassVar[tuple[str, ...]] = ("against", "baseline")
    linear_model: ClassVar[str] = "the sentence that shares most words with the question"

    labels: tuple[str, ...] = ("start", "end")
    units: str = "words"
    stride: int = DOC_STRIDE
    max_answer_length: int = LONGEST
    null_threshold: float | None = None

    @classmethod
    def recognises(cls, table: Table, options: DataOptions) -> str:
        """Questions, contexts, and answers with where they begin."""
        return answers_in(
            table, question=options.text_column, context=options.text_pair_column,
            answers=options.label_column,
        )  # fmt: skip

    @classmethod
    def of(cls, examples: Examples, *, class_weights: str = "none") -> Self:
        """Answers are compared in what the contexts' script calls for.

        Where some questions have no answer, others may have none either.

        Raises:
            ConfigError: Weights of classes are asked for.
            DataError: No question has an answer.
        """
        if class_weights != "none":
            raise ConfigError("--class-weights is for classes; answers have none.")
        different = set(examples.labels)
        if different == {NO_ANSWER}:
            raise DataError(
                f"'{examples.source}' has no question with an answer: there is nothing to learn."
            )
        contexts = columns_of(examples.texts)[-1]
        units = unit_of(contexts[:_SCRIPT_ROWS])
        return cls(units=units, null_threshold=0.0 if NO_ANSWER in different else None)

    @classmethod
    def restored(cls, labels: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """A saved adapter's.

        Raises:
            AdapterError: There are not two labels, or a setting is none.
        """
        if len(labels) != 2:
            raise AdapterError(
                f"{len(labels)} labels: a model that finds answers has two, where one begins and "
                "where it ends."
            )
        made = cls(tuple(labels))
        units = settings.get("units", made.units)
        stride, longest = settings.get("stride", DOC_STRIDE), settings.get("longest", LONGEST)
        threshold = settings.get("null_threshold")
        whole = all(type(number) is int and number > 0 for number in (stride, longest))
        if units not in UNITS or not whole or not _is_threshold(threshold):
            raise AdapterError("'settings' are none of a model that finds answers.")
        return replace(
            made, units=units, stride=stride, max_answer_length=longest, null_threshold=threshold
        )

    @property
    def settings(self) -> dict[str, Any]:
        """What answers are compared in, windows, the longest answer, and when none is given."""
        return {
            "units": self.units, "stride": self.stride, "longest": self.max_answer_length,
            "null_threshold": self.null_threshold,
        }  # fmt: skip

    def settings_in_words(self) -> str:
        """When no answer is given."""
        longest = f"An answer has at most {self.max_answer_length} tokens"
        if self.null_threshold is None:
            return f"{longest}; every question is answered"
        return (
            f"{longest}; none is given where the first token's score is more than "
            f"{self.null_threshold:.2f} above that of the best one"
        )

    def asked_with(self, **options: Any) -> Self:
        """The same task with what ``options`` say: None and ``auto`` change nothing.

        ``doc_stride`` are the tokens that windows share, ``max_answer_length`` those of the longest
        answer; ``answer_units`` is what answers are compared in, ``null_threshold`` as here.
        """
        said = {name: value for name, value in options.items() if value not in (None, "auto")}
        names = {"doc_stride": "stride", "answer_units": "units"}
        return replace(self, **{names.get(name, name): value for name, value in said.items()})

    def head(self) -> HeadSpec:
        """Two outputs, of each token."""
        return HeadSpec(2, of_tokens=True)

    def targets(self, examples: Examples, tokens: TokenizedTexts, *, hint: str = "") -> np.ndarray:
        """Where answers stand in each window, int32 ``[windows, …]``.

        See :mod:`lora_bert.tasks.answer_targets`.
        """
        return window_targets(examples.labels, tokens)

    def learning_notes(self, targets: np.ndarray) -> list[str]:
        """How many answers stand whole in no window, and how many are too long to be given."""
        row = np.cumsum(targets[:, Column.FIRST]) - 1
        there = targets[:, Column.START] > 0
        lengths = (targets[:, Column.LAST] - targets[:, Column.START] + 1)[there]
        shortest = np.full(len(of_rows(targets)), np.inf)
        np.minimum.at(shortest, row[there], lengths)
        spans = of_rows(targets)[:, len(Column) :]
        answered = spans[:, 0] >= 0 if spans.shape[1] else np.zeros(len(shortest), bool)
        nowhere = int((answered & np.isinf(shortest)).sum())
        longer = int((np.isfinite(shortest) & (shortest > self.max_answer_length)).sum())
        notes = []
        if nowhere:
            notes.append(
                f"The answers to {counted(nowhere, 'training question')} stand whole in no window, "
                "where nothing is learned of them but that there is none: see --max-length."
            )
        if longer:
            notes.append(
                f"The answers to {counted(longer, 'training question')} are longer than "
                f"{self.max_answer_length} tokens, the longest that are given: infer, evaluate and "
                "predict have --max-answer-length."
            )
        return notes

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy of both ends, the mean of the two, ``outputs [tokens, 2]``.

        Among the tokens of the context and the first token of all.
        """
        import torch
        from torch.nn import functional as F

        lengths = targets[:, Column.LENGTH].long()
        places = torch.arange(int(lengths.max()), device=outputs.device)
        whole = outputs.new_full((len(lengths), len(places), 2), -torch.inf, dtype=torch.float32)
        whole[places < lengths[:, None]] = outputs.float()
        context = (places >= targets[:, Column.BEGIN, None]) & (
            places < targets[:, Column.END, None]
        )
        whole = whole.masked_fill(~(context | (places == 0))[:, :, None], -torch.inf)
        both = targets[:, [Column.START, Column.LAST]].long()
        return F.cross_entropy(whole, both, reduction="sum") / 2

    def weight(self, targets: np.ndarray) -> float:
        """The windows of which is known where to point; at least 1."""
        return max(1.0, float((targets[:, Column.START] != UNKNOWN).sum()))

    def chance_loss(self, targets: np.ndarray) -> float:
        """The loss of windows' shares with an answer, which may begin and end at any token."""
        targets = targets[targets[:, Column.START] != UNKNOWN]
        tokens = np.maximum(targets[:, Column.END] - targets[:, Column.BEGIN], 1)
        answered, rows = targets[:, Column.START] > 0, max(1, len(targets))
        share = float(answered.sum()) / rows
        entropy = -sum(part * math.log(part) for part in (share, 1 - share) if part)
        return float(np.log(tokens[answered]).sum()) / rows + entropy

    def fresh_loss(self, targets: np.ndarray) -> float:
        """That of even odds, in nats."""
        return float(np.log(targets[:, Column.END] - targets[:, Column.BEGIN] + 1).mean())

    def probe(
        self, features: np.ndarray, targets: np.ndarray, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """A softmax over the tokens of each window, for both ends."""
        return pointing_layer(features, targets, seed=seed)

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """The outputs as they are: only a question's windows together say something."""
        return outputs

    def row_values(self, outputs: np.ndarray, tokens: TokenizedTexts) -> np.ndarray:
        """What the windows of each question say: :class:`AnswerValues` ``[rows]``."""
        return values_in(outputs, tokens)

    def reordered(self, values: np.ndarray, order: Sequence[int]) -> np.ndarray:
        """The values with their outputs in another order."""
        rows = np.empty(len(values), dtype=object)
        for at, each in enumerate(values):
            logits, null = each.logits[:, order], each.null[:, order]
            rows[at] = AnswerValues(each.text, each.spans, logits, each.ends, null)
        return rows

    def apart(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """The largest difference of a token's probability of each row, ``[rows]``."""
        both = zip(ours, theirs, strict=True)
        return np.array([
            float(abs(one.probabilities() - two.probabilities()).max()) for one, two in both
        ])  # fmt: skip

    def alike(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Whether both give each question the same answer, bool ``[rows]``."""
        both = zip(self.decode(ours), self.decode(theirs), strict=True)
        return np.array([(our.start, our.end) == (their.start, their.end) for our, their in both])

    def finite(self, values: np.ndarray) -> bool:
        """Whether all scores are numbers."""
        return all(bool(np.isfinite(each.logits).all() and np.isfinite(each.null).all())
                   for each in values)  # fmt: skip

    def tuned(self, values: np.ndarray, targets: np.ndarray) -> Self:
        """The same with the threshold of no answer that gives the best F1 on these rows.

        Only where training had questions without an answer, and these rows have both kinds.
        """
        gold = self._gold(values, targets)
        answerable = np.array([bool(texts) for texts in gold])
        if self.null_threshold is None or answerable.all() or not answerable.any():
            return self
        forced, null = self._forced(values), self._null_scores(values)
        pairs = zip(forced, gold, strict=True)
        figures = np.array([exact_and_f1(*row, self.units)[1] for row in pairs])
        given = np.array([bool(text) for text in forced])
        return replace(self, null_threshold=best_threshold(null, figures, answerable, given)[0])

    def tuning_notes(self, values: np.ndarray, targets: np.ndarray) -> tuple[str, str]:
        """The threshold, or why there is none to choose."""
        if self.null_threshold is None:
            return "", ""
        has_answer = np.array([bool(gold_answers(row)) for row in of_rows(targets)])
        if has_answer.all() or not has_answer.any():
            kind = "an" if has_answer.all() else "no"
            return "", (
                f"Every validation question has {kind} answer: when to give none is not chosen by "
                "them, but by the scores as they are."
            )
        threshold = self.tuned(values, targets).null_threshold
        return (
            f"No answer is given where its score is more than {threshold:.2f} above that of the "
            "best one: that is best on validation rows."
        ), ""

    def decode(self, values: np.ndarray) -> list[Answer]:
        """Values of rows -> their answers."""
        return [answer_of(each, self.max_answer_length, self.null_threshold) for each in values]

    def columns(self, values: np.ndarray) -> dict[str, Sequence[Any]]:
        """The answer, where it begins and ends in the context, and its probability."""
        said = self.decode(values)
        return {name: [getattr(each, name) for each in said]
                for name in ("answer", "start", "end", "score")}  # fmt: skip

    def line(self, prediction: Answer) -> tuple[str, ...]:
        """The answer, or a dash, and its probability."""
        return (prediction.answer or "-", f"{prediction.score:.3f}")

    def document(self, prediction: Answer) -> dict[str, Any]:
        """The answer with the next best ones."""
        shown = ("answer", "start", "end", "score")
        others = [{name: getattr(each, name) for name in shown}
                  for each in prediction.alternatives]  # fmt: skip
        return {**{name: getattr(prediction, name) for name in shown}, "alternatives": others}

    def score(self, values: np.ndarray, targets: np.ndarray) -> Scores:
        """F1 and exact match, of questions with an answer and without.

        Raises:
            DataError: There are no rows.
            AdapterError: A score is not a finite number.
        """
        if not self.finite(values):
            raise AdapterError(
                "The model's scores are not numbers.",
                hint="Its training has probably diverged: lower the --learning-rate.",
            )
        said = [each.answer for each in self.decode(values)]
        return score(
            said, self._gold(values, targets), self.units, forced=self._forced(values),
            null_scores=self._null_scores(values),
        )  # fmt: skip

    def targets_at(self, targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Those of the rows' first windows."""
        chosen: np.ndarray = of_rows(targets)[rows]
        return chosen

    def _gold(self, values: np.ndarray, targets: np.ndarray) -> list[list[str]]:
        rows = zip(values, of_rows(targets), strict=True)
        return [[true if isinstance(true, str) else each.text[slice(*true)]
                 for true in gold_answers(row)] for each, row in rows]  # fmt: skip

    def _forced(self, values: np.ndarray) -> list[str]:
        """The best answer to each question, whether it has one or not."""
        best = [each.best(self.max_answer_length)[:1] for each in values]
        return ["".join(each.text[span.start : span.end] for span in spans)
                for each, spans in zip(values, best, strict=True)]  # fmt: skip

    def _null_scores(self, values: np.ndarray) -> np.ndarray:
        return np.array([each.apart_from_none(self.max_answer_length) for each in values])

    def judge(
        self, values: np.ndarray, targets: np.ndarray, *, target_accuracy: float | None = None,
        outside: tuple[Sequence[str], np.ndarray] | None = None, seed: int = 0,
    ) -> Judgement:  # fmt: skip
        """The figures with intervals, and answers in their contexts."""
        scores = self.score(values, targets)
        order = np.argsort(scores.f1_by_row, kind="stable")[:_MOST_MARKED].tolist()
        said, true = self.decode(values[order]), of_rows(targets)[order]
        marked = [_marked(row, values[row].text, answer, gold_answers(line))
                  for row, answer, line in zip(order, said, true, strict=True)]  # fmt: skip
        return Judgement(
            scores=scores, shown=scores.shown, intervals=intervals(scores, seed=seed), marked=marked
        )

    def baseline(
        self, learned: tuple[Any, np.ndarray], features: Any, ours: np.ndarray,
        targets: np.ndarray, *, metric: str,
    ) -> tuple[Comparison, Interval]:  # fmt: skip
        """Our answers beside the nearest sentences; ``features`` are questions and contexts."""
        said = nearest_sentences(features)
        theirs = score(said, self._gold(ours, targets), self.units)
        compared = compare(self.linear_model, self.score(ours, targets), theirs, metric=metric)
        return compared, intervals(theirs)[METRICS[0].name]

    def compare(
        self, other: str, ours: np.ndarray, theirs: np.ndarray, targets: np.ndarray, *,
        by: Task | None = None, **options: Any,
    ) -> Comparison:  # fmt: skip
        """F1 and exact match of both, each with its own threshold, in our units."""
        them = replace(by, units=self.units) if isinstance(by, QuestionAnswering) else self
        return compare(other, self.score(ours, targets), them.score(theirs, targets), **options)


def _is_threshold(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and math.isfinite(value))


def _marked(
    row: int, text: str, answer: Answer, gold: Sequence[tuple[int, int] | str]
) -> MarkedText:
    """A context with the answer that is given and the true ones, those that do not overlap."""
    said = (answer.start, answer.end)
    given = (Mark(*said, "answer", said in gold),) if answer.answer else ()
    true, last = list[Mark](), -1
    for start, end in sorted(place for place in gold if not isinstance(place, str)):
        if start >= last:
            true.append(Mark(start, end, "true answer", (start, end) == said))
            last = end
    nowhere = tuple(each for each in gold if isinstance(each, str))
    return MarkedText(row, text, given, tuple(true), nowhere)
