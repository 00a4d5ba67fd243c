"""The server for long and beyond its capacity: is every answer there, and right?"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.data import Workload, backbone, prepare, random_backbone, read_rows
from benchmarks.load import Connections
from benchmarks.measure import Contender, once, say
from benchmarks.options import Options
from benchmarks.ratios import percentile
from benchmarks.record import Goal, Record, Table, new_record
from benchmarks.servers import served, serving
from benchmarks.soaking.adapters import GUEST, SWAPPED, VERSIONS, texts_of
from benchmarks.soaking.hostile import Faults, fuzz, odd_clients
from benchmarks.soaking.questions import (
    FOREIGN,
    LOST,
    REFUSED,
    RIGHT,
    UNKNOWN,
    WRONG,
    Asker,
    History,
)
from benchmarks.soaking.traffic import CUT, TOKEN, Stage, Traffic, change, changes

SUMMARY = "a million requests whose answers are known, while adapters come and go; fuzzed bodies"
NOTES = """\
A backbone of two small random layers, so that a million requests take no more than an hour or two:
what is asked here is whether answers are there and right, not how fast they come. Eight classifiers
on it have no label in common, and a session has said before what each of them says of each text.
Every request carries these answers, in one of five protocols; one that is refused (429) is asked
again when `Retry-After` says. Meanwhile one name stands for two adapters in turns, another adapter
is loaded and unloaded; a label of an adapter that cannot have been asked between the request and
its answer counts as of a wrong adapter. *Capacity* is what 48 clients reach who ask one after the
other. Requests are of one to four texts; at 10 times the capacity, of 16 texts for two adapters,
because a server of such small models can hardly refuse ten times as many small ones. The server
takes 64 requests at once (`--max-requests 64`). *Sent* is what the generator, on the same cores,
came to send. Odd clients come by all the while: slow ones, such as hang up, 10 MB bodies. Memory is
what is resident after warming up, with a hundredth of everything, and at the end. Fuzzed bodies are
right ones of each protocol with faults in them; they may have the statuses of docs/serve.md, but
none above 499.
"""
REQUESTS, FUZZED, TEXTS, CLIENTS = 1_000_000, 0.1, 1000, 48
STAGES = ((0.5, 0.15), (0.8, 0.2), (0.95, 0.2), (1.5, 0.35), (10.0, 0.1))
"""Loads in capacities, each with its share of the requests."""
OURS, HEAVY = "lora-bert", 10.0
_WARM = 5000
"""Requests that warm up, at least: a processor's library keeps products of every shape."""
_BAD = (LOST, WRONG, FOREIGN)
_FIELD = re.compile(r"^(Pid|PPid|VmRSS):\s+(\d+)", re.MULTILINE)


@dataclass
class _Server:
    """The server that is asked.

    Attributes:
        command: Starts it, but for the port.
        log: The file with what it says.
        asker: Asks it.
        process: Its number.
    """

    command: list[str]
    log: Any
    asker: Asker
    process: int = 0

    async def start(self, stack: AsyncExitStack, port: int = 0) -> float:
        """Start it; the seconds until it takes requests."""
        began = time.perf_counter()
        command = [*self.command, "--port", str(port)]
        url, self.process = await asyncio.to_thread(stack.enter_context, served(command, self.log))
        self.asker.connections = Connections(url)
        ready = self.asker.connections.get("/health/ready")
        if (await self.asker.connections.exchange(ready)).status != 200:
            raise RuntimeError("the server is not ready")
        return time.perf_counter() - began

    def resident(self) -> int:
        """Bytes that are resident now of its memory and of that of the process that computes."""
        found = 0
        for place in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError):  # a process that ends meanwhile
                status = dict(_FIELD.findall(place.read_text(encoding="utf-8")))
                if str(self.process) in (status["Pid"], status["PPid"]):
                    found += 1024 * int(status["VmRSS"])
        return found

    async def memory(self) -> int:
        """The same when nothing is asked."""
        found = list[int]()
        for _ in range(5):
            await asyncio.sleep(0.5)
            found.append(self.resident())
        return min(found)


