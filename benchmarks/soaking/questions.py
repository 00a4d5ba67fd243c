"""Requests that carry what must be answered, whichever adapter stands behind a name by then."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from benchmarks.load import Answer, Connections
from benchmarks.soaking.adapters import GUEST, STEADY, SWAPPED, Expected, Scores, near

Said = dict[str, list[Scores]]
"""By the adapter's name: of each text the labels with their scores."""

RIGHT, WRONG, FOREIGN = "answered", "wrong", "foreign"
REFUSED, UNKNOWN, LOST = "refused", "unknown", "lost"
CLIENTS = 8


@dataclass
class _Change:
    began: float
    ended: float
    version: str | None


class History:
    """Which adapter may have answered to a name, by time; None: nobody of that name."""

    def __init__(self, version: str | None) -> None:
        self._changes = [_Change(-inf, -inf, version)]

    def begin(self, version: str | None, now: float) -> Callable[[float], None]:
        """A change is asked for; the function is told when that was answered."""
        change = _Change(now, inf, version)
        self._changes = [*self._changes[-99:], change]

        def end(then: float) -> None:
            change.ended = then

        return end

    def possible(self, sent: float, received: float) -> set[str | None]:
        """Who may have been asked at some moment between these."""
        ends = [*(each.ended for each in self._changes[1:]), inf]
        return {change.version for change, end in zip(self._changes, ends, strict=True)
                if change.began <= received and sent <= end}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """A request, and how to judge its answer.

    Attributes:
        request: As it is sent.
        names: The adapters that it asks.
        texts: The numbers of its texts.
        read: The answer's body -> what each adapter says of each text.
    """

    request: bytes
    names: tuple[str, ...]
    texts: tuple[int, ...]
    read: Callable[[Any], Said]


@dataclass
class Asker:
    """Makes questions, and judges their answers.

    Attributes:
        connections: To the server.
        texts: That are asked.
        expected: What each adapter says of each of them.
        histories: Of the names behind which not always the same adapter stands.
        examples: Of answers that were not right, the first ones.
    """

    connections: Connections
    texts: Sequence[str]
    expected: Expected
    histories: dict[str, History]
    examples: list[str] = field(default_factory=list)

    def light(self, number: int) -> Question:
        """A few texts, in one of the protocols."""
        chance = random.Random(number)
        name = chance.choice(_NAMES)
        texts = tuple(chance.randrange(len(self.texts)) for _ in range(chance.choice(_SIZES)))
        return chance.choice(_PROTOCOLS)(self, number, name, texts)

    def heavy(self, number: int) -> Question:
        """Many texts, for two adapters."""
        chance = random.Random(number)
        texts = tuple(chance.randrange(len(self.texts)) for _ in range(_MANY))
        return self._own(number, tuple(chance.sample(_NAMES, 2)), texts)

    def judged(self, question: Question, answer: Answer, sent: float, received: float) -> str:
        """What became of a question: one of the six words."""
        if answer.status == 429:
            return REFUSED
        possible = {name: self._possible(name, sent, received) for name in question.names}
        if answer.status == 404 and any(None in each for each in possible.values()):
            return UNKNOWN
        found = self._found(question, answer, possible)
        if found != RIGHT and len(self.examples) < 20:
            self.examples.append(
                f"{found}: {question.request!r} -> {answer.status} {answer.body!r}"
            )
        return found

    def _possible(self, name: str, sent: float, received: float) -> set[str | None]:
        history = self.histories.get(name)
        return {name} if history is None else history.possible(sent, received)

    def _found(
        self, question: Question, answer: Answer, possible: dict[str, set[str | None]]
    ) -> str:
        if answer.status in (408, *range(500, 600)):
            return LOST
        try:
            said = question.read(json.loads(answer.body)) if answer.status == 200 else {}
        except (ValueError, KeyError, IndexError, TypeError):
            return WRONG
        if said.keys() != set(question.names):
            return WRONG
        for name, each in said.items():
            # All texts of a request are answered by one adapter, also while it is replaced.
            known = [self.expected[who] for who in possible[name] if who is not None]
            one = [own for own in known if [labels.keys() for labels in each]
                   == [own[text].keys() for text in question.texts]]  # fmt: skip
            if not one:
                return FOREIGN
            if not all(map(near, each, (one[0][text] for text in question.texts))):
                return WRONG
        return RIGHT

    def _post(self, number: int, path: str, body: Any) -> bytes:
        # As a proxy says who asks: clients take turns.
        client = f"X-Forwarded-For: 10.0.0.{number % CLIENTS}\r\n"
        return self.connections.post(path, json.dumps(body, ensure_ascii=False).encode(), client)

    def _own(self, number: int, names: tuple[str, ...], texts: tuple[int, ...]) -> Question:
        body = {"texts": [self.texts[text] for text in texts], "adapters": names}
        return Question(self._post(number, "/v1/predict", body), names, texts, lambda said: {
            name: [each["scores"] for each in found] for name, found in said["predictions"].items()
        })  # fmt: skip

    def _several(self, number: int, name: str, texts: tuple[int, ...]) -> Question:
        other = STEADY[number % len(STEADY)]
        return self._own(number, (name,) if name == other else (name, other), texts)

    def _tei(self, number: int, name: str, texts: tuple[int, ...]) -> Question:
        body = {"inputs": [[self.texts[text]] for text in texts]}
        request = self._post(number, f"/adapters/{name}/predict", body)
        return Question(request, (name,), texts, lambda said: {name: [*map(_listed, said)]})

    def _hub(self, number: int, name: str, texts: tuple[int, ...]) -> Question:
        body = {"inputs": [self.texts[text] for text in texts]}
        request = self._post(number, f"/models/{name}", body)
        return Question(request, (name,), texts, lambda said: {name: [*map(_listed, said)]})

    def _router(self, number: int, name: str, texts: tuple[int, ...]) -> Question:
        body = {"inputs": self.texts[texts[0]]}
        request = self._post(number, f"/adapters/{name}/classify", body)
        return Question(request, (name,), texts[:1], lambda said: {name: [_listed(said)]})

    def _kserve(self, number: int, name: str, texts: tuple[int, ...]) -> Question:
        tensor = {"name": "text", "shape": [len(texts)], "datatype": "BYTES",
                  "data": [self.texts[text] for text in texts]}  # fmt: skip
        body = {"inputs": [tensor], "outputs": [{"name": "document"}]}
        request = self._post(number, f"/v2/models/{name}/infer", body)
        return Question(request, (name,), texts, lambda said: {
            name: [json.loads(each)["scores"] for each in said["outputs"][0]["data"]]
        })  # fmt: skip


def _listed(said: list[dict[str, Any]]) -> Scores:
    return {each["label"]: each["score"] for each in said}


_NAMES = (*STEADY, SWAPPED, GUEST)
_SIZES, _MANY = (1, 1, 1, 1, 2, 4), 16
_PROTOCOLS = (Asker._tei, Asker._tei, Asker._hub, Asker._router, Asker._kserve, Asker._several)
