"""What the second, eighth and 32nd adapter costs on a text, by depth, beside its accuracy."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.data import Workload, prepare
from benchmarks.many import OURS, places, timed
from benchmarks.measure import Contender, alternate, once
from benchmarks.options import RESULTS, Options
from benchmarks.ratios import median
from benchmarks.record import Goal, Record, Table, new_record, read_record

SUMMARY = "what the 2nd, 8th and 32nd adapter costs on a text, by depth, beside its accuracy"
PAGE = "many.md"
COUNTS, BATCH, CALLS, ROUNDS = (1, 2, 8, 32), 16, 15, 3
DEPTHS: dict[str, tuple[int, dict[str, Any]]] = {
    "head-only": (COUNTS[-1], {"method": "head-only"}),
    **{depth: (COUNTS[-1], {"layers": depth}) for depth in ("top:2", "top:4", "top:6", "all")},
}
NOTES = f"""\
`Session.predict(texts, adapters=[…])` with {BATCH} new texts a call: milliseconds a text until 1,
2, 8 and 32 adapters of one depth have answered it, all of other weights. A *further adapter* is
what each of the 31 others adds, as a share of the first one's time. The accuracy of a depth is that
of [layers](benchmarks.md#layers), which was measured with heads of the first token; of a head alone
it was not measured there.
"""
_DATA = ("waimai", "banking77", "chnsenticorp")


def measure(options: Options) -> Record:
    """All depths in turns, call by call."""
    workload = prepare(options, rows=400, test_rows=options.rows_or(BATCH * CALLS))
    record = new_record("depths", options, batch=BATCH, source=workload.source)
    place = {"workload": workload.as_json(), "target": str(options.work)}
    made = Contender("adapters", "benchmarks.many:adapters", place | {"kinds": DEPTHS})
    once(made, options.work)
    alternate([Contender(OURS, "benchmarks.depths:ours", place)], options, record,
              rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"all layers, 32 adapters: {raw['all 32']:.1f} texts/s")  # fmt: skip
    return record


def ours(workload: dict[str, Any], target: str) -> dict[str, Any]:
    """Texts a second by depth and number of adapters."""
    import lora_bert

    work = Workload(**workload)
    session = lora_bert.Session(work.backbone)

    def answer(texts: Sequence[str], names: Sequence[str]) -> None:
        session.predict(texts, adapters=names)

    ways: dict[str, Callable[[Sequence[str]], object]] = {}
    for depth in DEPTHS:
        names = [session.add(each, name=f"{depth} {each.name}") for each in places(target, depth)]
        ways |= {f"{depth} {count}": partial(answer, names=names[:count]) for count in COUNTS}
    return timed(work, ways, BATCH)


def tables(record: Record) -> list[Table]:
    """Accuracy, milliseconds, and what a further adapter adds, a line a depth."""
    head = ["--layers", *(f"{data}, %" for data in _DATA),
            *(f"{count} adapter{'s' * (count > 1)}, ms" for count in COUNTS),
            "a further adapter"]  # fmt: skip
    rows = []
    for depth in DEPTHS if OURS in record.figures else ():
        spent = [_milliseconds(record, depth, count) for count in COUNTS]
        found = [_accuracy(data, depth) for data in _DATA]
        rows.append([
            depth, *(f"{statistics.mean(each):.1f}" if each else "-" for each in found),
            *(f"{each:.2g}" if each < 10 else f"{each:.0f}" for each in spent),
            f"{_further(record, depth):.0f} %",
        ])  # fmt: skip
    return [Table("Accuracy, depth, and what many adapters cost", head, rows)]


def goals(record: Record) -> list[Goal]:
    """None: it is for whoever chooses a depth."""
    return []


def plot(record: Record, path: Path) -> None:
    """Accuracy against what a further adapter costs, a panel a data set."""
    panels = {
        data: [
            (depth, _further(record, depth), accuracy)
            for depth in DEPTHS if (accuracy := _accuracy(data, depth))
        ]
        for data in _DATA
    }  # fmt: skip
    plots.trade_off(
        path, {data: points for data, points in panels.items() if points},
        "a further adapter, % of the first one's time",
    )  # fmt: skip


def _milliseconds(record: Record, depth: str, count: int) -> float:
    return 1000 / median(record.figures, OURS, f"{depth} {count}")


def _further(record: Record, depth: str) -> float:
    first, last = (_milliseconds(record, depth, count) for count in (COUNTS[0], COUNTS[-1]))
    return 100 * (last - first) / first / (COUNTS[-1] - 1)


def _accuracy(data: str, depth: str) -> list[float]:
    """Of each seed, in percent; empty where it was not measured."""
    path = RESULTS / "layers.json"
    found = read_record(path).figures.get(f"{data} {depth}", []) if path.is_file() else []
    return [100 * float(raw["accuracy"]) for raw in found]