def measure(options: Options) -> Record:
    """The generator in this process, the server in another."""
    requests = options.rows_or(REQUESTS) or REQUESTS
    record = new_record("soak", options, requests=requests, fuzzed=round(requests * FUZZED))
    workload = prepare(options, rows=96, test_rows=TEXTS)
    small = random_backbone(options, "two-layer", backbone(options))
    workload = replace(workload, backbone=str(small))
    adapters = options.work / "adapters"
    adapters.mkdir()
    place = {"workload": workload.as_json(), "target": str(adapters)}
    made = once(Contender("adapters", "benchmarks.soaking.adapters:make", place), options.work)
    began = time.perf_counter()
    found = asyncio.run(_soak(workload, adapters, requests))
    wall = time.perf_counter() - began
    record.add(OURS, {"round": 1, "wall": wall, "alike": made["alike"], **found})
    return record


async def _soak(workload: Workload, adapters: Path, requests: int) -> dict[str, Any]:
    texts = texts_of(read_rows(workload.test))
    expected = json.loads((adapters.parent / "expected.json").read_text(encoding="utf-8"))
    histories = {SWAPPED: History(None), GUEST: History(None)}
    command = serving(str(adapters), workload.backbone, "--dtype", "float32",
                      "--admin-token", TOKEN, "--max-requests", "64")  # fmt: skip
    path = adapters.parent / "server.log"
    async with AsyncExitStack() as stack:
        log = stack.enter_context(path.open("w", encoding="utf-8"))
        asker = Asker(Connections("http://127.0.0.1"), texts, expected, histories)
        server = _Server(command, log, asker)
        await server.start(stack)
        await change(asker, SWAPPED, VERSIONS[0])
        found = await _loads(server, requests)
        found |= await _killed(server, stack, found["capacity"]["light"])
        say("fuzzed bodies")  # last: some of them unload adapters
        found["fuzz"] = await fuzz(asker, round(requests * FUZZED))
    found["tracebacks"] = path.read_text(encoding="utf-8").count("Traceback")
    return {**found, "examples": asker.examples}


