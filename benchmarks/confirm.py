"""Our defaults on test rows, three seeds: against those before, and against linear classifiers."""

from __future__ import annotations

from benchmarks.cases import (
    LINEAR,
    SEEDS,
    THREADS,
    Case,
    cases,
    cell,
    earlier_epochs,
    linear_contenders,
    measure_seed,
    our_contender,
)
from benchmarks.defaults import BEFORE, hours
from benchmarks.labelled_sets import TEST_ROWS, draw_rows, read_set, workload
from benchmarks.measure import MeasurementError, say
from benchmarks.options import Options
from benchmarks.ratios import paired_points, ratio, shown_points
from benchmarks.record import Goal, Record, Table, new_record

SUMMARY = "our defaults on test rows, against those before and linear classifiers"
PAGE = "defaults.md"
NOTES = f"""\
What `defaults` chose, once, on rows that the search has not seen: the sets' own test parts, or a
fifth ({TEST_ROWS:,} at most). A round is a seed, which also draws the training rows; everyone is
given the same. Intervals are of the difference, paired by row and seed.
"""
OURS, EARLIER = "lora-bert, defaults", "lora-bert, defaults before"
_INTENTS = (Case("banking77", 15), Case("banking77", None))
_CASES = (_INTENTS[0], *cases((8, 64, None)))


def measure(options: Options) -> Record:
    """A seed after the other, until the hours are used up."""
    record = new_record("confirm", options, test_rows=TEST_ROWS, threads=THREADS)
    for at, seed in enumerate(SEEDS[: options.rounds_or(len(SEEDS))], start=1):
        for case in _CASES:
            known, held = read_set(case.data)
            drawn = draw_rows(known, case.size, seed)
            test = held[: options.rows_or(None)]
            try:
                files = workload(options, drawn, test, model=case.backbone, seed=seed)
            except MeasurementError as error:
                record.failed[case.backbone] = str(error)
                continue
            given = {"workload": files.as_json()}
            quick = {"epochs": 1} if options.quick else {}
            before = {**BEFORE, "epochs": earlier_epochs(drawn), **quick}
            for contender in (
                our_contender(case, OURS, given, **quick),
                our_contender(case, EARLIER, given, **before),
                *linear_contenders(case, given),
            ):
                if hours(record) >= options.hours:
                    say(f"stopped after {hours(record):.1f} CPU hours")
                    return record
                measure_seed([contender], options, record, round_number=at)
    return record


def tables(record: Record) -> list[Table]:
    """Accuracy and cost, then our default's difference from each."""
    names = (OURS, EARLIER, *LINEAR)
    rows = [
        [str(case), *(cell(record, case.key(name)) for name in names)]
        for case in _CASES if any(record.figures.get(case.key(name)) for name in names)
    ]  # fmt: skip
    pairs = [
        [str(case), *(_points(record, case, name) for name in names[1:])]
        for case in _CASES if record.figures.get(case.key(OURS))
    ]  # fmt: skip
    return [
        Table("Accuracy on test rows, % (CPU seconds)", ["case", *names], rows),
        Table("Our defaults: points more, with 95 % intervals", ["case", *names[1:]], pairs),
    ]


def goals(record: Record) -> list[Goal]:
    """More than before where intents are told apart, and nowhere less than a linear classifier."""
    found = []
    for case, least in zip(_INTENTS, (3.0, 0.5), strict=True):
        points = paired_points(record.figures, case.key(OURS), case.key(EARLIER))
        costs = ratio(record.figures, case.key(EARLIER), case.key(OURS), "fit_cpu_seconds")
        measured, reached = "not measured", None
        if points is not None and costs is not None:
            measured = f"{shown_points(points)}; {costs}"
            reached = points[0] >= least and costs.median >= 2
        found.append(Goal(f"accuracy, {case}", "the defaults before, half the seconds",
                          f"{least:+g} points, 2x", measured, reached))  # fmt: skip
    for name, least in ((EARLIER, -0.3), *((name, 0.0) for name in LINEAR)):
        worst = _worst(record, name, end=name != EARLIER)
        shown = "not measured" if worst is None else f"{worst[0]:+.2f} ({worst[1]})"
        least_shown = f"{least} on average" if name == EARLIER else "an interval that reaches 0"
        found.append(Goal("accuracy, every set and size", name, least_shown, shown,
                          None if worst is None else worst[0] >= least))  # fmt: skip
    return found


def _worst(record: Record, peer: str, *, end: bool) -> tuple[float, Case] | None:
    """The case where we are least ahead: by the mean, or by the upper end of the interval."""
    found = [
        (points[2 if end else 0], str(case), case)
        for case in _CASES
        if (points := paired_points(record.figures, case.key(OURS), case.key(peer)))
    ]
    return (min(found)[0], min(found)[2]) if found else None


def _points(record: Record, case: Case, peer: str) -> str:
    points = paired_points(record.figures, case.key(OURS), case.key(peer))
    return "-" if points is None else shown_points(points)
