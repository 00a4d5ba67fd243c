"""Few rows: accuracy and cost at 8, 16 and 64 rows a class, beside what one would take instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.cases import (
    MEAN,
    SEEDS,
    THREADS,
    WORDS,
    Case,
    cell,
    earlier_epochs,
    linear_contenders,
    mean,
    measure_seed,
    our_contender,
    percent,
)
from benchmarks.data import Row
from benchmarks.environments import SETFIT, environment_of
from benchmarks.labelled_sets import TEST_ROWS, draw_rows, hold_out, read_set, workload
from benchmarks.measure import Contender
from benchmarks.options import Options
from benchmarks.ratios import Ratio, paired_points, ratio, shown_points
from benchmarks.record import Goal, Record, Table, new_record

SUMMARY = "8, 16 and 64 rows a class on four sets, against SetFit, linear classifiers, Trainer"
_MOST_PAIRS = 30_000
_PAIRS_A_ROW, _STEPS, _BATCH = 40, 400, 16
PAGE = "few-rows.md"
NOTES = f"""\
A round is a seed, which draws the training rows; everyone is given all of them and holds out of
them what it needs for choosing epochs or strengths. All answer the same test rows, {TEST_ROWS:,} of
a set at most. The cost is in CPU seconds, those of all threads together, which hardly depend on
what else the machine does: from starting to what is saved, imports included, the answers to the
test rows not.

- *SetFit* 1.2: CosineSimilarityLoss, batches of 16, its default rates, float32, then its logistic
  regression. `num_iterations=20` makes 40 pairs a row, and is left out above {_MOST_PAIRS:,} pairs;
  `max_steps=400` stops after 6,400 pairs, and is left out where there are fewer.
- *Logistic regression*: on the mean of the tokens, standardised, C chosen by five folds (above
  2,000 rows by a left-out fifth).
- *PEFT + Trainer*: bfloat16 weights and autocast, LoRA of rank 8 on all layers; a fifth of the rows
  chooses the epoch, of as many as show 600 rows of each class and 4,000 in all, 20 at most.
"""
SETS = ("banking77", "goemotions", "waimai", "chnsenticorp")
SIZES = (8, 16, 64)
OURS = "lora-bert, defaults"
ITERATIONS = "SetFit, num_iterations=20"
STEPS = "SetFit, max_steps=400"
HEAD = "lora-bert, --method head-only"
TRAINER = "PEFT + Trainer, strongest recipe"
_CASES = [Case(name, size) for size in SIZES for name in SETS]
CONTENDERS = (OURS, HEAD, WORDS, MEAN, TRAINER, STEPS, ITERATIONS)


def measure(options: Options) -> Record:
    """A seed after the other, within it the fewest rows first."""
    record = new_record("few-rows", options, test_rows=TEST_ROWS, threads=THREADS)
    python = environment_of((STEPS, ITERATIONS), "setfit", SETFIT, record) or ""
    sets = {name: read_set(name) for name in SETS}
    for at, seed in enumerate(SEEDS[: options.rounds_or(len(SEEDS))], start=1):
        for case in _CASES[: 4 if options.quick else None]:
            known, held = sets[case.data]
            drawn, test = draw_rows(known, case.size, seed), held[: options.rows_or(None)]
            found = _contenders(options, case, drawn, test, seed, python)
            measure_seed(found, options, record, round_number=at)
    return record


def _contenders(
    options: Options, case: Case, drawn: Sequence[Row], test: Sequence[Row], seed: int, setfit: str
) -> list[Contender]:
    """Everyone who takes part with these rows; ``setfit`` is the Python that has it, or ""."""
    kept, held = hold_out(drawn)
    divided = replace(workload(options, kept, test, validation=held, seed=seed),
                      epochs=2 if options.quick else earlier_epochs(drawn))  # fmt: skip
    given: dict[str, Any] = {"workload": workload(options, drawn, test, seed=seed).as_json()}
    quick = {"epochs": 2} if options.quick else {}
    pairs = _PAIRS_A_ROW * len(drawn)
    contrastive = {}
    if setfit and pairs > _STEPS * _BATCH:
        contrastive[STEPS] = {"max_steps": 4 if options.quick else _STEPS}
    if setfit and pairs <= _MOST_PAIRS:
        contrastive[ITERATIONS] = {"num_iterations": 1 if options.quick else 20}
    return [
        our_contender(case, OURS, given, **quick),
        our_contender(case, HEAD, given, method="head-only", **quick),
        *linear_contenders(case, given)[:2],
        Contender(case.key(TRAINER), "benchmarks.peers.trainer:whole_run",
                  {"workload": divided.as_json(), "recipe": "strongest"}, scratch=True),
        *(Contender(case.key(label), "benchmarks.peers.setfit:fit", {**given, **arguments},
                    scratch=True, python=setfit) for label, arguments in contrastive.items()),
    ]  # fmt: skip


def tables(record: Record) -> list[Table]:
    """Accuracy and cost, a table a set; then what our default has more than each of the others."""
    header = ["contender", *(f"{size} rows a class" for size in SIZES)]
    found = []
    for name in SETS:
        rows = [[label, *(cell(record, Case(name, size).key(label)) for size in SIZES)]
                for label in CONTENDERS]  # fmt: skip
        if any(shown != "-" for row in rows for shown in row[1:]):
            found.append(Table(f"{name}: accuracy on test rows, % (CPU seconds)", header, rows))
    pairs = [
        [case.data, str(case.size), peer, shown_points(points), str(costs)]
        for case in _CASES for peer in CONTENDERS[1:]
        for points, costs in filter(None, [_against(record, case, peer)])
    ]  # fmt: skip
    title = "Our default against each: points of accuracy with 95 % intervals, and CPU seconds"
    return [*found, Table(title, ["set", "rows a class", "against", "points more",
                                  "its seconds / ours"], pairs)]  # fmt: skip


def goals(record: Record) -> list[Goal]:
    """SetFit's accuracy within the interval, in a third of its time."""
    found = []
    for case in _CASES:
        for peer in (STEPS, ITERATIONS):
            if pair := _against(record, case, peer):
                points, costs = pair
                reached = points[2] >= 0 and costs.median >= 3
                found.append(Goal(f"few rows: {case}, our defaults", peer,
                                  "as accurate within the interval, in a third of its time",
                                  f"{shown_points(points)}; {costs}", reached))  # fmt: skip
    return found or [Goal("few rows, every set and size, our defaults", "SetFit",
                          "as accurate within the interval, in a third of its time",
                          "not measured", None)]  # fmt: skip


def plot(record: Record, path: Path) -> None:
    """Accuracy against CPU seconds, a panel a set, a line from 8 to 64 rows a class."""
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for label in CONTENDERS:
        for case in _CASES:
            key = case.key(label)
            if record.figures.get(key):
                point = (mean(record, key, "fit_cpu_seconds"), mean(record, key, percent))
                panels.setdefault(case.data, {}).setdefault(label, []).append(point)
    plots.accuracy_by_cost(path, panels)


def _against(
    record: Record, case: Case, peer: str
) -> tuple[tuple[float, float, float], Ratio] | None:
    """By how many points we are better, and how many times the peer's seconds are ours."""
    ours, theirs = case.key(OURS), case.key(peer)
    points = paired_points(record.figures, ours, theirs)
    costs = ratio(record.figures, theirs, ours, "fit_cpu_seconds")
    return None if points is None or costs is None else (points, costs)
