"""Start-up: CPU seconds of the command line, and seconds to the first answer of a process."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from typing import Any

from benchmarks import public
from benchmarks.data import prepare
from benchmarks.measure import Contender, MeasurementError, alternate, once
from benchmarks.options import Options
from benchmarks.ratios import median, values
from benchmarks.record import Goal, Record, Table, new_record

SUMMARY = (
    "CPU seconds of --help over bare click; seconds to the first answer over the imports it needs"
)
NOTES = """\
User and system time of the whole process, bytecode compiled beforehand. *bare click*: a click
command that has nothing but `--help`. *Answer*: seconds from the start of the process to its end, `infer`
of one text, beside a process that imports torch (or OpenVINO) and tokenizers and does nothing; each
is started once before, as a model that is used again is.
"""
ROUNDS = 5
CLICK = "bare click --help"
HELP = "lora-bert --help"
MOST = 0.3
ANSWERS = {
    "answer: base + adapter": ("import torch, tokenizers", 0.35),
    "answer: OpenVINO export": ("import openvino, tokenizers", 0.25),
}
"""Ways to answer one text -> the imports without which there is no answer, seconds over them."""
TEXT = "很好吃"
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
    contenders += _answers(options)
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['seconds']:.2f} s")  # fmt: skip
    return record


def _answers(options: Options) -> list[Contender]:
    """Answering one text with an adapter and with an export, each beside its bare imports."""
    workload, work = prepare(options, rows=1000, test_rows=64), options.work
    arguments = {"workload": workload.as_json(), "target": str(work)}
    once(Contender("models", "benchmarks.public:models", arguments), work)
    exported = {"model": str(work / "merged"), "target": str(work / "openvino")}
    once(Contender("export", "benchmarks.public:export_openvino", exported), work)
    adapter = ["--adapter", str(work / "adapter"), "--backbone", workload.backbone]
    options_of = [adapter, ["--model", str(work / "openvino")]]
    lines: dict[str, list[str]] = {}
    for (name, (imports, _)), chosen in zip(ANSWERS.items(), options_of, strict=True):
        lines[imports] = [sys.executable, "-c", imports]
        lines[name] = public.command_line("infer", *chosen, TEXT)
    return [
        Contender(name, "benchmarks.startup:wall_seconds", {"line": line})
        for name, line in lines.items()
    ]


def wall_seconds(line: list[str]) -> dict[str, Any]:
    """Seconds of a program, started a second time (the first warms files and cache)."""
    # Bytecode is kept, as wherever a package is installed.
    environment = {key: value for key, value in os.environ.items()
                   if key != "PYTHONDONTWRITEBYTECODE"}  # fmt: skip
    found = 0.0
    for _ in range(2):
        began = time.perf_counter()
        done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
        found = time.perf_counter() - began
        if done.returncode:
            raise MeasurementError(done.stderr)
    return {"seconds": found}


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
    """CPU seconds, and what is over bare click; seconds to an answer, over the imports."""
    answers = {*ANSWERS, *(imports for imports, _ in ANSWERS.values())}
    rows: list[list[str]] = []
    spans: list[list[str]] = []
    for name in record.figures:
        found = values(record.figures, name, "seconds")
        base = ANSWERS[name][0] if name in ANSWERS else CLICK
        over = _over(record, name, base) if base in record.figures else 0.0
        spread = f"{min(found):.2f}-{max(found):.2f}"
        line = [name, f"{median(record.figures, name, 'seconds'):.2f}", spread]
        if name in answers:
            spans.append([*line, f"{over:.2f}" if name in ANSWERS else ""])
        else:
            rows.append([*line, f"{over:.2f}"])
    found_tables = [
        Table("Start-up", ["command", "CPU s, median", "range", "over bare click"], rows)
    ]
    if spans:
        heads = ["process", "s, median", "range", "over its imports"]
        found_tables.append(Table("The first answer of a process", heads, spans))
    return found_tables


def goals(record: Record) -> list[Goal]:
    """``--help`` within 0.3 s of bare click; an answer a little after its imports."""
    wanted = [(HELP, CLICK, MOST), *((name, *base) for name, base in ANSWERS.items())]
    return [_goal(record, *each) for each in wanted]


def _goal(record: Record, name: str, base: str, most: float) -> Goal:
    least = f"within {most} s"
    if not {name, base} <= set(record.figures):
        return Goal(name, base, least, "not measured", None)
    over = _over(record, name, base)
    return Goal(name, base, least, f"{over:.2f} s over it", over <= most)


def _over(record: Record, name: str, base: str) -> float:
    figures = record.figures
    return median(figures, name, "seconds") - median(figures, base, "seconds")
