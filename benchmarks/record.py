"""What a benchmark found: raw figures, the machine, and the tables made of them."""

from __future__ import annotations

import datetime
import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, versions
from benchmarks.options import Options
from benchmarks.ratios import Ratio, best, median, ratio, values

_UNUSUAL = re.compile(r"(-cuda|-20newsgroups)+$")
_NUMBERS = re.compile(r"\[[\d.,\s-]+\]")
_BITS = re.compile(r'(?<="correct": )\[((?:\s*[01],?)+)\s*\]')


@dataclass
class Record:
    """A benchmark's results, as ``results/NAME.json`` holds them.

    Attributes:
        name: The benchmark's, with what is not usual about the run (``train-cuda``), and a word for
            the machine where there are several (``train@laptop``).
        command: The command line.
        date: When it was started, ISO 8601.
        machine: CPU, cores, instruction sets, memory, system.
        versions: Of Python, this project and the libraries.
        settings: Rows, rounds and what else decides what was measured.
        figures: Every raw measurement by contender, each with its ``round``.
        failed: Contenders that could not be measured, and why.
    """

    name: str
    command: str = ""
    date: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The name without the machine."""
        return self.name.partition("@")[0]

    @property
    def benchmark(self) -> str:
        """Which benchmark it is of."""
        return _UNUSUAL.sub("", self.kind)

    @property
    def amx(self) -> bool:
        """Whether the processor multiplies matrices of bfloat16 in its own unit, far faster."""
        return "amx_bf16" in self.machine.get("instruction_sets", ())

    @property
    def processor(self) -> str:
        """What it was measured on, in short."""
        name = str(self.machine.get("gpu") or self.machine.get("cpu", "-"))
        name = name.replace("(R)", "").replace(" Processor", "")
        return f"{name}, AMX" if self.amx and not self.machine.get("gpu") else name

    @property
    def commit(self) -> str:
        """Of this project, or its version where there was no repository."""
        return self.versions.get("lora-bert", "-").rpartition("(")[2].rstrip(")")

    @property
    def minutes(self) -> float:
        """How long measuring took."""
        return sum(raw.get("wall", 0.0) for found in self.figures.values() for raw in found) / 60

    def least(self, without_amx: float, with_amx: float) -> float:
        """What must be reached on this record's processor: with AMX products are far cheaper."""
        return with_amx if self.amx else without_amx

    def add(self, name: str, raw: dict[str, Any]) -> None:
        """Append a measurement."""
        self.figures.setdefault(name, []).append(raw)

    def save(self, results: Path) -> Path:
        """Write ``NAME.json``, whole or not at all."""
        results.mkdir(parents=True, exist_ok=True)
        path = results / f"{self.name}.json"
        text = json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"
        # Which of a thousand rows were right is a line of as many characters, not a thousand lines.
        text = _BITS.sub(lambda found: f'"{"".join(found[1].split()).replace(",", "")}"', text)
        text = _NUMBERS.sub(lambda found: " ".join(found[0].split()), text)
        with tempfile.NamedTemporaryFile("w", dir=results, delete=False, encoding="utf-8") as work:
            work.write(text)
        Path(work.name).chmod(0o644)
        os.replace(work.name, path)  # noqa: PTH105 - work.name is text
        return path


def new_record(benchmark: str, options: Options, **settings: Any) -> Record:
    """An empty record of this machine and moment; with ``--resume``, the one to go on with."""
    path = options.results / f"{options.name(benchmark)}.json"
    settings = json.loads(json.dumps(settings))  # as they come back from the file
    if options.resume and path.is_file() and (before := read_record(path)).settings == settings:
        before.failed.clear()
        return before
    return Record(
        name=options.name(benchmark),
        command=options.command,
        date=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        machine=machine(options.device),
        versions=versions(),
        settings=settings,
    )


def read_record(path: Path) -> Record:
    """What :meth:`Record.save` wrote."""
    record = Record(**json.loads(path.read_text(encoding="utf-8")))
    for raw in chain.from_iterable(record.figures.values()):
        if "correct" in raw:
            raw["correct"] = [int(bit) for bit in raw["correct"]]
    return record


@dataclass(frozen=True)
class Table:
    """A table to show."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def plain(self) -> str:
        """For a terminal: columns aligned with spaces."""
        lines = [self.header, *self.rows]
        widths = [max(len(row[at]) for row in lines) for at in range(len(self.header))]
        lines.insert(1, ["-" * width for width in widths])
        shown = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in lines
        ]
        return "\n".join([self.title, "", *shown])

    def markdown(self) -> str:
        """For a document."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join("| " + " | ".join(row) + " |" for row in lines)


@dataclass(frozen=True)
class Goal:
    """A line of what must be reached; ``reached`` is None where it was not measured."""

    what: str
    against: str
    least: str
    measured: str
    reached: bool | None


def goal(what: str, against: str, least: float, found: Ratio | None) -> Goal:
    """A goal that is a ratio of at least ``least``, judged by the median."""
    wanted = f"{least:g}x"
    if found is None:
        return Goal(what, against, wanted, "not measured", None)
    return Goal(what, against, wanted, str(found), found.median >= least)


def number(value: float) -> str:
    """Three significant digits, thousands with a comma."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def comparison(
    record: Record,
    title: str,
    key: str,
    unit: str,
    *,
    base: Sequence[str],
    higher: bool = True,
    scale: float = 1.0,
) -> Table:
    """Every contender's median and range, and how many times better the base is.

    Args:
        record: The results.
        title: Above the table.
        key: The figure shown.
        unit: Its unit after multiplying with ``scale``.
        base: Names of our contenders; the best one is what all others are held against.
        higher: Whether more is better.
        scale: Factor from the raw figure to the unit.
    """
    ours = best(record.figures, base, key, higher=higher)
    rows = []
    for name in record.figures:
        found = [scale * value for value in values(record.figures, name, key)]
        against = "-"
        if ours is not None and name != ours:
            pair = (ours, name) if higher else (name, ours)
            against = str(ratio(record.figures, *pair, key) or "-")
        middle = scale * median(record.figures, name, key)
        spread = f"{number(min(found))}-{number(max(found))}"
        rows.append([name, number(middle), spread, str(len(found)), against])
    header = ["contender", f"{unit}, median", "range", "rounds", f"{ours or 'ours'} is better by"]
    return Table(title, header, rows)
