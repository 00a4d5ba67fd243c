"""Clients that are slow, broken or hang up, and bodies that nobody should send."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load import Answer, read_answer
from benchmarks.measure import say
from benchmarks.soaking.bodies import PROTOCOLS, Protocol, fuzzed
from benchmarks.soaking.questions import RIGHT, Asker
from benchmarks.soaking.traffic import TOKEN, administer

_SILENT, _PAUSE, _CLIENTS = 32, 1.0, 16
_LARGE = 10_000_000


@dataclass
class Faults:
    """What came of odd requests.

    Attributes:
        counts: How many there were of each kind.
        faults: Of each kind those that were not answered as is documented, also with 0.
        examples: The first of these.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def judge(self, kind: str, fault: str) -> None:
        """Count one; ``fault`` says what was wrong, if anything."""
        self.counts[kind] += 1
        self.faults[kind] += bool(fault)
        if fault and len(self.examples) < 20:
            self.examples.append(f"{kind}: {fault}")


@asynccontextmanager
async def odd_clients(asker: Asker) -> AsyncIterator[Faults]:
    """In the block connections stand that say nothing more, and odd clients come one by one."""
    faults, stop = Faults(), asyncio.Event()
    async with AsyncExitStack() as open_ones:
        request = asker.light(0).request
        begun = (b"", request[:20], request[:-3])
        for number in range(_SILENT):
            _, writer = await asyncio.open_connection(*asker.connections.at)
            open_ones.callback(writer.close)
            writer.write(begun[number % 3])
        coming = asyncio.ensure_future(_come(asker, faults, stop))
        try:
            yield faults
        finally:
            stop.set()
            await coming


async def _come(asker: Asker, faults: Faults, stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        kind, client = list(_KINDS.items())[number % len(_KINDS)]
        try:
            async with asyncio.timeout(60):
                fault = await client(asker, number)
        except (OSError, EOFError, ValueError) as error:
            fault = f"no answer: {error!r}"
        faults.judge(kind, fault)
        await asyncio.sleep(_PAUSE)


async def _slow(asker: Asker, number: int) -> str:
    """The head and the body drop by drop."""
    question = asker.light(10**9 + number)
    reader, writer = await asyncio.open_connection(*asker.connections.at)
    sent, step = time.perf_counter(), max(1, len(question.request) // 20)
    for at in range(0, len(question.request), step):
        writer.write(question.request[at : at + step])
        await asyncio.sleep(0.1)
    answer = await read_answer(reader)
    writer.close()
    found = asker.judged(question, answer, sent, time.perf_counter())
    return "" if found in (RIGHT, "refused", "unknown") else found


async def _hangs_up(asker: Asker, number: int) -> str:
    """Half a head, half a body, or all of it; and is gone."""
    request = asker.light(10**9 + number).request
    _, writer = await asyncio.open_connection(*asker.connections.at)
    writer.write(request[: (20, len(request) - 3, len(request))[number % 3]])
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()
    return ""


async def _no_http(asker: Asker, number: int) -> str:
    reader, writer = await asyncio.open_connection(*asker.connections.at)
    writer.write((b"\x16\x03\x01\x02\0\x01", b"hello")[number % 2] + b"\r\n\r\n")
    answer = await reader.read(-1)
    writer.close()
    return "" if answer.startswith(b"HTTP/1.1 400 ") else repr(answer)


async def _broken_json(asker: Asker, number: int) -> str:
    request = asker.connections.post("/adapters/one/predict", b'{"inputs": "a"')
    return _unless(await asker.connections.exchange(request), 400)


async def _large(asker: Asker, number: int) -> str:
    """10 MB, which are sent whole before the answer is read."""
    body = b'{"inputs": "' + b"a" * _LARGE + b'"}'
    request = asker.connections.post("/adapters/one/predict", body)
    if number % 2:
        head = request.partition(b"Content-Length")[0]
        chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        request = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk
    reader, writer = await asyncio.open_connection(*asker.connections.at)
    writer.write(request)
    await writer.drain()
    answer = await read_answer(reader)
    writer.close()
    return _unless(answer, 413)


_KINDS: dict[str, Callable[[Asker, int], Awaitable[str]]] = {
    "slow": _slow, "hangs up": _hangs_up, "no HTTP": _no_http, "broken JSON": _broken_json,
    "10 MB": _large,
}  # fmt: skip


def _unless(answer: Answer, status: int) -> str:
    return "" if answer.status in (status, 429) else f"{answer.status} {answer.body!r}"


async def fuzz(asker: Asker, bodies: int) -> dict[str, dict[str, Any]]:
    """So many odd bodies a protocol: how many had which status, and those that should not be."""
    found = {}
    for name, protocol in PROTOCOLS.items():
        found[name] = await _fuzz_one(asker, name, protocol, bodies)
        say(f"  {bodies:,} bodies for {name}: {found[name]['statuses']}")
    return found


async def _fuzz_one(asker: Asker, name: str, protocol: Protocol, bodies: int) -> dict[str, Any]:
    chance, statuses, faults = random.Random(name), Counter[int](), Faults()
    left = iter(range(bodies))

    async def client() -> None:
        for _ in left:
            path, body, more = fuzzed(protocol, chance)
            answer, fault = await _answer_to(asker, path, body, more, protocol)
            statuses[answer.status] += 1
            faults.judge(name, f"{fault}: {path} {more!r} {body[:500]!r}" if fault else "")

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    return {"statuses": dict(sorted(statuses.items())), "faults": faults.faults[name],
            "examples": faults.examples}  # fmt: skip


async def _answer_to(
    asker: Asker, path: str, body: bytes, more: str, protocol: Protocol
) -> tuple[Answer, str]:
    more += f"Authorization: Bearer {TOKEN}\r\n"
    request = asker.connections.post(path, body, more)
    try:
        while (answer := await asker.connections.exchange(request)).status == 429:
            await asyncio.sleep(1)
    except (OSError, EOFError, ValueError) as error:
        return Answer(0, b"", b""), f"no answer: {error!r}"
    if answer.status == 200 and path.endswith("/load_lora_adapter"):
        with suppress(ValueError, KeyError, TypeError):
            name = json.loads(body)["lora_name"]
            await asker.connections.exchange(
                administer(asker.connections, "unload", {"lora_name": name})
            )
    return answer, _fault(answer, protocol)


def _fault(answer: Answer, protocol: Protocol) -> str:
    said = f"{answer.status} {answer.body[:300]!r}"
    if answer.status == 200:
        plain = b"application/json" not in answer.head
        return "" if plain or _is_json(answer.body) else said
    if answer.status not in protocol.statuses:
        return said
    return "" if _is_json(answer.body) and b'"error"' in answer.body else said


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body, parse_constant=_no_number)
    except ValueError:
        return False
    return True


def _no_number(name: str) -> Any:
    raise ValueError(name)
