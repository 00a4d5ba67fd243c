"""One text at a time: how long an answer takes."""

from __future__ import annotations

from benchmarks.data import prepare
from benchmarks.measure import Contender, alternate
from benchmarks.options import Options
from benchmarks.predict import OURS_OPENVINO, OURS_TORCH, engines
from benchmarks.record import Goal, Record, Table, comparison, new_record

SUMMARY = "one text at a time: 50th and 99th percentile of the time to an answer"
NOTES = """\
Different texts, asked one after the other, tokenising included, the model loaded and twenty texts
answered before.
"""
ROUNDS = 5
TEXTS = 300


def measure(options: Options) -> Record:
    """Everyone answers the same texts."""
    workload = prepare(options, rows=1000, test_rows=min(options.rows_or(TEXTS) or TEXTS, TEXTS))
    record = new_record("one", options, texts=TEXTS, source=workload.source)
    contenders = [
        Contender(one.name, f"{one.target}:one_by_one", {"source": workload.test, **one.arguments})
        for one in engines(workload, options, record)
        if "queue" not in one.name  # one text at a time has nothing to queue
    ]
    alternate(
        contenders, options, record, rounds=options.rounds_or(ROUNDS),
        show=lambda raw: f"p50 {1000 * raw['p50']:.1f} ms, p99 {1000 * raw['p99']:.1f} ms",
    )  # fmt: skip
    return record


def tables(record: Record) -> list[Table]:
    """Milliseconds, at the 50th and at the 99th percentile."""
    base = [*OURS_TORCH.values(), OURS_OPENVINO]
    return [
        comparison(record, f"One text, {name} percentile", key, "ms", base=base, higher=False,
                   scale=1000)
        for name, key in (("50th", "p50"), ("99th", "p99"))
    ]  # fmt: skip


def goals(record: Record) -> list[Goal]:
    """None of its own."""
    return []
