"""Six exported classifiers: as branches on one trunk, and as six models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import Workload, prepare, read_rows
from benchmarks.many import places
from benchmarks.measure import Contender, alternate, once
from benchmarks.options import Options
from benchmarks.ratios import median, ratio
from benchmarks.record import Goal, Record, Table, new_record, number

SUMMARY = "six exported classifiers: branches on one trunk against six models"
PAGE = "many.md"
SIX, TEXTS, ROUNDS = 6, 640, 3
NOTES = f"""\
{SIX} classifiers of e5-small-zh-en's twelve layers, all of other weights, exported to OpenVINO, in
the precision that is fast here; each way in a process of its own. *One text, all six*: new texts
one after the other, the median, tokenising included; the models are asked in turns. *All six* and
*one of them* are rows a second, {TEXTS // 2} new ones at once. The memory is the process's own, not
that of mapped files (`RssAnon`), libraries included: after the single texts, and at the end.
"""
KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "top:3": (SIX, {"layers": "top:3"}), "top:6": (SIX, {"layers": "top:6"}),
}  # fmt: skip
"""How many adapters of which options."""
TRUNK, MODELS, MERGED = "a trunk", "six models", "six merged models, torch"
WAYS = [(kind, way) for kind in KINDS for way in (TRUNK, MODELS)] + [("top:3", MERGED)]


def measure(options: Options) -> Record:
    """Every way in turns."""
    workload = prepare(options, rows=400, test_rows=options.rows_or(TEXTS))
    record = new_record("branches", options, classifiers=SIX, source=workload.source)
    place = {"workload": workload.as_json(), "target": str(options.work)}
    once(Contender("adapters", "benchmarks.many:adapters", place | {"kinds": KINDS}), options.work)
    once(Contender("models", "benchmarks.branches:models", place), options.work)
    contenders = [
        Contender(f"{kind}, {way}", "benchmarks.branches:ours", place | {"kind": kind, "way": way})
        for kind, way in WAYS
    ]
    alternate(
        contenders, options, record, rounds=options.rounds_or(ROUNDS),
        show=lambda raw: f"{1000 * raw['text']:.1f} ms, {raw['private'] / 1e6:.0f} MB",
    )  # fmt: skip
    return record


def models(workload: dict[str, Any], target: str) -> dict[str, Any]:
    """Export the adapters together and one by one, and merge those that are asked merged."""
    import lora_bert

    del workload
    for kind in KINDS:
        found = places(target, kind)
        lora_bert.export(found, Path(target, f"{kind}-trunk"))
        for place in found:
            lora_bert.export(place, place.with_name(f"exported-{place.name}"))
            if (kind, MERGED) in WAYS:
                lora_bert.merge(place, place.with_name(f"merged-{place.name}"))
    return {"made": len(KINDS)}


def ours(workload: dict[str, Any], target: str, kind: str, way: str) -> dict[str, Any]:
    """Seconds of one text by all six, rows a second, and bytes of memory."""
    import lora_bert
    from benchmarks.worker import private

    texts = [text for text, _ in read_rows(Workload(**workload).test)]
    half = len(texts) // 2
    names = [place.name for place in places(target, kind)]
    if way == TRUNK:
        session = lora_bert.Session.from_directory(Path(target, f"{kind}-trunk"))
        one = session.predictor(names[0])

        def answer(some: Sequence[str]) -> None:
            session.predict(some, adapters=names)
    else:
        form = "merged" if way == MERGED else "exported"
        every = [lora_bert.load(Path(target, kind, f"{form}-{name}")) for name in names]
        one = every[0]

        def answer(some: Sequence[str]) -> None:
            for each in every:
                each.predict(some)

    single = sorted([_seconds(answer, [text]) for text in texts[:half]][half // 3 :])
    found = {"text": single[len(single) // 2], "private": private()}
    for key, call in (("all", answer), ("one", one.predict)):
        call(texts[:half])
        found[key] = (len(texts) - half) / _seconds(call, texts[half:])
    return found | {"private_end": private()}


def _seconds(call: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    started = time.perf_counter()
    call(texts)
    return time.perf_counter() - started


def tables(record: Record) -> list[Table]:
    """Every figure of every way."""
    head = ["", "one text, all six, ms", "all six, rows/s", "one of them, rows/s", "memory, MB",
            "at the end, MB"]  # fmt: skip
    columns = (("text", 1000), ("all", 1), ("one", 1), ("private", 1e-6), ("private_end", 1e-6))
    rows = [
        [name, *(number(scale * median(record.figures, name, key)) for key, scale in columns)]
        for name in record.figures
    ]
    return [Table("Six classifiers", head, rows)]


def goals(record: Record) -> list[Goal]:
    """A trunk takes less memory and less time than six models."""
    found = []
    for kind in KINDS:
        for what, key in (("memory", "private"), ("one text, all six", "text")):
            share = ratio(record.figures, f"{kind}, {TRUNK}", f"{kind}, {MODELS}", key)
            shown = "not measured" if share is None else str(share)
            reached = None if share is None else share.median < 1
            found.append(Goal(f"{what}, {kind} on a trunk", MODELS, "below", shown, reached))
    return found
