"""Questions of requests: the adapter that is meant, its tokens, the scheduler, the answers."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lora_bert.data.texts import Text, parts_of
from lora_bert.errors import (
    ConfigError,
    InputTypeError,
    LoraBertError,
    TextError,
    UnavailableError,
    did_you_mean,
)
from lora_bert.inference.predictor import Predictor
from lora_bert.inference.session import Session
from lora_bert.serving.asked import Asked, rows_of
from lora_bert.serving.metrics import Metrics
from lora_bert.serving.refusals import RefusedError
from lora_bert.serving.scheduler import Scheduler, Seat, Ticket
from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.wording import counted, listed

log = logging.getLogger(__name__)
AnswerT = TypeVar("AnswerT")

_THREADS, _CHARACTERS = 4, 100_000
_FEW = 4
"""Of so many texts the answers are at hand sooner than a thread."""


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Attributes:
        texts: Texts or pairs of a request, those of each adapter counted.
        body: Bytes of its body.
        requests: Requests at once.
        seconds: How long it waits for its answer.
        truncate: Whether texts that are too long are cut where a request does not say.
    """

    texts: int = 256
    body: int = 2_000_000
    requests: int = 512
    seconds: float = 30.0
    truncate: bool = True


@dataclass(frozen=True)
class Question:
    """Texts for one adapter.

    Attributes:
        name: That of the adapter.
        texts: Texts or pairs.
        ids: In their place, texts as token ids.
        truncate: Whether those that are too long are cut; None: as the server does.
        max_length: Tokens kept of a text, if fewer than the adapter keeps.
    """

    name: str
    texts: Sequence[Text] = ()
    ids: Sequence[list[int]] = ()
    truncate: bool | None = None
    max_length: int | None = None

    def __len__(self) -> int:
        return len(self.texts) + len(self.ids)


@dataclass(frozen=True)
class Answered:
    """What an adapter says of the texts of a question.

    Attributes:
        name: That of the adapter.
        predictor: Itself, as it was when it was asked.
        tokens: What it read.
        outputs: Its logits, float32 ``[texts, outputs]``; of heads of tokens ``[tokens, …]``.
    """

    name: str
    predictor: Predictor
    tokens: TokenizedTexts
    outputs: np.ndarray

    @property
    def task(self) -> Task:
        """What the adapter was trained to say."""
        return self.predictor.task

    @cached_property
    def values(self) -> np.ndarray:
        """As :meth:`.Predictor.values`.

        Raises:
            RefusedError: They are not numbers.
        """
        values = self.task.row_values(self.outputs, self.tokens)
        if not self.task.finite(values):
            raise RefusedError("failed", f"The answers of '{self.name}' are no numbers.")
        return values

    @property
    def scores(self) -> np.ndarray:
        """A number for each label, float32 ``[texts, labels]``.

        Raises:
            RefusedError: The adapter's answers are no such numbers, but parts of a text.
        """
        if self.predictor.engine.of_tokens:
            raise RefusedError(
                "invalid", f"'{self.name}' answers with parts of the text, not with labels.",
                hint=f"Ask it at /v1/predict or /models/{self.name}.",
            )  # fmt: skip
        return self.values

    @property
    def raw_scores(self) -> np.ndarray:
        """The same before softmax or sigmoid, as the merged model gives them."""
        self.scores  # noqa: B018 - refuses where there are none
        _, factor, addend = self.task.folded()
        return self.outputs * np.float32(factor) + np.float32(addend)


