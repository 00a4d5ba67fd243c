"""The search for our defaults: options that train a classifier best, by rows, classes, length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.cases import (
    LINEAR,
    THREADS,
    Case,
    cases,
    cell,
    earlier_epochs,
    linear_contenders,
    mean,
    measure_seed,
    our_contender,
    percent,
)
from benchmarks.data import Row
from benchmarks.labelled_sets import draw_rows, read_set, workload
from benchmarks.measure import MeasurementError, say
from benchmarks.options import Options
from benchmarks.ratios import paired_points, shown_points
from benchmarks.record import Goal, Record, Table, new_record

VALIDATION_ROWS = 1_000
SUMMARY = "the search for our defaults, on validation rows (goes on where it stopped)"
PAGE = "defaults.md"
NOTES = f"""\
Every trial is a training with the defaults of the release before, but for pooling, head start and
epochs (*the middle*, from which each other trial changes one thing). It is given 8 or 64 rows of
every class, or all (10,000 at most), of which it holds out a fifth by itself, and is scored on
{VALIDATION_ROWS:,} other rows of the set's training part, with one seed. The test rows are not
looked at here: `confirm` does that, once. Few rows come first, and what matters most; `--hours`
(of a processor, all trials together, 12 by default) says when to stop.
"""
SIZES: tuple[int | None, ...] = (8, 64, None)
SEED = 42
BEFORE = {
    "pooling": "cls", "head_start": "random", "learning_rate": 1e-3, "warmup": 0.1,
    "layers": "auto", "rank": 8, "dropout": 0.0, "weight_decay": 0.01, "batch_size": 32,
    "validation_fraction": 0.2,
}  # fmt: skip
"""The defaults of the release before; its epochs are :func:`earlier_epochs`."""
MIDDLE = {**BEFORE, "pooling": "mean", "head_start": "probe", "epochs": 5}
STAGES: tuple[dict[str, dict[str, Any]], ...] = (
    {
        "as before": BEFORE,
        "the middle": MIDDLE,
        "pooling cls": {**MIDDLE, "pooling": "cls"},
        "head start random": {**MIDDLE, "head_start": "random"},
        "method head-only": {"method": "head-only", "pooling": "mean"},
        "a tenth held out": {**MIDDLE, "validation_fraction": 0.1},
    },
    {
        "epochs 2": {**MIDDLE, "epochs": 2},
        "epochs 10": {**MIDDLE, "epochs": 10},
        "epochs 20": {**MIDDLE, "epochs": 20},
        "rate 2e-4": {**MIDDLE, "learning_rate": 2e-4},
        "rate 5e-4": {**MIDDLE, "learning_rate": 5e-4},
        "rate 2e-3": {**MIDDLE, "learning_rate": 2e-3},
    },
    {
        "warm-up 0": {**MIDDLE, "warmup": 0.0},
        "warm-up 0.3": {**MIDDLE, "warmup": 0.3},
        "layers top:2": {**MIDDLE, "layers": "top:2"},
        "layers all": {**MIDDLE, "layers": "all"},
        "batches of 16": {**MIDDLE, "batch_size": 16},
    },
    {
        "rank 4": {**MIDDLE, "rank": 4},
        "rank 32": {**MIDDLE, "rank": 32},
        "dropout 0.1": {**MIDDLE, "dropout": 0.1},
        "weight decay 0.1": {**MIDDLE, "weight_decay": 0.1},
        "class weights balanced": {**MIDDLE, "class_weights": "balanced"},
    },
)
"""The grid, what decides most first."""


def spelled(trial: dict[str, Any]) -> str:
    """A trial's name in the record: how it differs from the defaults before."""
    changes = (f"{name}={value}" for name, value in sorted(trial.items())
               if BEFORE.get(name) != value)  # fmt: skip
    return ", ".join(changes) or "as before"


TRIALS = {name: spelled(trial) for stage in STAGES for name, trial in stage.items()}
_CENTRE = TRIALS["the middle"]


