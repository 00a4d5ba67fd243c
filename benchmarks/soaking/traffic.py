"""Load on the server: questions by rate, adapters that come and go, what became of all of them."""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load import MOST_CONNECTIONS, Connections
from benchmarks.measure import say
from benchmarks.soaking.adapters import ASIDE, GUEST, SWAPPED, VERSIONS
from benchmarks.soaking.questions import (
    FOREIGN,
    LOST,
    REFUSED,
    RIGHT,
    UNKNOWN,
    WRONG,
    Asker,
    Question,
)

TOKEN = "of-the-soak"
_PATIENCE = 60.0
"""Seconds after which an answer is lost: twice what the server lets a request wait."""
_PAUSE, _LINES = 0.5, 60.0
"""Seconds between changes of adapters, and between lines about progress."""
CUT = "cut"


@dataclass
class Stage:
    """What became of the requests of a stage.

    Attributes:
        load: What was offered, in capacities.
        rate: Requests a second that were meant.
        seconds: From the first to the last.
        cpu: CPU seconds of the generator.
        sent: Times that a request was sent: refused ones are sent again.
        counts: What became of them; ``lost`` are those that no answer came to, ``cut`` those whose
            server was killed meanwhile.
        took: Seconds of the right answers, from when they were sent.
    """

    load: float
    rate: float
    seconds: float = 0.0
    cpu: float = 0.0
    sent: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Requests that are not asked again."""
        return sum(self.counts[what] for what in (RIGHT, UNKNOWN, WRONG, FOREIGN, LOST))


class Traffic:
    """Asks the server.

    Args:
        asker: Makes questions and judges answers.
        make: A number -> its question.
        cut: Whether the server may be killed: then what is cut off is asked again.
    """

    def __init__(self, asker: Asker, make: Callable[[int], Question], *, cut: bool = False) -> None:
        self._asker, self._make, self._cut = asker, make, cut
        self._again: list[tuple[float, int]] = []

    async def closed(self, first: int, count: int, clients: int) -> Stage:
        """So many clients, each of which asks again as soon as it is answered."""
        return await self._run(Stage(0.0, float("inf")), first, count, clients)

    async def opened(self, first: int, count: int, load: float, capacity: float) -> Stage:
        """Requests that come at random, at ``load`` times the capacity, answered or not.

        No more than 1,024 are asked at once; the others come late.
        """
        return await self._run(Stage(load, load * capacity), first, count, MOST_CONNECTIONS)

    async def _run(self, stage: Stage, first: int, count: int, clients: int) -> Stage:
        started, cpu = time.perf_counter(), time.process_time()
        due = _dues(stage.rate, started)
        fresh, last = iter(range(first, first + count)), started

        def number() -> int | None:
            if self._again and self._again[0][0] <= time.perf_counter():
                return heapq.heappop(self._again)[1]
            return next(fresh, None)

        async def client() -> None:
            nonlocal last
            while stage.done < count:
                await asyncio.sleep(max(0.0, next(due) - time.perf_counter()))
                if (at := number()) is None:
                    await asyncio.sleep(0.01)  # others are being answered, or wait
                    continue
                await self._ask(stage, at)
                if time.perf_counter() - last > _LINES:
                    last = time.perf_counter()
                    say(f"  {stage.done:,} of {count:,} at {stage.load:g}: {dict(stage.counts)}")

        await asyncio.gather(*(client() for _ in range(min(clients, count))))
        stage.seconds = time.perf_counter() - started
        stage.cpu = time.process_time() - cpu
        return stage

    async def _ask(self, stage: Stage, number: int) -> None:
        question, sent = self._make(number), time.perf_counter()
        stage.sent += 1
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._asker.connections.exchange(question.request)
        except (OSError, EOFError, ValueError) as error:
            self._missed(stage, number, question, error)
            return
        received = time.perf_counter()
        found = self._asker.judged(question, answer, sent, received)
        stage.counts[found] += 1
        if found == RIGHT:
            stage.took.append(received - sent)
        elif found == REFUSED:
            _, _, after = answer.head.partition(b"\r\nretry-after:")
            heapq.heappush(self._again, (received + int(after.split(b"\r\n")[0]), number))

    def _missed(self, stage: Stage, number: int, question: Question, error: Exception) -> None:
        stage.counts[CUT if self._cut else LOST] += 1
        if self._cut:
            heapq.heappush(self._again, (time.perf_counter() + 0.1, number))
        elif len(self._asker.examples) < 20:
            self._asker.examples.append(f"lost: {question.request!r} -> {error!r}")


def _dues(rate: float, start: float) -> Iterator[float]:
    chance = random.Random(0)
    while True:
        start += chance.expovariate(rate) if rate != float("inf") else 0.0
        yield start


@asynccontextmanager
async def changes(asker: Asker) -> AsyncIterator[Counter[str]]:
    """In the block adapters are loaded, replaced and unloaded, by request; counts how often."""
    counts, stop = Counter[str](), asyncio.Event()
    changing = asyncio.ensure_future(_change(asker, counts, stop))
    try:
        yield counts
    finally:
        stop.set()
        await changing


async def _change(asker: Asker, counts: Counter[str], stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        await change(asker, SWAPPED, VERSIONS[number % 2])
        counts["replaced"] += 1
        await asyncio.sleep(_PAUSE)
        await change(asker, GUEST, GUEST if number % 2 else None)
        counts["loaded" if number % 2 else "unloaded"] += 1
        await asyncio.sleep(_PAUSE)
    await change(asker, GUEST, GUEST)  # so that the next one can begin anew


async def change(asker: Asker, name: str, version: str | None) -> None:
    """Have an adapter stand behind a name; None: nobody."""
    body = {"lora_name": name}
    if version is not None:
        body |= {"lora_path": f"{ASIDE}/{version}", "load_inplace": True}  # type: ignore[dict-item]
    request = administer(asker.connections, "unload" if version is None else "load", body)
    end = asker.histories[name].begin(version, time.perf_counter())
    while (answer := await asker.connections.exchange(request)).status == 429:
        await asyncio.sleep(0.2)
    if answer.status != 200:
        raise RuntimeError(f"{body}: {answer.status} {answer.body!r}")
    end(time.perf_counter())


def administer(connections: Connections, action: str, body: Any) -> bytes:
    """A request that loads or unloads an adapter."""
    return connections.post(f"/v1/{action}_lora_adapter", json.dumps(body).encode(),
                            f"Authorization: Bearer {TOKEN}\r\n")  # fmt: skip
