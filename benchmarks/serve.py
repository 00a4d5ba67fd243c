"""The server under load: texts a second beside the session's own, and waits by load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.data import Workload, prepare, read_rows
from benchmarks.load import Generator
from benchmarks.measure import Contender, alternate, once
from benchmarks.options import Options
from benchmarks.ratios import Ratio, median, percentile, values
from benchmarks.record import Goal, Record, Table, new_record

SUMMARY = "texts a second and waits of the server, beside the session and transformers behind HTTP"
NOTES = """\
The generator speaks HTTP over kept connections from another process of the same machine: both share
its cores, and what it takes of them is shown. No text is asked twice. *Session* are the texts a
second of `Session.predict`, 256 a call, tokenising included, without a server. *Pipeline* is the
merged model as tutorials serve it: the pipeline of transformers in an endpoint of Starlette (which
FastAPI is made of), a thread for each request. Waits are of requests with one text that come at
random, counted from when they were due, at shares of the texts a second that 64 clients reached who
ask one after the other.
"""
ROUNDS, SECONDS, CLIENTS, TEXTS = 3, 8.0, 64, 32
LOADS = (0.5, 0.8, 0.95, 1.5, 10.0)
OURS, PEER = "lora-bert", "pipeline"


def measure(options: Options) -> Record:
    """Both servers in turns, each with a generator of its own."""
    workload = prepare(options, rows=400, test_rows=options.rows_or(4000))
    seconds = 1.0 if options.quick else SECONDS
    record = new_record("serve", options, seconds=seconds, source=workload.source)
    place = {"workload": workload.as_json(), "target": str(options.work)}
    once(Contender("models", "benchmarks.serve:models", place), options.work)
    contenders = [
        Contender(OURS, "benchmarks.serve:ours", {**place, "seconds": seconds}),
        Contender(PEER, "benchmarks.serve:peer", {**place, "seconds": seconds}),
    ]
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['single']:.0f} texts/s, a text a request")  # fmt: skip
    return record


def models(workload: dict[str, Any], target: str) -> dict[str, Any]:
    """Train an adapter, and merge it."""
    import lora_bert

    work, place = Workload(**workload), Path(target, "adapters", "texts")
    lora_bert.train(train=work.train, validation=work.validation, backbone=work.backbone,
                    epochs=1, output=place)  # fmt: skip
    lora_bert.merge(place, Path(target, "merged"))
    return {}


def ours(workload: dict[str, Any], target: str, seconds: float) -> dict[str, Any]:
    """The session by itself, then the server."""
    work = Workload(**workload)
    texts = [text for text, _ in read_rows(work.test)]
    found = {"session": _session_rate(target, work.backbone, texts)}
    command = [sys.executable, "-m", "lora_bert", "serve", f"{target}/adapters", "--port", "0",
               "--backbone", work.backbone, "--json", "--quiet"]  # fmt: skip
    with _server(command) as url:
        found |= _throughput(f"{url}/predict", texts, seconds)
        found |= _waits(f"{url}/predict", texts, seconds, found["single"])
    return found


def peer(workload: dict[str, Any], target: str, seconds: float) -> dict[str, Any]:
    """The pipeline behind an endpoint."""
    texts = [text for text, _ in read_rows(Workload(**workload).test)]
    command = [sys.executable, "-m", "benchmarks.peers.pipeline_server", f"{target}/merged"]
    with _server(command) as url:
        return _throughput(f"{url}/predict", texts, seconds)


def _session_rate(target: str, backbone: str, texts: Sequence[str]) -> float:
    import lora_bert

    session = lora_bert.Session.from_directory(Path(target, "adapters"), backbone=backbone)
    parts = [texts[at : at + 256] for at in range(0, len(texts), 256)]
    session.predict(parts[0], adapter="texts")
    rates = []
    for part in parts[1:] or parts:
        started = time.perf_counter()
        session.predict(part, adapter="texts")
        rates.append(len(part) / (time.perf_counter() - started))
    return sorted(rates)[len(rates) // 2]


@contextmanager
def _server(command: list[str]) -> Iterator[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        lines = ""
        while not lines.endswith("}\n"):
            line = process.stdout.readline()  # type: ignore[union-attr]
            if not line:
                raise RuntimeError(f"the server ended with {process.wait()}")
            lines += line
        yield json.loads(lines)["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _throughput(url: str, texts: Sequence[str], seconds: float) -> dict[str, float]:
    """Texts a second with one a request and with several, and the generator's share of a core."""
    single = Generator(url, lambda at: _body(_new(texts, at)))
    single.closed(CLIENTS, seconds / 2)  # warms up
    load = single.closed(CLIENTS, seconds)
    several = Generator(
        url, lambda at: _body(*(_new(texts, at * TEXTS + more) for more in range(TEXTS)))
    ).closed(8, seconds)
    return {
        "single": len(load.took) / load.seconds,
        "single_generator": load.cpu / load.seconds,
        "several": TEXTS * len(several.took) / several.seconds,
        "several_generator": several.cpu / several.seconds,
    }


