"""``docs/performance.md``: a picture, a table for each question, what was reached and missed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

from benchmarks import plots
from benchmarks.questions import PREDICT, QUESTIONS, RUN
from benchmarks.record import Goal, Record, Table

PICTURE = "performance.png"
_INTRODUCTION = """\
# Performance

{cores} CPU cores, the embedded backbone (12 layers of width 384), everyone with the same rows, rank
and batch size; medians over rounds in which all take turns, the commit in brackets. Every
measurement, with its range, its command and the versions, is in [benchmarks](benchmarks.md). What
the time is spent on, and what was tried, stands in [where the time goes](speed.md).
"""
_ENDING = """\
Written by `python -m benchmarks report`; measure yours with `python -m benchmarks NAME` (without a
name, it lists them and how long each takes).
"""


def overview(records: dict[str, Record], goals: Iterable[tuple[Record, Goal]], picture: str) -> str:
    """The page's text; ``picture`` is the path of its picture, "" where there is none."""
    on_cpus = [record.machine for record in records.values() if not record.machine.get("gpu")]
    cores = sorted({str(machine.get("cores")) for machine in on_cpus})
    parts = [_INTRODUCTION.format(cores=" or ".join(cores))]
    if picture:
        parts.append(f"![Seconds of a whole run and rows predicted a second]({picture})\n")
    for question, answers in QUESTIONS.items():
        parts.append(f"## {question}\n")
        for answer in answers:
            table = answer.table(records.values())
            missing = f"Not measured yet: `python -m benchmarks {answer.benchmark}`."
            parts += [
                f"{textwrap.fill(answer.text, 100)}\n",
                (table.markdown() if table.rows else missing) + "\n",
            ]
    shown = list(goals)
    parts.append("## What was to be reached\n")
    for title, reached in (("Missed", False), ("Reached", True), ("Not measured yet", None)):
        if chosen := [(record, one) for record, one in shown if one.reached is reached]:
            parts += [f"### {title}\n", _goals(chosen).markdown() + "\n"]
    return "\n".join([*parts, _ENDING])


def draw(records: dict[str, Record], results: Path) -> Path | None:
    """Seconds of a run and rows a second, a row of panels for each processor."""
    panels: dict[tuple[bool, str], list[plots.Bars]] = {}
    for answer, title in ((RUN, "a whole run, seconds"), (PREDICT, "predicting, rows a second")):
        for record in answer.records(records.values()):
            bars = [
                (line.head.replace("`", ""), not line.against, found)
                for line in answer.lines
                if (found := answer.figures(record, line))
            ]
            place = panels.setdefault((record.amx, record.processor), [])
            place.append(plots.Bars(f"{title} ({record.processor})", bars))
    if not panels:
        return None
    path = results / PICTURE
    plots.bars(path, [panel for _, row in sorted(panels.items()) for panel in row])
    return path


def _goals(chosen: list[tuple[Record, Goal]]) -> Table:
    rows = [
        [one.what, one.against, one.least, one.measured, record.processor, record.commit]
        for record, one in chosen
    ]
    return Table("", ["what", "against", "at least", "measured", "processor", "commit"], rows)
