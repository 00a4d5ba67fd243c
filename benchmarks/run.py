"""Whole runs: from files to the best of three epochs, imports and scoring included."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.data import prepare
from benchmarks.measure import Contender, alternate
from benchmarks.options import Options
from benchmarks.ratios import advantage, median
from benchmarks.record import Goal, Record, Table, comparison, goal, new_record
from benchmarks.train import CUDA, LOOP, PLAIN, STRONGEST

SUMMARY = "whole runs of three epochs, our defaults against HF recipes and the tutorials' loop"
NOTES = """\
From starting the process's work (imports, reading, tokenising) to the best epoch's adapter on disk,
validation rows scored after every epoch by everyone; each run starts with an empty cache. Batches
are each one's own: Trainer's `group_by_length`, the tutorials' loop random rows padded to 128. *A
second run* finds the cache that the same run left before. Our default adapts the upper six of
twelve layers, the recipes all; *our depth* adapts the same six (`layers_to_transform`).
"""
ROUNDS = 3
ROWS = 1600
OURS = "lora-bert, defaults"
AGAIN = "lora-bert, defaults, a second run"
ALL = "lora-bert, --layers all"
DEPTH = "HF strongest, our depth"


def measure(options: Options) -> Record:
    """Same rows, backbone, rank, batch size and epochs for everyone; an empty cache each time."""
    rows = options.rows_or(ROWS)
    workload = replace(prepare(options, rows=rows), test="")
    record = new_record("run", options, rows=rows, source=workload.source,
                        epochs=workload.epochs, batch_size=workload.batch_size)  # fmt: skip
    given = {"workload": workload.as_json()}
    ours, theirs = "benchmarks.public:whole_run", "benchmarks.peers.trainer:whole_run"
    recipes = dict(zip((*STRONGEST, DEPTH, PLAIN[0]),
                       ("strongest", "strongest-no-dropout", "strongest-our-depth", "float32"),
                       strict=True))  # fmt: skip
    if options.device == "cuda":
        recipes = dict(zip(CUDA, ("cuda", "cuda-no-dropout"), strict=True))
    contenders = [
        Contender(OURS, ours, given, scratch=True),
        Contender(AGAIN, ours, {**given, "again": True}, scratch=True),
        Contender(ALL, ours, {**given, "layers": "all"}, scratch=True),
        *(Contender(name, theirs, {**given, "recipe": recipe}, scratch=True)
          for name, recipe in recipes.items()),
    ]  # fmt: skip
    if options.device == "cpu":
        loop = "benchmarks.peers.tutorial:whole_run"
        contenders.append(Contender(LOOP, loop, given, at_most=1, scratch=True))
    alternate(
        contenders, options, record, rounds=options.rounds_or(ROUNDS),
        show=lambda raw: f"{raw['seconds']:.1f} s, accuracy {raw['accuracy']:.4f}",
    )  # fmt: skip
    return record


def tables(record: Record) -> list[Table]:
    """Seconds, and the validation accuracy that they bought."""
    title = f"Whole runs of three epochs on {record.settings.get('rows', '')} training rows"
    seconds = comparison(record, title, "seconds", "seconds", base=[OURS], higher=False)
    accuracy = {
        name: f"{100 * median(record.figures, name, 'accuracy'):.1f} %" for name in record.figures
    }
    rows = [[*row, accuracy.get(row[0], "-")] for row in seconds.rows]
    return [Table(title, [*seconds.header, "accuracy on validation rows"], rows)]


def goals(record: Record) -> list[Goal]:
    """What a whole run must reach with AMX; a processor without it gains less."""
    if record.kind != "run":
        return []
    what = "whole 3-epoch run, our defaults with trunk cache"
    against = [
        ("strongest HF recipe", (5, 8), STRONGEST[:1]),
        ("the same with dropout off in its frozen layers", (4, 6), STRONGEST[1:]),
        ("strongest HF recipe, at our depth", (3.5, 5), (DEPTH,)),
        ("HF float32", (8.5, 12), PLAIN[:1]),
        ("the tutorials' padded float32 loop", (22, 32), (LOOP,)),
    ]
    return [
        goal(what, name, record.least(*least),
             advantage(record.figures, [OURS], peers, "seconds", higher=False))
        for name, least, peers in against
    ]  # fmt: skip
