"""The pages that are written from the results that are there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.catalogue import NAMES, benchmark
from benchmarks.options import RESULTS, ROOT
from benchmarks.overview import draw, overview
from benchmarks.readme import fill
from benchmarks.record import Goal, Record, Table, read_record

_INTRODUCTION = """\
# Benchmarks

All that [performance](performance.md) says in short. Written by `python -m benchmarks report` from
the raw figures in `benchmarks/results/`; measured by `python -m benchmarks NAME`. Every figure
comes from a process of its own that warms up first; contenders take turns, round after round. Shown
are medians; a ratio is taken within each round, and its median is given with the smallest and the
largest (in brackets). Absolute figures drift with the machine's load; ratios within one run are
what counts. What runs on a GPU and how it is measured there, [a page of its own](gpu.md) says.
"""


def write_report(results: Path = RESULTS) -> list[Path]:
    """Write ``performance.md`` and ``benchmarks.md`` into ``docs``, and the tables of the READMEs.

    Of results that are elsewhere the two pages are written beside them.
    """
    records = load_records(results)
    measured = results == RESULTS
    docs = ROOT / "docs" if measured else results
    docs.mkdir(parents=True, exist_ok=True)
    picture = draw(records, results)
    shown = _relative(picture, docs) if picture else ""
    pages = {
        docs / "performance.md": overview(records, goals_by_machine(records), shown),
        docs / "benchmarks.md": render(records, results, docs),
    }
    if measured:
        for name in ("README.md", "README.zh-CN.md"):
            pages[ROOT / name] = fill((ROOT / name).read_text(encoding="utf-8"), records)
        for name in NAMES:
            if page := getattr(benchmark(name), "PAGE", ""):
                text = pages.get(docs / page) or (docs / page).read_text(encoding="utf-8")
                pages[docs / page] = _fill_page(text, name, records, results)
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")
    return list(pages)


def load_records(results: Path) -> dict[str, Record]:
    """Every record in a directory, by its name."""
    found = [read_record(path) for path in sorted(results.glob("*.json"))]
    return {record.name: record for record in found}


def render(records: dict[str, Record], results: Path, docs: Path) -> str:
    """The page of all measurements, a section a benchmark."""
    parts = [_INTRODUCTION]
    for name in NAMES:
        parts += [f"## {name}\n", f"{_sentence(benchmark(name).SUMMARY)}\n"]
        if page := getattr(benchmark(name), "PAGE", ""):
            parts.append(f"It has [a page of its own]({page}).\n")
            continue
        parts.append(benchmark(name).NOTES)
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


def goals_by_machine(records: dict[str, Record]) -> list[tuple[Record, Goal]]:
    """Every record's goals; of those not measured, only what no other record has measured."""
    found: list[tuple[Record, Goal]] = []
    for name in NAMES:
        mine = [
            (record, one)
            for record in _of(name, records) or [Record(name)]
            for one in benchmark(name).goals(record)
        ]
        known = {(one.what, one.against) for _, one in mine if one.reached is not None}
        for record, one in mine:
            if one.reached is not None:
                found.append((record, one))
            elif (one.what, one.against) not in known:
                known.add((one.what, one.against))
                found.append((record, one))
    return found


def _of(name: str, records: dict[str, Record]) -> list[Record]:
    """A benchmark's records, the slower processor first."""
    mine = [record for record in records.values() if record.benchmark == name]
    return sorted(mine, key=lambda record: (record.kind, record.amx, record.name))


def _fill_page(text: str, name: str, records: dict[str, Record], results: Path) -> str:
    """A page by hand with a benchmark's notes and tables between its two comments."""
    mine, docs = _of(name, records), ROOT / "docs"
    parts = [part for record in mine
             for part in _section(record, results, docs, alone=len(mine) == 1)]  # fmt: skip
    shown = "\n".join(parts) or f"Not measured yet: `python -m benchmarks {name}`.\n"
    start, end = f"<!-- benchmarks: {name} -->\n", "<!-- end -->"
    before, _, rest = text.partition(start)
    shown = f"{benchmark(name).NOTES}\n{shown}"
    return f"{before}{start}\n{shown}\n{end}{rest.partition(end)[2]}"


def _section(record: Record, results: Path, docs: Path, *, alone: bool) -> list[str]:
    parts = []
    for table in benchmark(record.benchmark).tables(record):
        title = table.title if alone else f"{table.title} ({record.processor})"
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


def _relative(path: Path, start: Path) -> str:
    return Path(os.path.relpath(path, start)).as_posix()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