def measure(options: Options) -> Record:
    """Trials that are missing, until the hours are used up."""
    options = replace(options, resume=True)
    record = new_record("defaults", options, validation_rows=VALIDATION_ROWS, seed=SEED,
                        threads=THREADS)  # fmt: skip
    rows: dict[str, tuple[list[Row], list[Row]]] = {}
    for case, stage in _order():
        if case.data not in rows:
            known, _ = read_set(case.data)
            rows[case.data] = known[VALIDATION_ROWS:], known[:VALIDATION_ROWS]
        known, held = rows[case.data]
        drawn = draw_rows(known, case.size, SEED)
        try:
            files = workload(options, drawn, held[: options.rows_or(None)], model=case.backbone)
        except MeasurementError as error:
            record.failed[case.backbone] = str(error)
            continue
        given = {"workload": files.as_json()}
        trials = [
            our_contender(case, spelled(trial), given, **_options(trial, drawn, options))
            for trial in STAGES[stage].values()
        ]
        for contender in [*trials, *(linear_contenders(case, given) if stage == 0 else ())]:
            if hours(record) >= options.hours:
                say(f"stopped after {hours(record):.1f} CPU hours")
                return record
            measure_seed([contender], options, record, round_number=1)
    return record


def _order() -> Iterator[tuple[Case, int]]:
    """The cases with their stages: a later stage of fewer rows beside an earlier one of more."""
    found = [(case, stage) for stage in range(len(STAGES)) for case in cases(SIZES)]
    yield from sorted(found, key=lambda one: one[1] + SIZES.index(one[0].size))


def _options(trial: dict[str, Any], drawn: Sequence[Row], options: Options) -> dict[str, Any]:
    if options.quick:
        return {**trial, "epochs": 1}
    return {**trial, "epochs": earlier_epochs(drawn)} if trial == BEFORE else trial


def hours(record: Record) -> float:
    """CPU hours that the record's measurements took."""
    found = (float(raw["cpu_seconds"]) for raws in record.figures.values() for raw in raws)
    return sum(found) / 3600


def tables(record: Record) -> list[Table]:
    """A table for each number of rows, the middle against linear classifiers, rare classes."""
    found = []
    for size in SIZES:
        mine = [case for case in cases([size]) if record.figures.get(case.key(_CENTRE))]
        header = ["trial", *(_short(case) for case in mine), "mean change"]
        rows = [[name, *(cell(record, case.key(key)) for case in mine), _change(record, mine, key)]
                for name, key in (*TRIALS.items(), *zip(LINEAR, LINEAR, strict=True))]  # fmt: skip
        title = "all rows" if size is None else f"{size} rows a class"
        if mine:
            found.append(Table(f"{title}: accuracy on validation rows, % (CPU seconds)", header,
                               [row for row in rows if set(row[1:-1]) != {"-"}]))  # fmt: skip
    return [*found, *(table for table in (_against_linear(record), _rare_classes(record))
                      if table.rows)]  # fmt: skip


def goals(record: Record) -> list[Goal]:
    """None: it is what defaults are chosen by."""
    return []


def _short(case: Case) -> str:
    name = case.data.removesuffix("_10_cats")
    return name if case == Case(case.data, case.size) else f"{name}, MiniLM"


def _change(record: Record, mine: Sequence[Case], key: str) -> str:
    """By how many points the trial is better than the middle, over the cases that have both."""
    changes = [
        mean(record, case.key(key), percent) - mean(record, case.key(_CENTRE), percent)
        for case in mine if record.figures.get(case.key(key))
    ]  # fmt: skip
    return f"{sum(changes) / len(changes):+.1f} of {len(changes)}" if changes else "-"


def _against_linear(record: Record) -> Table:
    rows = [
        [str(case), peer, shown_points(points)]
        for case in cases(SIZES) for peer in LINEAR
        if (points := paired_points(record.figures, case.key(_CENTRE), case.key(peer)))
    ]  # fmt: skip
    return Table("The middle against linear classifiers, points on validation rows with 95 % "
                 "intervals", ["case", "against", "points more"], rows)  # fmt: skip


def _rare_classes(record: Record) -> Table:
    """Macro-F1 with and without class weights, where all rows were given."""
    names = ("the middle", "class weights balanced")
    keys = [TRIALS[name] for name in names]
    rows = [
        [str(case), *(f"{100 * mean(record, case.key(key), 'macro_f1'):.1f}" for key in keys)]
        for case in cases([None])
        if all(record.figures.get(case.key(key)) for key in keys)
    ]
    return Table("Macro-F1 on validation rows, %", ["case", *names], rows)
