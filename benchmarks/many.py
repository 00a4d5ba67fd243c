"""Many adapters at once: rows of 32 in one batch, and texts that 16 adapters answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import Workload, prepare, read_rows
from benchmarks.environments import LATEFUSE, POLYLORA, environment_of
from benchmarks.measure import Contender, alternate, once
from benchmarks.options import Options
from benchmarks.ratios import Ratio, median, values
from benchmarks.record import Goal, Record, Table, new_record
from benchmarks.session import other_weights

SUMMARY = "32 adapters in a batch, 16 on a text, against one, PEFT, PolyLoRA and LateFuse"
PAGE = "many.md"
TOGETHER, ON_A_TEXT, BATCH = 32, 16, 64
NOTES = f"""\
{TOGETHER} adapters of the default depth, rank 8, all of other weights; each call answers {BATCH}
texts that were not seen before, two an adapter, tokenising included. *Switching* answers the rows
of one adapter after the other: `predict` with each, `set_adapter` of PEFT. The others have one
padded batch and the precision that is fast here. PolyLoRA 0.1.1 has no heads and answers all rows
with one; LateFuse 0.1.0 knows adapters of query, key and value alone, has random ones of query and
value in all layers here, and pads to the maximum; both are made for a GPU. The ways take turns
call by call within a process; a rate is that of the median call. CPU seconds are those of all
threads together, which depend less on what else the machine does.
"""
ROUNDS, CALLS = 5, 18
OURS = "lora-bert"
PEERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "PEFT": ("peft", ()), "PolyLoRA": ("polylora", POLYLORA), "LateFuse": ("latefuse", LATEFUSE),
}  # fmt: skip
"""The function that measures each, and what its own environment needs."""
KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    # PEFT's heads read the first token.
    "deep": (TOGETHER, {"pooling": "cls"}), "top3": (ON_A_TEXT, {"layers": "top:3"}),
    "head": (ON_A_TEXT, {"method": "head-only"}),
}  # fmt: skip
"""How many adapters of which options."""
WAYS = {"one": "one adapter", "mixed": "mixed batches", "switched": "switching"}
ON_TEXTS = {
    "top3_together": f"{ON_A_TEXT} adapters of top:3, together",
    "top3_apart": "the same, one after the other",
    "head_together": f"{ON_A_TEXT} heads alone, together",
    "head_one": "one of them",
}


def measure(options: Options) -> Record:
    """Ours and the peers' in turns, each in a process of its own."""
    workload = prepare(options, rows=400, test_rows=options.rows_or(BATCH * CALLS))
    record = new_record("many", options, batch=BATCH, adapters=TOGETHER, source=workload.source)
    place = {"workload": workload.as_json(), "target": str(options.work)}
    once(Contender("adapters", "benchmarks.many:adapters", place | {"kinds": KINDS}), options.work)
    contenders = [Contender(OURS, "benchmarks.many:ours", place)]
    for peer, (function, packages) in PEERS.items():
        python = environment_of((peer,), function, packages, record) if packages else ""
        if python is None:
            continue
        target = f"benchmarks.peers.mixing:{function}"
        contenders.append(Contender(peer, target, place, python=python))
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['mixed'] / raw['one']:.2f} of one adapter")  # fmt: skip
    return record


def adapters(
    workload: dict[str, Any], target: str, kinds: dict[str, tuple[int, dict[str, Any]]]
) -> dict[str, Any]:
    """Train an adapter of each kind, and write so many copies with other weights."""
    import lora_bert

    work = Workload(**workload)
    for kind, (count, options) in kinds.items():
        first = Path(target, kind, "adapter")
        lora_bert.train(train=work.train, validation=work.validation, backbone=work.backbone,
                        epochs=1, output=first, **options)  # fmt: skip
        for number in range(count):
            other_weights(first, number)
    return {"trained": len(kinds)}


def ours(workload: dict[str, Any], target: str) -> dict[str, Any]:
    """Calls of ``Session.predict``, way by way in turns."""
    import lora_bert

    work = Workload(**workload)
    session = lora_bert.Session(work.backbone)
    deep, top3, head = (
        [session.add(place, name=f"{kind}-{place.name}") for place in places(target, kind)]
        for kind in ("deep", "top3", "head")
    )
    each = [deep[row % TOGETHER] for row in range(BATCH)]

    def switched(texts: Sequence[str]) -> None:
        for number, name in enumerate(deep):
            session.predict(texts[number::TOGETHER], adapter=name)

    def apart(texts: Sequence[str]) -> None:
        for name in top3:
            session.predict(texts, adapter=name)

    return timed(work, {
        "one": lambda texts: session.predict(texts, adapter=deep[0]),
        "mixed": lambda texts: session.predict(texts, adapter=each),
        "switched": switched,
        "top3_together": lambda texts: session.predict(texts, adapters=top3),
        "top3_apart": apart,
        "head_together": lambda texts: session.predict(texts, adapters=head),
        "head_one": lambda texts: session.predict(texts, adapter=head[0]),
    })  # fmt: skip