def _waits(url: str, texts: Sequence[str], seconds: float, rate: float) -> dict[str, float]:
    """The median and the 99th percentile of waits at each load, and the share that is refused."""
    found = {}
    for share in LOADS:
        generator = Generator(url, lambda at: _body(_new(texts, at)))
        load = generator.opened(share * rate, seconds)
        took = sorted(load.took) or [float("inf")]
        sent = sum(load.statuses.values())
        found[f"p50_{share:g}"] = percentile(took, 0.5)
        found[f"p99_{share:g}"] = percentile(took, 0.99)
        found[f"refused_{share:g}"] = load.statuses.get(429, 0) / sent
        found[f"lost_{share:g}"] = load.statuses.get(0, 0) / sent
    return found


def _new(texts: Sequence[str], number: int) -> str:
    """A text that nobody has asked before."""
    return f"{number} {texts[number % len(texts)]}"


def _body(*texts: str) -> bytes:
    inputs = texts[0] if len(texts) == 1 else [[text] for text in texts]
    return json.dumps({"inputs": inputs}, ensure_ascii=False).encode()


def tables(record: Record) -> list[Table]:
    """Texts a second; waits by load."""
    rates = [
        [name, _figure(record, name, "single", "{:,.0f}"),
         _figure(record, name, "several", "{:,.0f}"),
         _figure(record, name, "session", "{:,.0f}"),
         _figure(record, name, "single_generator", "{:.2f}")]
        for name in record.figures
    ]  # fmt: skip
    waits = [
        [f"{share:g}", _figure(record, OURS, f"p50_{share:g}", "{:.0f}", 1000),
         _figure(record, OURS, f"p99_{share:g}", "{:.0f}", 1000),
         _figure(record, OURS, f"refused_{share:g}", "{:.0f} %", 100)]
        for share in LOADS if OURS in record.figures
    ]  # fmt: skip
    head = ["", "texts/s, one a request", f"{TEXTS} a request", "Session", "generator's cores"]
    return [
        Table("Texts a second", head, rates),
        Table("Waits", ["load", "p50, ms", "p99, ms", "429"], waits),
    ]


def _figure(record: Record, name: str, key: str, form: str, scale: float = 1.0) -> str:
    known = values(record.figures, name, key) if key in record.figures[name][0] else []
    return form.format(scale * median(record.figures, name, key)) if known else ""


def goals(record: Record) -> list[Goal]:
    """Nearly the session's own rate; several times the pipeline's; waits that stay short."""
    wanted = (
        (f"{TEXTS} texts a request", "the session's own", ("several", "session"), 0.9),
        ("a text a request", "the session's own", ("single", "session"), 0.7),
        ("p99 beyond capacity", "at 0.8", ("p99_1.5", "p99_0.8"), 3.0),
    )
    found = []
    for what, against, (above, below), least in wanted:
        bound = f"{'at most ' if above.startswith('p99') else ''}{least:g}"
        if OURS not in record.figures:
            found.append(Goal(what, against, bound, "not measured", None))
            continue
        share = _share(record, OURS, above, OURS, below)
        reached = share.median <= least if above.startswith("p99") else share.median >= least
        found.append(Goal(what, against, bound, str(share).replace("x", ""), reached))
    if OURS in record.figures and PEER in record.figures:
        share = _share(record, OURS, "single", PEER, "single")
        found.append(Goal("a text a request", "pipeline", "4", str(share), share.median >= 4))
    else:
        found.append(Goal("a text a request", "pipeline", "4", "not measured", None))
    return found


def _share(record: Record, name: str, above: str, other: str, below: str) -> Ratio:
    pairs = zip(
        values(record.figures, name, above), values(record.figures, other, below), strict=False
    )
    found = sorted(one / two for one, two in pairs)
    return Ratio(found[len(found) // 2], found[0], found[-1])
