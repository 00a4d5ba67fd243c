"""``python -m benchmarks.summary DIRECTORY``: what ``gpu.sh`` came to, on one screen."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.catalogue import benchmark
from benchmarks.record import Record
from benchmarks.report import goal_table, load_records


def summary(results: Path) -> str:
    """The stages, then the tables and goals of every record that ``gpu.sh`` has written there."""
    stages = results / "gpu-stages.txt"
    parts = ["", stages.read_text(encoding="utf-8")] if stages.is_file() else []
    reached = []
    for record in load_records(results).values():
        if not record.machine.get("gpu") and "--quick" not in record.command:
            continue  # of a CPU, in the same directory
        module = benchmark(record.benchmark)
        parts += [_title(record), *(f"{table.plain()}\n" for table in module.tables(record))]
        parts += [f"not measured: {name} ({why})\n" for name, why in record.failed.items()]
        reached += module.goals(record)
    return "\n".join([*parts, goal_table(reached).plain()])


def _title(record: Record) -> str:
    where = record.machine.get("gpu") or record.machine.get("cpu", "")
    return f"── {record.name}: {where}, torch {record.versions.get('torch', '?')}\n"


if __name__ == "__main__":
    print(summary(Path(sys.argv[1])))
