"""Accuracy: our defaults and HF on the same rows with the same seeds."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.data import prepare
from benchmarks.measure import Contender, alternate
from benchmarks.options import Options
from benchmarks.ratios import paired_points, shown_points
from benchmarks.record import Goal, Record, Table, new_record

SUMMARY = "accuracy over three seeds, ours against HF, with the interval of the difference"
NOTES = """\
Three epochs of the same training rows; the epoch is chosen on the same validation rows; both are
scored on the same test rows, all that are left, with every seed. The interval of the difference is
a paired bootstrap over rows and seeds.
"""
ROUNDS = 1
ROWS = 1600
SEEDS = (42, 43, 44)
OURS = ("lora-bert, defaults", "lora-bert, --layers all")
PEERS = {"HF float32": "float32", "HF strongest": "strongest"}
LEAST = -0.5


def measure(options: Options) -> Record:
    """A round is a seed."""
    rows = options.rows_or(ROWS)
    workload = prepare(options, rows=rows, test_rows=options.rows_or(None), spare=True)
    record = new_record("accuracy", options, rows=rows, source=workload.source,
                        seeds=SEEDS)  # fmt: skip
    seeds = SEEDS[:1] if options.quick else SEEDS
    for at, seed in enumerate(seeds, start=1):
        given = {"workload": replace(workload, seed=seed).as_json()}
        ours, theirs = "benchmarks.public:whole_run", "benchmarks.peers.trainer:whole_run"
        contenders = [
            Contender(OURS[0], ours, given, scratch=True),
            Contender(OURS[1], ours, {**given, "layers": "all"}, scratch=True),
            *(Contender(name, theirs, {**given, "recipe": recipe}, scratch=True)
              for name, recipe in PEERS.items()),
        ]  # fmt: skip
        alternate(contenders, options, record, rounds=1, first=at,
                  show=lambda raw: f"accuracy {_share(raw['correct']):.4f}")  # fmt: skip
    return record


def tables(record: Record) -> list[Table]:
    """Accuracy by seed, and the differences."""
    rows = [
        [name, *(f"{100 * _share(raw['correct']):.2f}" for raw in found),
         f"{100 * sum(_share(raw['correct']) for raw in found) / len(found):.2f}"]
        for name, found in record.figures.items()
    ]  # fmt: skip
    seeds = max((len(found) for found in record.figures.values()), default=0)
    header = ["contender", *(f"seed {seed}, %" for seed in SEEDS[:seeds]), "mean"]
    pairs = [
        [ours, peer, shown_points(paired_points(record.figures, ours, peer))]
        for ours in OURS
        for peer in PEERS
    ]
    return [
        Table("Accuracy on test rows", header, rows),
        Table("Differences, in points, with 95 % intervals", ["ours", "peer", "difference"], pairs),
    ]


def goals(record: Record) -> list[Goal]:
    """No interval reaches below -0.5 point."""
    found = []
    for peer in PEERS:
        interval = paired_points(record.figures, OURS[0], peer)
        reached = None if interval is None else interval[1] > LEAST
        found.append(Goal("accuracy, our defaults", peer, f"above {LEAST} point",
                          shown_points(interval), reached))  # fmt: skip
    return found


def _share(correct: list[int]) -> float:
    return sum(correct) / len(correct)
