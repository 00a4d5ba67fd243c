"""The server under load: texts a second beside the session's own, and waits by load."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.data import Workload, prepare, read_rows
from benchmarks.environments import INFINITY, environment_of
from benchmarks.load import Generator
from benchmarks.measure import Contender, alternate, once
from benchmarks.options import Options
from benchmarks.ratios import Ratio, median, percentile, values
from benchmarks.record import Goal, Record, Table, new_record
from benchmarks.servers import served, serving

SUMMARY = "texts a second and waits of the server, beside its session, a pipeline and Infinity"
NOTES = """\
The generator speaks HTTP over kept connections from another process of the same machine: both share
its cores, and what it takes of them is shown. No text is asked twice. *Session* are the texts a
second of `Session.predict`, 256 a call, tokenising included, without a server. *Pipeline* is the
merged model as tutorials serve it: the pipeline of transformers in an endpoint of Starlette (which
FastAPI is made of), a thread for each request. *Infinity* 0.0.78 answers from the merged model at
`/classify`, in bfloat16. Waits are of requests with one text that come at
random, counted from when they were due, at shares of the texts a second that 64 clients reached who
ask one after the other; *sent* is what of them the generator had a connection for. Texts of 512
tokens are asked by 16 clients, one a request.
"""
ROUNDS, SECONDS, CLIENTS, TEXTS = 3, 8.0, 64, 32
LONG, LONG_CLIENTS, LONG_CHARACTERS = 512, 16, 1600
LOADS = (0.5, 0.8, 0.95, 1.5, 10.0)
OURS, PIPELINE, RIVAL = "lora-bert", "pipeline", "Infinity"


def measure(options: Options) -> Record:
    """The servers in turns, each with a generator of its own."""
    workload = prepare(options, rows=400, test_rows=options.rows_or(4000))
    seconds = 1.0 if options.quick else SECONDS
    record = new_record("serve", options, seconds=seconds, source=workload.source)
    place = {"workload": workload.as_json(), "target": str(options.work)}
    once(Contender("models", "benchmarks.serve:models", place), options.work)
    given = {**place, "seconds": seconds}
    contenders = [
        Contender(OURS, "benchmarks.serve:ours", given),
        Contender(PIPELINE, "benchmarks.serve:pipeline", given),
    ]
    if interpreter := environment_of((RIVAL,), "infinity", INFINITY, record):
        contenders.append(Contender(RIVAL, "benchmarks.serve:infinity",
                                    given | {"interpreter": interpreter}))  # fmt: skip
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['single']:.0f} texts/s, a text a request")  # fmt: skip
    return record


def models(workload: dict[str, Any], target: str) -> dict[str, Any]:
    """Train an adapter, and merge it; and one that reads longer texts."""
    import lora_bert

    work = Workload(**workload)
    for name, most in (("texts", work.max_length), ("long", LONG)):
        lora_bert.train(train=work.train, validation=work.validation, backbone=work.backbone,
                        epochs=1, max_length=most,
                        output=Path(target, "adapters", name))  # fmt: skip
    lora_bert.merge(Path(target, "adapters", "texts"), Path(target, "merged"))
    return {}


def ours(workload: dict[str, Any], target: str, seconds: float) -> dict[str, Any]:
    """The session by itself, then the server."""
    work, adapters = Workload(**workload), str(Path(target, "adapters"))
    texts = [text for text, _ in read_rows(work.test)]
    found = _session_rates(adapters, work.backbone, texts)
    fresh = new_texts(texts)
    with served(serving(adapters, work.backbone, "--port", "0")) as (url, _):
        found |= _throughput(f"{url}/adapters/texts/predict", fresh, seconds)
        found |= _waits(f"{url}/adapters/texts/predict", fresh, seconds, found["single"])
        found |= _long(f"{url}/adapters/long/predict", texts, seconds)
    return found


def pipeline(workload: dict[str, Any], target: str, seconds: float) -> dict[str, Any]:
    """The pipeline of transformers behind an endpoint."""
    texts = [text for text, _ in read_rows(Workload(**workload).test)]
    command = [sys.executable, "-m", "benchmarks.peers.pipeline_server", f"{target}/merged"]
    with served(command) as (url, _):
        return _throughput(f"{url}/predict", new_texts(texts), seconds)


def infinity(
    workload: dict[str, Any], target: str, seconds: float, interpreter: str
) -> dict[str, Any]:
    """Infinity, in the Python that has it."""
    texts = [text for text, _ in read_rows(Workload(**workload).test)]
    command = [interpreter, "-m", "benchmarks.peers.infinity_server", f"{target}/merged"]

    def spelled(some: Sequence[str]) -> dict[str, Any]:
        return {"model": "model", "input": some}

    with served(command) as (url, _):
        return _throughput(f"{url}/classify", new_texts(texts), seconds, spelled)


def _session_rates(adapters: str, backbone: str, texts: Sequence[str]) -> dict[str, float]:
    """Texts a second of calls with 256 texts, and with 64 of 512 tokens."""
    import lora_bert

    session = lora_bert.Session.from_directory(adapters, backbone=backbone)
    long = list(islice(long_texts(texts), 192))
    found = {}
    for figure, name, some, size in (
        ("session", "texts", texts, 256), ("long_session", "long", long, 64)
    ):  # fmt: skip
        parts, rates = [some[at : at + size] for at in range(0, len(some), size)], []
        session.predict(parts[0], adapter=name)
        for part in parts[1:] or parts:
            started = time.perf_counter()
            session.predict(part, adapter=name)
            rates.append(len(part) / (time.perf_counter() - started))
        found[figure] = sorted(rates)[len(rates) // 2]
    return found


def _spelled(texts: Sequence[str]) -> dict[str, Any]:
    """Texts as the other servers have them."""
    return {"inputs": texts[0] if len(texts) == 1 else [[text] for text in texts]}


def _throughput(
    url: str,
    fresh: Iterator[str],
    seconds: float,
    spelled: Callable[[Sequence[str]], dict[str, Any]] = _spelled,
) -> dict[str, float]:
    """Texts a second with one a request and with several, and the generator's share of a core."""
    single = Generator(url, _bodies(fresh, spelled=spelled))
    single.closed(CLIENTS, seconds / 2)  # warms up
    load = single.closed(CLIENTS, seconds)
    several = Generator(url, _bodies(fresh, TEXTS, spelled)).closed(8, seconds)
    return {
        "single": len(load.took) / load.seconds,
        "single_generator": load.cpu / load.seconds,
        "several": TEXTS * len(several.took) / several.seconds,
        "several_generator": several.cpu / several.seconds,
    }


