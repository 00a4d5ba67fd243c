"""A load generator of bounded size: HTTP over kept connections, each answer timed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MOST_CONNECTIONS = 1024
_KEPT = 60.0
"""Seconds for which a connection is used again: less than servers keep it."""


@dataclass(frozen=True)
class Answer:
    """What a server said: status, head and body."""

    status: int
    head: bytes
    body: bytes


class Connections:
    """Connections to a server, which are kept and used again.

    Args:
        url: Of the server.
    """

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self.at, self._name = (place.hostname or "", place.port or 80), place.netloc
        self._free: deque[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    def post(self, path: str, body: bytes, headers: str = "") -> bytes:
        """A request; ``headers`` are lines, each with its end."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._name}\r\n{headers}Content-Length: {len(body)}"
        return f"{head}\r\n\r\n".encode() + body

    def get(self, path: str) -> bytes:
        """A request without a body."""
        return f"GET {path} HTTP/1.1\r\nHost: {self._name}\r\n\r\n".encode()

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and read the answer.

        Raises:
            OSError, EOFError, ValueError: No whole answer came.
        """
        reader, writer = self._kept() or await asyncio.open_connection(*self.at)
        try:
            writer.write(request)
            answer = await read_answer(reader)
        except BaseException:
            writer.transport.abort()
            raise
        if b"\r\nconnection: close" in answer.head:
            writer.close()
        else:
            self._free.append((time.monotonic(), reader, writer))
        return answer

    def close(self) -> None:
        """Close those that are kept."""
        while self._free:
            self._free.pop()[2].close()

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while self._free:
            since, reader, writer = self._free.pop()
            if not reader.at_eof() and time.monotonic() - since < _KEPT:
                return reader, writer
            writer.close()
        return None


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """An answer whose length its head says, the head in lower case.

    Raises:
        OSError, EOFError, ValueError: No whole answer came.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, found, length = head.partition(b"content-length:")
    if not found:
        raise ValueError("an answer without a length")
    body = await reader.readexactly(int(length.partition(b"\r\n")[0]))
    return Answer(int(head[9:12]), head, body)


@dataclass
class Load:
    """What came of some requests.

    Attributes:
        seconds: From the first request to the last answer.
        cpu: CPU seconds of the generator.
        took: Seconds of each answer with status 200, in an open loop from when it was due.
        statuses: How many answers had each status; 0: none came.
        unsent: Requests for which there was no connection left.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    took: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    unsent: int = 0

    @property
    def sent(self) -> int:
        """Requests that were sent."""
        return sum(self.statuses.values())


class Generator:
    """Asks a server.

    Args:
        url: Where to post.
        body: Makes the body of the request with a number.
    """

    def __init__(self, url: str, body: Callable[[int], bytes]) -> None:
        self._connections, self._path = Connections(url), urlsplit(url).path
        self._body, self._number = body, 0

    def closed(self, clients: int, seconds: float) -> Load:
        """So many clients, each of which asks again as soon as it is answered."""

        async def asking(load: Load) -> None:
            end = time.perf_counter() + seconds

            async def client() -> None:
                while time.perf_counter() < end:
                    await self._ask(load, time.perf_counter())

            await asyncio.gather(*(client() for _ in range(clients)))

        return self._timed(asking)

    def opened(self, rate: float, seconds: float, seed: int = 0) -> Load:
        """Requests that come at random, so many a second, whether others are answered or not."""
        chance = random.Random(seed)

        async def asking(load: Load) -> None:
            tasks, due = set[asyncio.Task[None]](), time.perf_counter()
            end = due + seconds
            while (due := due + chance.expovariate(rate)) < end:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                if len(tasks) >= MOST_CONNECTIONS:
                    load.unsent += 1
                    continue
                task = asyncio.ensure_future(self._ask(load, due))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)

        return self._timed(asking)

    def _timed(self, asking: Callable[[Load], Awaitable[None]]) -> Load:
        load, started, cpu = Load(), time.perf_counter(), time.process_time()

        async def asked() -> None:
            await asking(load)
            self._connections.close()

        asyncio.run(asked())
        load.seconds, load.cpu = time.perf_counter() - started, time.process_time() - cpu
        return load

    async def _ask(self, load: Load, due: float) -> None:
        self._number += 1
        request = self._connections.post(self._path, self._body(self._number))
        try:
            status = (await self._connections.exchange(request)).status
        except (OSError, EOFError, ValueError):
            status = 0
        load.statuses[status] = load.statuses.get(status, 0) + 1
        if status == 200:
            load.took.append(time.perf_counter() - due)
