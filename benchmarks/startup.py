"""Start-up: the first answer of a fresh process, and what the command line costs before it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import public
from benchmarks.data import prepare
from benchmarks.measure import Contender, MeasurementError, alternate, once
from benchmarks.options import Options
from benchmarks.ratios import median, values
from benchmarks.record import Goal, Record, Table, new_record

SUMMARY = "the first answer of a fresh process, over its imports; CPU seconds of every --help"
NOTES = """\
*First answer*: seconds from starting `lora-bert infer … TEXT` to its end, against a Python that
does nothing but import what an answer cannot do without. *CPU seconds*: user and system time of the
whole process; *bare click* is a click command that has nothing but `--help`. Every command is
started twice and timed the second time: bytecode is compiled, files and the cache are warm.
"""
ROUNDS = 5
TORCH, OPENVINO = "import torch, tokenizers", "import openvino, tokenizers"
ADAPTER, EXPORTED = "first answer, base + adapter", "first answer, exported to OpenVINO"
FIRST = ((ADAPTER, TORCH, 0.35), (EXPORTED, OPENVINO, 0.25))
"""A first answer, the imports it is held against, and how many seconds it may take more."""
CLICK = "bare click --help"
HELP = "lora-bert --help"
MOST = 0.3
_TEXT = "很快，好吃"
_BARE = "import click; click.command()(lambda: None)(['--help'])"


def measure(options: Options) -> Record:
    """Start each command in turns."""
    record = new_record("startup", options)
    seconds = [
        Contender(name, "benchmarks.startup:wall_seconds", {"line": line})
        for name, line in _first_answers(options, record).items()
    ]
    alternate(seconds, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['wall_seconds']:.2f} s")  # fmt: skip
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


def _first_answers(options: Options, record: Record) -> dict[str, list[str]]:
    """The command lines by name; an export that cannot be made is noted as failed."""
    workload = prepare(options, rows=options.rows_or(320))
    work = str(options.work)
    made = {"workload": workload.as_json(), "target": work}
    once(Contender("models", "benchmarks.public:models", made), options.work)
    adapter = ("--adapter", f"{work}/adapter", "--backbone", workload.backbone)
    lines = {
        TORCH: [sys.executable, "-c", TORCH],
        ADAPTER: public.command_line("infer", *adapter, _TEXT),
    }
    exported = f"{work}/openvino"
    made = {"model": f"{work}/merged", "target": exported}
    try:
        once(Contender("export", "benchmarks.public:export_openvino", made), options.work)
    except MeasurementError as error:
        record.failed |= {EXPORTED: str(error), OPENVINO: str(error)}
        return lines
    return lines | {
        OPENVINO: [sys.executable, "-c", OPENVINO],
        EXPORTED: public.command_line("infer", "--model", exported, _TEXT),
    }


def wall_seconds(line: list[str]) -> dict[str, Any]:
    """Seconds from starting a program to its end, the second time."""
    found = 0.0
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package keeps its bytecode
    for _ in range(2):
        started = time.perf_counter()
        done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
        found = time.perf_counter() - started
        if done.returncode:
            raise MeasurementError(" ".join(done.stderr.split()))
    return {"wall_seconds": found}


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
    """The first answer over its imports; every command's help over bare click."""
    pairs = [(name, imports) for first, imports, _ in FIRST for name in (imports, first)]
    helps = [(name, CLICK) for name in record.figures if name not in dict(pairs)]
    return [
        Table("First answer", ["process", "seconds, median", "range", "over the imports"],
              _lines(record, pairs, "wall_seconds")),
        Table("Before it does anything", ["command", "CPU s, median", "range", "over bare click"],
              _lines(record, helps, "seconds")),
    ]  # fmt: skip


def _lines(record: Record, pairs: Sequence[tuple[str, str]], key: str) -> list[list[str]]:
    """A process a line, with what it takes more than the other one of its pair."""
    lines = []
    for name, base in pairs:
        if found := values(record.figures, name, key):
            over, middle = _over(record, name, base, key), median(record.figures, name, key)
            spread = f"{min(found):.2f}-{max(found):.2f}"
            lines.append([name, f"{middle:.2f}", spread, "-" if over is None else f"{over:.2f}"])
    return lines


def goals(record: Record) -> list[Goal]:
    """The first answer soon after its imports; ``--help`` within 0.3 s of bare click."""
    bounds = [(*pair, "wall_seconds") for pair in FIRST] + [(HELP, CLICK, MOST, "seconds")]
    found = []
    for name, base, most, key in bounds:
        over = _over(record, name, base, key)
        shown = "not measured" if over is None else f"{over:+.2f} s"
        reached = None if over is None else over <= most
        found.append(Goal(name, base, f"at most +{most} s", shown, reached))
    return found


def _over(record: Record, name: str, base: str, key: str) -> float | None:
    """Seconds more than ``base``, between the medians; None where one was not measured."""
    if not {name, base} <= set(record.figures):
        return None
    return median(record.figures, name, key) - median(record.figures, base, key)
