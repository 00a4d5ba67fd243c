"""Measuring: each figure in a fresh process, contenders alternating for some rounds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.options import ROOT, Options
from benchmarks.record import Record

Raw = dict[str, Any]


class MeasurementError(Exception):
    """A measuring process failed; the message is its last line."""


@dataclass(frozen=True)
class Contender:
    """Something that is measured.

    Attributes:
        name: What tables call it.
        target: ``module:function``, which takes the arguments and returns figures.
        arguments: Plain JSON values. ``scratch`` is added where ``scratch`` is True.
        at_most: Rounds it takes part in; None for all (the slowest need not run five times).
        scratch: Whether the function is handed an empty directory of its own.
        python: The interpreter that runs it; "" for ours.
    """

    name: str
    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    at_most: int | None = None
    scratch: bool = False
    python: str = ""


def once(contender: Contender, work: Path, *, round_number: int = 0) -> Raw:
    """Measure in a fresh process with an empty cache of its own.

    Raises:
        MeasurementError: The process failed.
    """
    scratch = work / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    arguments = dict(contender.arguments)
    if contender.scratch:
        arguments["scratch"] = str(scratch)
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "LORA_BERT_CACHE": str(scratch / "cache"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    started = time.perf_counter()
    done = subprocess.run(
        [contender.python or sys.executable, "-m", "benchmarks.worker", contender.target],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        env=environment,
        cwd=work,
        check=False,
    )
    wall = time.perf_counter() - started
    if done.returncode < 0:
        raise MeasurementError(f"ended by signal {-done.returncode}")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        (work / "failed.log").write_text(done.stderr, encoding="utf-8")
        raise MeasurementError(lines[-1].strip() if lines else f"exit code {done.returncode}")
    found: Raw = json.loads(done.stdout.splitlines()[-1])
    return {"round": round_number, "wall": wall, **found}


def alternate(
    contenders: Sequence[Contender],
    options: Options,
    record: Record,
    *,
    rounds: int,
    show: Callable[[Raw], str],
    first: int = 1,
) -> None:
    """Measure every contender ``rounds`` times, in turns; the record is saved after each time.

    Rounds are numbered from ``first``; what the record has already is not measured again. Every
    second round goes backwards, so that nobody always follows the same neighbour. A contender that
    fails is left out of the rounds to come, with the reason in the record.
    """
    chosen = [one for one in contenders if not options.only or one.name in options.only]
    for number in range(first, first + rounds):
        for one in chosen if number % 2 else chosen[::-1]:
            if one.name in record.failed or number > (one.at_most or number):
                continue
            if any(raw["round"] == number for raw in record.figures.get(one.name, ())):
                continue
            try:
                raw = once(one, options.work, round_number=number)
            except MeasurementError as error:
                record.failed[one.name] = str(error)
                say(f"round {number}  {one.name}: failed: {error}")
                continue
            record.add(one.name, raw)
            record.save(options.results)
            say(f"round {number}  {one.name}: {show(raw)}")


def say(line: str) -> None:
    """A line about progress, on stderr."""
    print(line, file=sys.stderr, flush=True)
