"""A load generator of bounded size: HTTP over kept connections, each answer timed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MOST_CONNECTIONS = 1024


@dataclass
class Load:
    """What came of some requests.

    Attributes:
        seconds: From the first request to the last answer.
        cpu: CPU seconds of the generator.
        took: Seconds of each answer with status 200, in an open loop from when it was due.
        statuses: How many answers had each status; 0: none came.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    took: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)


class Generator:
    """Asks a server.

    Args:
        url: Where to post.
        body: Makes the body of the request with a number.
    """

    def __init__(self, url: str, body: Callable[[int], bytes]) -> None:
        place = urlsplit(url)
        self._at = place.hostname or "", place.port or 80
        self._head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: "
        self._body, self._number = body, 0
        self._free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

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
                    load.statuses[-1] = load.statuses.get(-1, 0) + 1  # bounded: not sent
                    continue
                task = asyncio.ensure_future(self._ask(load, due))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)

        return self._timed(asking)

    def _timed(self, asking: Callable[[Load], object]) -> Load:
        load, started, cpu = Load(), time.perf_counter(), time.process_time()
        asyncio.run(asking(load))  # type: ignore[arg-type]
        load.seconds, load.cpu = time.perf_counter() - started, time.process_time() - cpu
        self._free.clear()
        return load

    async def _ask(self, load: Load, due: float) -> None:
        self._number += 1
        body, status = self._body(self._number), 0
        try:
            if self._free:
                reader, writer = self._free.pop()
            else:
                reader, writer = await asyncio.open_connection(*self._at)
            writer.write(f"{self._head}{len(body)}\r\n\r\n".encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            self._free.append((reader, writer))
        except (OSError, EOFError, ValueError, IndexError):
            status = 0
        load.statuses[status] = load.statuses.get(status, 0) + 1
        if status == 200:
            load.took.append(time.perf_counter() - due)
