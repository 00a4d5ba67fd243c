"""``docs/performance.md``, written from the results that are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.catalogue import NAMES, benchmark
from benchmarks.options import RESULTS, ROOT
from benchmarks.record import Goal, Record, Table, read_record

PAGE = ROOT / "docs" / "performance.md"
_INTRODUCTION = """\
# Performance

Written by `python -m benchmarks report` from the raw figures in `benchmarks/results/`; measured by
`python -m benchmarks NAME`. Every figure comes from a process of its own that warms up first;
contenders take turns, round after round. Shown are medians; a ratio is taken within each round, and
its median is given with the smallest and the largest (in brackets). Absolute figures drift with the
machine's load; ratios within one run are what counts. What runs [on a GPU](gpu.md), with what it is
measured there; no figure of one stands below yet.
"""


def write_report(results: Path = RESULTS, page: Path = PAGE) -> Path:
    """Write the page."""
    records = load_records(results)
    text = render(records, results, page.parent)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")
    return page


def load_records(results: Path) -> dict[str, Record]:
    """Every record in a directory, by its name."""
    found = [read_record(path) for path in sorted(results.glob("*.json"))]
    return {record.name: record for record in found}


def render(records: dict[str, Record], results: Path, docs: Path) -> str:
    """The page's text: what must be reached, then each benchmark."""
    goals = _goals_by_machine(records).markdown()
    parts = [_INTRODUCTION, "## What must be reached\n", goals + "\n"]
    for name in NAMES:
        parts += [f"## {name}\n", f"{_sentence(benchmark(name).SUMMARY)}\n", benchmark(name).NOTES]
        mine = _of(name, records)
        if not mine:
            parts.append(f"Not measured yet: `python -m benchmarks {name}`.\n")
        for record in mine:
            parts += _section(record, results, docs, alone=len(mine) == 1)
    return "\n".join(parts)


def goal_table(goals: Sequence[Goal]) -> Table:
    """What must be reached, and whether it was."""
    shown = {True: "yes", False: "**no**", None: "-"}
    rows = [[one.what, one.against, one.least, one.measured, shown[one.reached]] for one in goals]
    return Table("Must reach", ["what", "against", "at least", "measured", "reached"], rows)


def _goals_by_machine(records: dict[str, Record]) -> Table:
    """The same for every record, with the processor; what only some have measured, of those."""
    header: list[str] = []
    rows: list[list[str]] = []
    for name in NAMES:
        found = [
            (one, _processor(record))
            for record in _of(name, records) or [Record(name)]
            for one in benchmark(name).goals(record)
        ]
        measured = {(one.what, one.against) for one, _ in found if one.reached is not None}
        found = [
            (one, cpu)
            for one, cpu in found
            if one.reached is not None or (one.what, one.against) not in measured
        ]
        table = goal_table([one for one, _ in found])
        header = [*table.header, "processor"]
        rows += [[*row, cpu] for row, (_, cpu) in zip(table.rows, found, strict=True)]
    return Table("Must reach", header, rows)


def _of(name: str, records: dict[str, Record]) -> list[Record]:
    """A benchmark's records, the usual one first."""
    mine = [record for record in records.values() if record.benchmark == name]
    return sorted(mine, key=lambda record: record.name)


def _section(record: Record, results: Path, docs: Path, *, alone: bool) -> list[str]:
    parts = []
    for table in benchmark(record.benchmark).tables(record):
        title = table.title if alone else f"{table.title} ({_processor(record)})"
        parts += [f"### {title}\n", table.markdown() + "\n"]
    parts += [f"Not measured: {one} ({why}).\n" for one, why in record.failed.items()]
    picture = results / f"{record.name}.png"
    if picture.is_file():
        parts.append(f"![{record.name}]({_relative(picture, docs)})\n")
    parts.append(_provenance(record) + "\n")
    return parts


def _provenance(record: Record) -> str:
    """Command, date, machine and versions, on a few lines."""
    where = record.machine
    sets = ", ".join(where.get("instruction_sets", []))
    machine = f"{where.get('cpu', '?')}, {where.get('cores', '?')} cores ({sets})"
    machine += f", {where.get('memory_gb', '?')} GB, {where.get('system', '?')}"
    if where.get("gpu"):
        machine += f", {where['gpu']}"
    settings = ", ".join(f"{key} {value}" for key, value in record.settings.items())
    versions = ", ".join(f"{key} {value}" for key, value in record.versions.items())
    return f"`{record.command}` · {record.date[:10]} · {machine} · {settings} · {versions}"


def _processor(record: Record) -> str:
    """What the figures were measured on, in short."""
    name = str(record.machine.get("cpu", "-")).replace("(R)", "").replace(" Processor", "")
    amx = "amx_bf16" in record.machine.get("instruction_sets", [])
    return f"{name}, AMX" if amx else name


def _relative(path: Path, start: Path) -> str:
    return Path("..", path.resolve().relative_to(start.resolve().parent)).as_posix()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