class Answerer:
    """Answers questions about texts, for any number of requests at once.

    Args:
        session: Holds the adapters.
        scheduler: Computes.
        default: The adapter of requests that name none.
        limits: What a request may ask for.
        metrics: Count what is answered.
        directory: Where adapters lie that may be loaded.
    """

    def __init__(
        self, session: Session, scheduler: Scheduler[Asked, np.ndarray], *, default: str | None,
        limits: Limits, metrics: Metrics, directory: Path,
    ) -> None:  # fmt: skip
        self.session, self.scheduler, self.limits = session, scheduler, limits
        self.directory = directory
        self.default, self.metrics, self.threads = default, metrics, _THREADS
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="lora-bert serve")

    def name_of(self, name: str | None) -> str:
        """The adapter that a request means which calls it so, or which names none.

        Raises:
            RefusedError: ``unnamed``: it names none, and no one is the default.
        """
        if name:
            return name
        if self.default:
            return self.default
        names = self.session.names
        if len(names) == 1:
            return names[0]
        raise RefusedError(
            "unnamed", "The request does not say which adapter is meant.",
            hint=f"There are: {listed(names)}. One of them can be made the server's --default.",
        )  # fmt: skip

    def predictor(self, name: str) -> Predictor:
        """An adapter, loaded if need be.

        Raises:
            RefusedError: ``unknown`` or ``unusable``.
        """
        try:
            return self.session.predictor(name)
        except ConfigError:
            names = self.session.names
            hint = did_you_mean(name, names) or f"There are: {listed(names)}."
            said = f"There is no adapter '{name:.80}'."
            if name == self.default:
                said = f"The server's --default, '{name}', is not there any more."
            raise RefusedError("unknown", said, hint=hint) from None
        except UnavailableError:
            raise _ending() from None
        except LoraBertError as error:
            log.warning("The adapter '%s' cannot be opened: %s %s", name, error, error.hint)
            raise RefusedError(
                "unusable", f"The adapter '{name}' cannot be opened.",
                hint="The server's log says why.",
            ) from error  # fmt: skip

    async def run(self, function: Callable[[], AnswerT]) -> AnswerT:
        """What a function returns that may take its time, while others are answered."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    async def ask(
        self, questions: Sequence[Question], say: Callable[[list[Answered]], AnswerT], *,
        client: str = "", seat: Seat | None = None,
    ) -> AnswerT:  # fmt: skip
        """What ``say`` makes of the answers to questions, which are computed together.

        Raises:
            RefusedError: One of them cannot be answered.
        """
        texts = sum(map(len, questions))
        if texts > self.limits.texts:
            raise RefusedError(
                "too_large", f"{counted(texts, 'text')} in one request; "
                f"at most {self.limits.texts:,} are taken.", hint="Ask in several requests.",
            )  # fmt: skip
        taken = await self.run(lambda: [self._taken(question) for question in questions])
        rows = [rows_of(predictor, tokens) for predictor, tokens in taken]
        # A text is computed at once with all its windows, and nobody else meanwhile.
        most = max((row.tokens for part in rows for row in part), default=0)
        if most > self.scheduler.limit:
            raise RefusedError(
                "too_large", f"A text has {most:,} tokens, those of all its windows; at most "
                f"{self.scheduler.limit:,} are computed.",
            )  # fmt: skip
        ticket = self.scheduler.submit([row for part in rows for row in part], client, seat)
        outputs = iter(await self._waited(ticket))
        answered = []
        for question, (predictor, tokens), part in zip(questions, taken, rows, strict=True):
            empty = [np.empty((0, predictor.engine.outputs), np.float32)]
            own = np.concatenate([next(outputs) for _ in part] or empty)
            answered.append(Answered(question.name, predictor, tokens, own))
            self.metrics.asked(question.name, len(part), len(tokens.ids))
        if texts <= _FEW and not any(each.predictor.engine.of_tokens for each in answered):
            return say(answered)
        return await self.run(partial(say, answered))

    async def _waited(self, ticket: Ticket) -> list[Any]:
        try:
            return await asyncio.wrap_future(ticket.done)
        except asyncio.CancelledError:
            ticket.cancel()
            raise
        except RefusedError:
            raise
        except UnavailableError:
            raise _ending() from None
        except Exception as error:  # whatever the computing of these rows met with
            log.error("A row could not be computed.\n%s", traceback.format_exc())
            raise RefusedError("failed", "The texts could not be computed.") from error

    def _taken(self, question: Question) -> tuple[Predictor, TokenizedTexts]:
        """Who answers, and the tokens of the texts."""
        predictor = self.predictor(question.name)
        if question.ids:
            return predictor, _given_ids(predictor, question, self._cuts(question))
        tokenizer = predictor.tokenizer
        if question.max_length is not None:
            least = 1 + tokenizer.special_tokens(pair=predictor.manifest.inputs == 2)
            if question.max_length < least:
                raise RefusedError("invalid", f"At least {least} tokens of a text must be kept.")
            shorter = min(question.max_length, tokenizer.max_length)
            tokenizer = replace(tokenizer, max_length=shorter)
        check_characters(question.texts)
        try:
            tokens = tokenizer.encode(predictor.listed(question.texts))
        except (InputTypeError, TextError) as error:
            raise RefusedError("invalid", str(error), hint=error.hint) from error
        if tokens.truncated.any() and not self._cuts(question):
            raise _too_long(int(tokens.truncated.argmax()), tokenizer.max_length)
        return predictor, tokens

    def _cuts(self, question: Question) -> bool:
        if question.max_length is not None:
            return True
        return self.limits.truncate if question.truncate is None else question.truncate


def _ending() -> RefusedError:
    """For who asks what computes elsewhere, and has ended: so does the server."""
    return RefusedError("unavailable", "The server is shutting down.")


def check_characters(texts: Iterable[Text]) -> None:
    """Raise RefusedError for a text that would keep the tokenizer from all others."""
    for number, text in enumerate(texts):
        if max(map(len, parts_of(text))) > _CHARACTERS:
            raise RefusedError(
                "too_large", f"Text number {number} has more than {_CHARACTERS:,} characters."
            )


def _given_ids(predictor: Predictor, question: Question, cuts: bool) -> TokenizedTexts:
    """Texts that come as token ids, special ones included."""
    tokenizer = predictor.tokenizer
    if predictor.manifest.inputs == 2 or predictor.engine.of_tokens:
        raise RefusedError("invalid", f"'{question.name}' is asked texts, not token ids.")
    rows = tokenizer.rows or tokenizer.core.get_vocab_size()
    longest = tokenizer.max_length
    if question.max_length is not None:
        longest = min(question.max_length, longest)
        if not longest:
            raise RefusedError("invalid", "At least one token of a text must be kept.")
    kept = []
    for number, ids in enumerate(question.ids):
        if not ids or not all(type(each) is int and 0 <= each < rows for each in ids):
            raise RefusedError(
                "invalid", f"Text number {number} is no list of token ids from 0 to {rows - 1:,}."
            )
        if len(ids) > longest and not cuts:
            raise _too_long(number, longest)
        kept.append(ids[:longest])
    return TokenizedTexts.of(kept, tokenizer.pad_id)


def _too_long(number: int, longest: int) -> RefusedError:
    return RefusedError(
        "invalid", f"Text number {number} has more than {longest:,} tokens.",
        hint="Shorten it, or have it cut.",
    )  # fmt: skip