def places(target: str, kind: str) -> list[Path]:
    """The adapters of a kind."""
    return sorted(Path(target, kind).glob("adapter-*"), key=lambda place: int(place.name[8:]))


def timed(
    work: Workload, ways: dict[str, Callable[[Sequence[str]], object]], batch: int = BATCH
) -> dict[str, Any]:
    """Texts a second, and CPU seconds a thousand texts (``_cpu``), of each way's median call.

    The first third of the calls warms up: a processor's library prepares products.
    """
    texts = [text for text, _ in read_rows(work.test)]
    calls = len(texts) // batch
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for call in range(calls):
        some = texts[call * batch : (call + 1) * batch]
        for name, way in ways.items():
            started, spent = time.perf_counter(), time.process_time()
            way(some)
            took = time.perf_counter() - started, time.process_time() - spent
            if call >= calls // 3:
                found[name].append(took)
    middle = {name: [sorted(each)[len(each) // 2] for each in zip(*taken, strict=True)]
              for name, taken in found.items()}  # fmt: skip
    rates = {name: batch / seconds for name, (seconds, _) in middle.items()}
    return rates | {f"{name}_cpu": 1000 * cpu / batch for name, (_, cpu) in middle.items()}


def tables(record: Record) -> list[Table]:
    """Each way's rate, as a share of that with one adapter, and its CPU seconds."""
    head = ["", "texts/s", "of one adapter's", "CPU s a 1,000 texts"]
    mixed = [
        [f"{name}, {shown}", *_cells(record, name, way, "one")]
        for name, rounds in record.figures.items()
        for way, shown in WAYS.items() if way in rounds[0]
    ]  # fmt: skip
    on_texts = [
        [shown, *_cells(record, OURS, way, way.partition("_")[0] + _LAST[way])]
        for way, shown in ON_TEXTS.items()
        if OURS in record.figures
    ]
    title = f"{TOGETHER} adapters, {BATCH} texts a call"
    again = ["", "texts/s", "time, of that beside it", "CPU s a 1,000 texts"]
    return [
        Table(title, head, mixed),
        Table(f"{ON_A_TEXT} adapters on each text", again, on_texts),
    ]


_LAST = {"top3_together": "_apart", "top3_apart": "_apart", "head_together": "_one",
         "head_one": "_one"}  # fmt: skip


def _cells(record: Record, name: str, way: str, base: str) -> list[str]:
    share = _share(record, name, way, base, inverse=way in ON_TEXTS)
    return [f"{median(record.figures, name, way):,.0f}", str(share).replace("x", ""),
            f"{median(record.figures, name, f'{way}_cpu'):.2f}"]  # fmt: skip


def _share(record: Record, name: str, way: str, base: str, *, inverse: bool) -> Ratio:
    """Within each round the rate of ``way`` by that of ``base``, or the time."""
    pairs = zip(values(record.figures, name, way), values(record.figures, name, base), strict=True)
    found = sorted(base / way if inverse else way / base for way, base in pairs)
    return Ratio(found[len(found) // 2], found[0], found[-1])


def goals(record: Record) -> list[Goal]:
    """Mixed batches nearly as fast as one adapter; many adapters on a text for little more."""
    mixed = record.least(0.9, 0.75)
    wanted = (
        (f"{TOGETHER} adapters in a batch", "one adapter", "mixed", "one", mixed, False),
        (f"{ON_A_TEXT} of top:3 on a text", f"{ON_A_TEXT} passes", "top3_together", "top3_apart",
         0.4, True),
        (f"{ON_A_TEXT} heads on a text", "one pass", "head_together", "head_one", 1.2, True),
    )  # fmt: skip
    found = []
    for what, against, way, base, least, inverse in wanted:
        bound = f"at most {least:g}" if inverse else f"{least:g}"
        if OURS not in record.figures:
            found.append(Goal(what, against, bound, "not measured", None))
            continue
        share = _share(record, OURS, way, base, inverse=inverse)
        reached = share.median <= least if inverse else share.median >= least
        found.append(Goal(what, against, bound, str(share).replace("x", ""), reached))
    return found
