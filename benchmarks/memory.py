"""Peak memory of a training process."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.data import prepare
from benchmarks.measure import Contender, alternate
from benchmarks.options import Options
from benchmarks.ratios import best, ratio
from benchmarks.record import Goal, Record, Table, comparison, new_record
from benchmarks.train import STRONGEST

SUMMARY = "peak memory of a training process, against the strongest HF recipe"
NOTES = """\
One epoch on the same rows with validation and saving; the most memory that was resident at once
(`VmHWM`), libraries and pages of mapped files included.
"""
ROUNDS = 3
ROWS = 1280
OURS = "lora-bert, --layers all"
DEFAULTS = "lora-bert, defaults"


def measure(options: Options) -> Record:
    """Whole runs of one epoch."""
    rows = options.rows_or(ROWS)
    workload = replace(prepare(options, rows=rows), test="", epochs=1)
    record = new_record("memory", options, rows=rows, source=workload.source,
                        batch_size=workload.batch_size)  # fmt: skip
    given = {"workload": workload.as_json()}
    ours, theirs = "benchmarks.public:whole_run", "benchmarks.peers.trainer:whole_run"
    contenders = [
        Contender(OURS, ours, {**given, "layers": "all"}, scratch=True),
        Contender(DEFAULTS, ours, given, scratch=True),
        *(Contender(name, theirs, {**given, "recipe": recipe}, scratch=True)
          for name, recipe in zip(STRONGEST, ("strongest", "strongest-no-dropout"), strict=True)),
    ]  # fmt: skip
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['peak_rss'] / 1e6:.0f} MB")  # fmt: skip
    return record


def tables(record: Record) -> list[Table]:
    """Megabytes."""
    title = "Peak memory of a training process"
    return [
        comparison(record, title, "peak_rss", "MB", base=[OURS], higher=False, scale=1e-6),
    ]


def goals(record: Record) -> list[Goal]:
    """Below the strongest recipe, with the same layers and with our defaults."""
    found = []
    for name in (OURS, DEFAULTS):
        leanest = best(record.figures, STRONGEST, "peak_rss", higher=False) or ""
        share = ratio(record.figures, name, leanest, "peak_rss")
        shown, reached = ("not measured", None) if share is None else (str(share), share.high < 1)
        what = f"peak memory in training, {name.removeprefix('lora-bert, ')}"
        found.append(Goal(what, "strongest HF recipe, the leaner", "below", shown, reached))
    return found
