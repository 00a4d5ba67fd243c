"""What a model says of questions: answers, out of what each token says of beginning or ending one.

References:
    J. Devlin et al. (2019). BERT: pre-training of deep bidirectional transformers for language
    understanding. NAACL 2019, section 4.3: a question has no answer where the score of the first
    token is more than a threshold above that of the best span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.wording import shortened

N_BEST = 20
"""Spans of which an answer's probability is taken, no answer among them."""
_ALTERNATIVES, _SURELY = 4, 1e4


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Attributes:
        answer: What the context says; "" where there is no answer.
        start: Its first character's number in the context, from 0; -1 where there is no answer.
        end: The number of the character behind its last one.
        score: Its probability among the best answers and none, 0…1.
        alternatives: The next best, the best first.
    """

    answer: str
    start: int
    end: int
    score: float
    alternatives: tuple[Answer, ...] = ()

    def __repr__(self) -> str:
        return f"Answer({shortened(self.answer)!r}, {self.score:.3f})"


@dataclass(frozen=True)
class Span:
    """A part of a context and what begins and ends there scores together."""

    score: float
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class AnswerValues:
    """The values of one question.

    Attributes:
        text: Its context.
        spans: Where the context's tokens stand in it, window by window, int32 ``[tokens, 2]``.
        logits: What each says of beginning an answer and of ending one, float32 ``[tokens, 2]``.
        ends: Where each window's tokens end in these.
        null: The same two of the first token of each window, float32 ``[windows, 2]``.
    """

    text: str
    spans: np.ndarray
    logits: np.ndarray
    ends: tuple[int, ...]
    null: np.ndarray
    _best: dict[int, tuple[Span, ...]] = field(default_factory=dict, repr=False)

    @property
    def windows(self) -> Iterator[slice]:
        """Where the tokens of each window are."""
        return (slice(start, end) for start, end in zip((0, *self.ends), self.ends, strict=False))

    def best(self, longest: int) -> tuple[Span, ...]:
        """The best spans of at most so many tokens, the best first; none of an empty context."""
        if longest not in self._best:
            found: dict[tuple[int, int], float] = {}
            for window in self.windows:
                for score, first, last in _best_in(self.logits[window], longest):
                    start, end = self._characters(window.start + first, window.start + last)
                    if start < end:
                        found[start, end] = max(score, found.get((start, end), score))
            order = sorted(found, key=lambda span: (-found[span], span))[:N_BEST]
            self._best[longest] = tuple(Span(found[span], *span) for span in order)
        return self._best[longest]

    def _characters(self, first: int, last: int) -> tuple[int, int]:
        """What two tokens and those between them stand for, without white space around it."""
        start, end = int(self.spans[first, 0]), int(self.spans[last, 1])
        part = self.text[start:end]
        return start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip()))

    @property
    def null_score(self) -> float:
        """What the first token of the window that is least for it says of no answer."""
        return float(self.null.sum(axis=1).min())

    def apart_from_none(self, longest: int) -> float:
        """How much rather there is no answer than the best one, in logits; a finite number."""
        best = self.best(longest)
        return self.null_score - best[0].score if best else _SURELY

    def probabilities(self) -> np.ndarray:
        """What each token says, within its window, of beginning and ending an answer."""
        parts = []
        for window, null in zip(self.windows, self.null, strict=True):
            logits = np.vstack([null, self.logits[window]])
            powers = np.exp(logits - logits.max(axis=0))
            parts.append(powers / powers.sum(axis=0))
        return np.concatenate(parts)


def _best_in(logits: np.ndarray, longest: int) -> Iterator[tuple[float, int, int]]:
    """The best spans of a window: score, first token, last token."""
    count = len(logits)
    if not count:
        return
    width = min(longest, count)
    ends = np.concatenate([logits[:, 1], np.full(width - 1, -np.inf, logits.dtype)])
    sums = logits[:, :1] + np.lib.stride_tricks.sliding_window_view(ends, width)
    flat = sums.ravel()
    chosen = np.arange(len(flat))
    if len(flat) > N_BEST:
        chosen = np.argpartition(flat, -N_BEST)[-N_BEST:]
    for at in chosen.tolist():
        if flat[at] > -np.inf:
            first, more = divmod(at, width)
            yield float(flat[at]), first, first + more


def values_in(outputs: np.ndarray, tokens: TokenizedTexts) -> np.ndarray:
    """The values of questions, ``[rows]``, out of ``outputs [tokens, 2]`` of their windows."""
    if tokens.spans is None or tokens.firsts is None:
        raise ValueError("the tokenizer was not asked for windows")
    begins = np.append(np.flatnonzero(tokens.firsts), len(tokens))
    of_context = np.flatnonzero(tokens.spans[:, 0] >= 0)
    bounds = np.searchsorted(of_context, tokens.starts)
    rows = np.empty(len(begins) - 1, dtype=object)
    for row, (first, last) in enumerate(pairwise(begins.tolist())):
        at = of_context[bounds[first] : bounds[last]]
        ends = (bounds[first + 1 : last + 1] - bounds[first]).tolist()
        null = outputs[tokens.starts[first:last]]
        rows[row] = AnswerValues(
            tokens.texts[first], tokens.spans[at], outputs[at], tuple(ends), null
        )
    return rows


def answer_of(values: AnswerValues, longest: int, threshold: float | None) -> Answer:
    """The answer to a question; with a ``threshold`` it may have none."""
    spans, null = values.best(longest), values.null_score
    scores = np.array(
        [span.score for span in spans] + [null] * (threshold is not None or not spans)
    )
    powers = np.exp(scores - scores.max())
    shares = (powers / powers.sum()).tolist()
    answers = [
        Answer(values.text[span.start : span.end], span.start, span.end, share)
        for span, share in zip(spans, shares, strict=False)
    ]
    none = Answer("", -1, -1, shares[-1])
    if not spans:
        return none
    unanswered = threshold is not None and null - spans[0].score > threshold
    first, others = (none, answers) if unanswered else (answers[0], answers[1:])
    if threshold is not None and not unanswered:
        others = sorted([*others, none], key=lambda each: -each.score)
    alternatives = tuple(_apart(first, others))
    return Answer(first.answer, first.start, first.end, first.score, alternatives)


def _apart(first: Answer, others: Sequence[Answer]) -> list[Answer]:
    """The best few of other answers that share no character with a better one."""
    chosen = [first]
    for other in others:
        if all(other.end <= each.start or other.start >= each.end for each in chosen):
            chosen.append(other)
    return chosen[1 : _ALTERNATIVES + 1]
