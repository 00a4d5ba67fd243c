"""What a protocol is made of: operations, each with its path, its body and what answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from lora_bert.serving.answering import Answered, Answerer, Question
from lora_bert.serving.bodies import read_json, typed
from lora_bert.serving.refusals import RefusedError
from lora_bert.serving.scheduler import Seat

if TYPE_CHECKING:
    from starlette.requests import Request

BodyT = TypeVar("BodyT")
AnswerT = TypeVar("AnswerT")


@dataclass
class Call:
    """A request that is let in, and its body.

    Attributes:
        request: As it came.
        raw: The whole body.
        answerer: Answers questions.
        ready: Whether the server takes requests.
        adapter: Who answers, once that is known.
        rows: How many texts it asks.
        seat: What is kept for it until its texts are known.
        spoken: The protocol that its body is meant for, where that is not the path's.
    """

    request: Request
    raw: bytes
    answerer: Answerer
    ready: bool = True
    adapter: str = ""
    rows: int = 0
    seat: Seat | None = None
    spoken: Protocol | None = None

    @property
    def named(self) -> str | None:
        """The adapter that the path names."""
        name: str | None = self.request.path_params.get("name")
        return name

    @property
    def client(self) -> str:
        """The address that it came from."""
        return self.request.client.host if self.request.client else ""

    def json(self) -> Any:
        """The body, whatever it says."""
        return read_json(self.raw)

    def body(self, kind: type[BodyT]) -> BodyT:
        """The body as one of msgspec's structs; RefusedError where it is none."""
        return typed(self.json(), kind)

    def name_of(self, name: str | None = None) -> str:
        """The adapter that the path, ``name`` or the server's default says.

        Raises:
            RefusedError: None of them does, or the first two say different ones.
        """
        if self.named and name and name != self.named:
            raise RefusedError(
                "invalid", f"The path names the adapter '{self.named:.80}', the body '{name:.80}'.",
                hint="Leave out one of them.",
            )  # fmt: skip
        self.adapter = self.answerer.name_of(self.named or name)
        return self.adapter

    async def ask(
        self, questions: Sequence[Question], say: Callable[[list[Answered]], AnswerT]
    ) -> AnswerT:
        """As :meth:`.Answerer.ask`."""
        self.rows = sum(map(len, questions))
        return await self.answerer.ask(questions, say, client=self.client, seat=self.seat)

    async def ask_one(self, question: Question, say: Callable[[Answered], AnswerT]) -> AnswerT:
        """The same of one question."""
        return await self.ask([question], lambda answered: say(answered[0]))


@dataclass(frozen=True)
class Operation:
    """What one path answers.

    Attributes:
        method: ``GET`` or ``POST``.
        path: With ``{name}`` where it names an adapter.
        answer: A call -> a JSON value, or a response of Starlette's.
        summary: What it is for, in a sentence.
        body: The struct of its body.
        example: A body.
        key: Which secret it needs, if the server has one: ``api``, ``admin``, or none.
        content: The media type of what it answers.
        sized: Whether it has no more tokens to compute than its body has bytes: each of its texts
            is read once, by one adapter.
    """

    method: str
    path: str
    answer: Callable[[Call], Awaitable[Any]]
    summary: str
    body: type | None = None
    example: Any = None
    key: str = "api"
    content: str = "application/json"
    sized: bool = True


@dataclass(frozen=True)
class Protocol:
    """What the clients of one server speak.

    Attributes:
        name: Whose it is.
        operations: What they ask.
        error: A refusal and its status -> the body of the answer.
        statuses: Where a refusal has another status than :data:`.STATUS` says.
    """

    name: str
    operations: tuple[Operation, ...]
    error: Callable[[RefusedError, int], dict[str, Any]]
    statuses: Mapping[str, int] = field(default_factory=dict)

    def refused(self, refusal: RefusedError) -> tuple[int, dict[str, Any]]:
        """The status and the body that say why a request is not answered."""
        status = self.statuses.get(refusal.kind, refusal.status)
        return status, self.error(refusal, status)


def plain_error(refusal: RefusedError, status: int) -> dict[str, Any]:
    """As KServe and Hugging Face have it."""
    return {"error": refusal.sentence}