async def _loads(server: _Server, requests: int) -> dict[str, Any]:
    """Every stage; memory before and after."""
    asker = server.asker
    kinds = {"light": asker.light, "heavy": asker.heavy}
    some = max(100, requests // 200)
    warm = min(requests, max(_WARM, requests // 100))
    capacity = {}
    for kind, make in kinds.items():
        for _ in range(2):  # the first time warms up
            stage = await Traffic(asker, make).closed(0, some, CLIENTS)
        capacity[kind] = stage.done / stage.seconds
    say(f"capacity: {capacity['light']:.0f} requests/s, {capacity['heavy']:.0f} of 16 texts")
    async with changes(asker) as changed, odd_clients(asker) as odd:
        await _stages(kinds, server, warm, capacity)
    before = await server.memory()
    async with changes(asker) as changed, odd_clients(asker) as odd:
        stages = await _stages(kinds, server, requests, capacity)
    after = await server.memory()
    return {
        "capacity": capacity, "stages": stages, "memory": [before, after],
        "changes": dict(changed), "odd": _odd(odd),
    }  # fmt: skip


async def _stages(
    kinds: dict[str, Callable[..., Any]], server: _Server, requests: int, capacity: dict[str, float]
) -> list[dict[str, Any]]:
    found, first = [], 0
    for load, share in STAGES:
        kind = "heavy" if load == HEAVY else "light"
        count = max(1, round(share * requests))
        traffic = Traffic(server.asker, kinds[kind])
        stage = await traffic.opened(first, count, load, capacity[kind])
        first += count
        found.append({**_figures(stage, capacity[kind]), "memory": server.resident()})
        say(f"{count:,} requests at {load:g}: {dict(stage.counts)}")
    return found


def _figures(stage: Stage, capacity: float) -> dict[str, Any]:
    took = sorted(stage.took) or [float("nan")]
    return {
        "load": stage.load, "requests": stage.done, "sent": stage.sent / stage.seconds / capacity,
        "seconds": stage.seconds, "generator": stage.cpu / stage.seconds,
        "p50": percentile(took, 0.5), "p99": percentile(took, 0.99),
        **{what: stage.counts[what] for what in (RIGHT, UNKNOWN, REFUSED, CUT, *_BAD)},
    }  # fmt: skip


def _odd(found: Faults) -> dict[str, Any]:
    return {"counts": dict(found.counts), "faults": dict(found.faults), "examples": found.examples}


async def _killed(server: _Server, stack: AsyncExitStack, capacity: float) -> dict[str, Any]:
    """Kill the server while it is asked, and start it again where it was."""
    say("kill -9, and a new start")
    asker = server.asker
    traffic = Traffic(asker, asker.light, cut=True)
    asking = asyncio.ensure_future(traffic.closed(0, max(100, round(3 * capacity)), CLIENTS))
    await asyncio.sleep(1)
    ends = [each.begin(None, time.perf_counter()) for each in asker.histories.values()]
    os.kill(server.process, signal.SIGKILL)
    ready = await server.start(stack, asker.connections.at[1])
    for end in ends:
        end(time.perf_counter())
    stage = await asking
    return {"ready": ready, "killed": _figures(stage, capacity)}


def tables(record: Record) -> list[Table]:
    """Requests by load; odd clients; fuzzed bodies; memory and the new start."""
    return [table for raw in record.figures.get(OURS, [])[-1:] for table in _tables(raw)]


def _tables(raw: dict[str, Any]) -> list[Table]:
    killed = {**raw["killed"], "load": "killed"}
    requests = [
        [str(each["load"]), f"{each['requests']:,}", f"{each['sent']:.2f}",
         *(f"{each[what]:,}" for what in (REFUSED, CUT, RIGHT, UNKNOWN, *_BAD)),
         f"{1000 * each['p50']:.0f}", f"{1000 * each['p99']:.0f}", f"{each['generator']:.2f}",
         f"{each['memory'] / 1e6:.0f}" if "memory" in each else ""]
        for each in (*raw["stages"], killed)
    ]  # fmt: skip
    odd = [[kind, f"{count:,}", str(raw["odd"]["faults"][kind])]
           for kind, count in sorted(raw["odd"]["counts"].items())]  # fmt: skip
    fuzzed = [
        [name, f"{sum(each['statuses'].values()):,}",
         ", ".join(f"{status}: {count:,}" for status, count in each["statuses"].items()),
         str(each["faults"])]
        for name, each in raw["fuzz"].items()
    ]  # fmt: skip
    before, after = (size / 1e6 for size in raw["memory"])
    rest = [[f"{before:.0f}", f"{after:.0f}", f"{raw['ready']:.2f}", str(raw["tracebacks"]),
             ", ".join(f"{count:,} {what}" for what, count in raw["changes"].items()),
             f"{raw['capacity']['light']:.0f} and {raw['capacity']['heavy']:.0f}"]]  # fmt: skip
    return [
        Table("Requests", ["load", "requests", "sent, of capacity", "429, asked again", "cut off",
                           "right", "404: unloaded", "lost", "wrong", "of a wrong adapter",
                           "p50, ms", "p99, ms", "generator's cores", "MB"], requests),
        Table("Odd clients", ["", "number", "not as documented"], odd),
        Table("Fuzzed bodies", ["protocol", "bodies", "answers", "not as documented"], fuzzed),
        Table("The server", ["MB before", "MB after", "s to start again", "tracebacks", "adapters",
                             "capacity, requests/s"], rest),
    ]  # fmt: skip


def goals(record: Record) -> list[Goal]:
    """Nothing lost and nothing wrong, memory flat, a quick start, documented answers alone."""
    raw: dict[str, Any] = next(iter(record.figures.get(OURS, [])[-1:]), {})
    stages: Sequence[dict[str, Any]] = [*raw["stages"], raw["killed"]] if raw else []
    answered = f"of {sum(each['requests'] for each in stages):,} requests"
    found = [
        _none(what, answered, raw and sum(each[key] for each in stages))
        for what, key in (("lost", LOST), ("wrong", WRONG), ("of a wrong adapter", FOREIGN))
    ]
    odd = raw and sum(raw["odd"]["faults"].values())
    bodies = raw and sum(each["faults"] for each in raw["fuzz"].values())
    found += [
        _none("not as documented", "odd clients", odd),
        _none("not as documented", "fuzzed bodies", bodies),
        _none("tracebacks", "of the server", raw and raw["tracebacks"]),
    ]
    growth = raw and abs(raw["memory"][1] / raw["memory"][0] - 1)
    found.append(_most("memory at the end", "after warming up", growth, 0.02, "{:.1%}"))
    found.append(_most("ready after kill -9", "-", raw and raw["ready"], 3.0, "{:.2f} s"))
    return found


def _none(what: str, against: str, count: Any) -> Goal:
    if count == {}:
        return Goal(what, against, "none", "not measured", None)
    return Goal(what, against, "none", f"{count:,}", count == 0)


def _most(what: str, against: str, value: Any, most: float, form: str) -> Goal:
    bound = f"at most {form.format(most)}"
    if value == {}:
        return Goal(what, against, bound, "not measured", None)
    return Goal(what, against, bound, form.format(value), value <= most)