def _waits(url: str, fresh: Iterator[str], seconds: float, rate: float) -> dict[str, float]:
    """At each load the median and the 99th percentile of waits, and what became of the requests."""
    found = {}
    for share in LOADS:
        load = Generator(url, _bodies(fresh)).opened(share * rate, seconds)
        took = sorted(load.took) or [float("inf")]
        found[f"p50_{share:g}"] = percentile(took, 0.5)
        found[f"p99_{share:g}"] = percentile(took, 0.99)
        found[f"refused_{share:g}"] = load.statuses.get(429, 0) / load.sent
        found[f"lost_{share:g}"] = load.statuses.get(0, 0) / load.sent
        found[f"sent_{share:g}"] = load.sent / (load.sent + load.unsent)
    return found


def _long(url: str, texts: Sequence[str], seconds: float) -> dict[str, float]:
    """Texts a second, and the median of waits, of texts as long as the backbone reads."""
    generator = Generator(url, _bodies(long_texts(texts)))
    generator.closed(LONG_CLIENTS, seconds / 2)  # warms up
    load = generator.closed(LONG_CLIENTS, seconds)
    took = sorted(load.took) or [float("inf")]
    return {"long": len(load.took) / load.seconds, "long_p50": percentile(took, 0.5)}


def new_texts(texts: Sequence[str]) -> Iterator[str]:
    """Texts without end, of which no two are equal."""
    return (f"{number} {text}" for number, text in zip(count(), cycle(texts), strict=False))


def long_texts(texts: Sequence[str]) -> Iterator[str]:
    """The same of more than 512 tokens, which are cut."""
    fresh = new_texts(texts)
    while True:
        long = next(fresh)
        while len(long) < LONG_CHARACTERS:
            long += next(fresh)
        yield long


def _bodies(
    texts: Iterator[str],
    size: int = 1,
    spelled: Callable[[Sequence[str]], dict[str, Any]] = _spelled,
) -> Callable[[int], bytes]:
    def body(_: int) -> bytes:
        return json.dumps(spelled(list(islice(texts, size))), ensure_ascii=False).encode()

    return body


def tables(record: Record) -> list[Table]:
    """Texts a second; waits by load; long texts."""
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
         _figure(record, OURS, f"refused_{share:g}", "{:.0f} %", 100),
         _figure(record, OURS, f"sent_{share:g}", "{:.0f} %", 100)]
        for share in LOADS if OURS in record.figures
    ]  # fmt: skip
    long = [
        [_figure(record, OURS, "long", "{:.1f}"), _figure(record, OURS, "long_session", "{:.1f}"),
         _figure(record, OURS, "long_p50", "{:.0f}", 1000)]
    ] if OURS in record.figures else []  # fmt: skip
    head = ["", "texts/s, one a request", f"{TEXTS} a request", "Session", "generator's cores"]
    return [
        Table("Texts a second", head, rates),
        Table("Waits", ["load", "p50, ms", "p99, ms", "429", "sent"], waits),
        Table(f"Texts of {LONG} tokens", ["texts/s", "Session", "p50, ms"], long),
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
        ("p99 at 10 times capacity", "at 0.8", ("p99_10", "p99_0.8"), 3.0),
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
    if OURS in record.figures and PIPELINE in record.figures:
        share = _share(record, OURS, "single", PIPELINE, "single")
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
