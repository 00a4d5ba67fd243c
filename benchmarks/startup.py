"""Start-up: CPU seconds of the command line before it does anything."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import Any

from benchmarks import public
from benchmarks.measure import Contender, MeasurementError, alternate, once
from benchmarks.options import Options
from benchmarks.ratios import median, values
from benchmarks.record import Goal, Record, Table, new_record

SUMMARY = "CPU seconds of --help over bare click, of every command's --help, of info"
NOTES = """\
User and system time of the whole process, bytecode compiled beforehand. *bare click*: a click
command that has nothing but `--help`.
"""
ROUNDS = 5
CLICK = "bare click --help"
HELP = "lora-bert --help"
MOST = 0.3
_BARE = "import click; click.command()(lambda: None)(['--help'])"


def measure(options: Options) -> Record:
    """Start each command in turns."""
    record = new_record("startup", options)
    lines = {CLICK: [sys.executable, "-c", _BARE], HELP: public.command_line("--help")}
    for name in public.commands():
        lines[f"lora-bert {name} --help"] = public.command_line(name, "--help")
    small = options.work / "backbone"
    once(Contender("backbone", "benchmarks.public:embedded_backbone", {"target": str(small)}),
         options.work)  # fmt: skip
    lines["lora-bert info BACKBONE"] = public.command_line("info", str(small))
    contenders = [
        Contender(name, "benchmarks.startup:cpu_seconds", {"line": line})
        for name, line in lines.items()
    ]
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['seconds']:.2f} s of CPU")  # fmt: skip
    return record


def cpu_seconds(line: list[str]) -> dict[str, Any]:
    """User and system seconds of a program, started a second time (the first warms the files)."""
    found = 0.0
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise MeasurementError(done.stderr)
        found = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": found}


def tables(record: Record) -> list[Table]:
    """CPU seconds, and what is over bare click."""
    rows = []
    for name in record.figures:
        found = values(record.figures, name, "seconds")
        over = _over(record, name) if CLICK in record.figures else 0.0
        spread = f"{min(found):.2f}-{max(found):.2f}"
        rows.append([name, f"{median(record.figures, name, 'seconds'):.2f}", spread, f"{over:.2f}"])
    return [Table("Start-up", ["command", "CPU s, median", "range", "over bare click"], rows)]


def goals(record: Record) -> list[Goal]:
    """``--help`` within 0.3 s of bare click."""
    least = f"within {MOST} s"
    if not {HELP, CLICK} <= set(record.figures):
        return [Goal(HELP, CLICK, least, "not measured", None)]
    over = _over(record, HELP)
    return [Goal(HELP, CLICK, least, f"{over:.2f} s over it", over <= MOST)]


def _over(record: Record, name: str) -> float:
    figures = record.figures
    return median(figures, name, "seconds") - median(figures, CLICK, "seconds")
