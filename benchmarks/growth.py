"""Growth: with rows, with their length, with the rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from benchmarks import plots
from benchmarks.data import Workload, backbone, random_backbone, short_rows, write_rows
from benchmarks.measure import Contender, alternate, once
from benchmarks.options import Options
from benchmarks.ratios import median, ratio
from benchmarks.record import Goal, Record, Table, new_record, number

SUMMARY = "time and peak memory: 1k to 1M rows, a csv of 1 GB, lengths 16 to 512, ranks 1 to 256"
NOTES = """\
Rows: one epoch, then the same file predicted into another one, with a one-layer backbone of random
weights (hidden size 64), so that everything but the model counts; different texts of about 12
tokens. *Private* memory leaves out pages of mapped files, which the system takes back when it needs
them. *csv*: the same with texts of 1,000 characters, cut to 64 tokens. Lengths (512 is the most
that the backbone has positions for) and ranks: training steps of all-linear LoRA on all 12 layers
of e5-small-zh-en; 4,096 tokens a step, whatever their length.
"""
ROUNDS = 1
ROWS = (1_000, 10_000, 100_000, 1_000_000)
LENGTHS = (16, 32, 64, 128, 256, 512)
RANKS = (1, 4, 8, 16, 64, 256)
MEGABYTES = (100, 1000)
_TOKENS = 4096
_MOST = 1.1


def measure(options: Options) -> Record:
    """Three series, one after the other."""
    record = new_record("growth", options)
    most = options.rows_or(ROWS[-1]) or ROWS[-1]
    small = backbone(options)
    shared = Workload(train="", validation="", test="", backbone=str(small), source="synthetic",
                      device=options.device)  # fmt: skip
    contenders = [*_by_length(shared, options.quick), *_by_rank(shared, options.quick)]
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['tokens_per_second']:.0f} tokens/s")  # fmt: skip
    thin = replace(shared, backbone=str(random_backbone(options, "one-layer", small)), epochs=1)
    series = [rows for rows in ROWS if rows <= most] or [most]
    megabytes = (1,) if options.quick else () if options.rows else MEGABYTES
    # One after the other: each writes the file that it is measured on when it is its turn.
    for contender in chain(_by_rows(thin, series, options), _by_size(thin, megabytes, options)):
        alternate([contender], options, record, rounds=options.rounds_or(ROUNDS),
                  show=lambda raw: f"{1e6 * raw['seconds_per_row']:.0f} us/row, "
                  f"{raw['peak_private'] / 1e6:.0f} MB private")  # fmt: skip
    return record


def _by_rows(thin: Workload, series: list[int], options: Options) -> Iterator[Contender]:
    """Training, then predicting; each file is there only while it is used."""
    validation, train = options.work / "validation.jsonl", options.work / "rows.jsonl"
    thin = replace(thin, train=str(train), validation=str(validation))
    model = {"workload": thin.as_json(), "target": str(options.work)}
    write_rows(validation, short_rows(500, 12))
    write_rows(train, short_rows(500, 12))
    once(Contender("models", "benchmarks.public:models", model), options.work)
    files = {"model": str(options.work / "merged"), "source": str(train), "warm": str(validation)}
    for rows in series:
        write_rows(train, short_rows(rows, 12))
        given = {"workload": thin.as_json()}
        yield Contender(f"train {rows} rows", "benchmarks.growth:train", given, scratch=True)
        yield Contender(f"predict {rows} rows", "benchmarks.growth:predict", files, scratch=True)


def _by_size(thin: Workload, megabytes: Sequence[int], options: Options) -> Iterator[Contender]:
    """Training on a csv of so many megabytes."""
    validation, train = options.work / "validation.jsonl", options.work / "rows.csv"
    work = replace(thin, train=str(train), validation=str(validation), max_length=64)
    for size in megabytes:
        rows = short_rows(size * 10**6 // 2995, 1000)  # three bytes a character, and the label
        with train.open("w", encoding="utf-8") as stream:
            stream.write("text,label\n")
            stream.writelines(f"{text},{label}\n" for text, label in rows)
        given = {"workload": work.as_json()}
        yield Contender(f"train csv {size} MB", "benchmarks.growth:train", given, scratch=True)


def train(workload: dict[str, object], scratch: str) -> dict[str, object]:
    """Seconds per row of a run of one epoch, start-up and validation included."""
    from benchmarks.public import whole_run

    found = whole_run(workload, scratch, layers="all")
    return {**found, "seconds_per_row": 1 / found["rate"]}


def predict(**arguments: str) -> dict[str, object]:
    """Seconds per row from file to file, the model loaded."""
    from benchmarks.ours import file_to_file

    found = file_to_file(**arguments)
    return {**found, "seconds_per_row": 1 / found["rate"]}


def _by_length(work: Workload, quick: bool) -> list[Contender]:
    steps = 1 if quick else 5
    return [
        Contender(f"length {tokens}", "benchmarks.stepping:synthetic_rate",
                  {"workload": work.as_json(), "tokens": tokens, "batch": _TOKENS // tokens,
                   "rank": 8, "steps": steps})
        for tokens in LENGTHS
    ]  # fmt: skip


def _by_rank(work: Workload, quick: bool) -> list[Contender]:
    steps = 1 if quick else 5
    return [
        Contender(f"rank {rank}", "benchmarks.stepping:synthetic_rate",
                  {"workload": work.as_json(), "tokens": 32, "batch": _TOKENS // 32, "rank": rank,
                   "steps": steps})
        for rank in RANKS
    ]  # fmt: skip


def tables(record: Record) -> list[Table]:
    """Rows, sizes, lengths, ranks."""
    series = [name for name in record.figures if name.endswith(" rows")]
    series.sort(key=lambda name: (name.startswith("predict"), int(name.split()[1])))
    rows = [
        [name.split()[0], f"{int(name.split()[1]):,}",
         number(1e6 * median(record.figures, name, "seconds_per_row")),
         number(median(record.figures, name, "peak_rss") / 1e6),
         number(median(record.figures, name, "peak_private") / 1e6)]
        for name in series
    ]  # fmt: skip
    header = ["", "rows", "us per row", "peak MB", "of it private"]
    found = [Table("By rows", header, rows)]
    sizes = [
        [name.split()[2], *(number(median(record.figures, name, key) / 1e6)
                            for key in ("peak_rss", "peak_private")),
         number(median(record.figures, name, "seconds"))]
        for name in record.figures if name.startswith("train csv ")
    ]  # fmt: skip
    header = ["MB of the csv", "peak MB", "of it private", "seconds"]
    found.append(Table("Training, by size of a csv", header, sizes))
    for kind in ("length", "rank"):
        lines = [
            [name.split()[1], number(median(record.figures, name, "tokens_per_second"))]
            for name in record.figures if name.startswith(f"{kind} ")
        ]  # fmt: skip
        found.append(Table(f"By {kind}", [kind, "tokens/s"], lines))
    return found


def goals(record: Record) -> list[Goal]:
    """Private memory with ten times as much data: a tenth more at most."""
    found = []
    fewer, many = ROWS[2:]
    series = [
        ("training, 1M rows", "100k rows", (f"train {many} rows", f"train {fewer} rows")),
        ("predicting, 1M rows", "100k rows", (f"predict {many} rows", f"predict {fewer} rows")),
        ("training, a csv of 1 GB", "a csv of 100 MB", ("train csv 1000 MB", "train csv 100 MB")),
    ]
    for what, against, names in series:
        share = ratio(record.figures, *names, "peak_private")
        shown, reached = ("not measured", None) if share is None else (
            str(share), share.median <= _MOST)  # fmt: skip
        found.append(Goal(f"private memory, {what}", against, f"at most {_MOST}x", shown, reached))
    return found


def plot(record: Record, path: Path) -> None:
    """Memory and time per row; tokens per second by length and by rank."""
    panels = []
    for key, unit, scale in (
        ("seconds_per_row", "us per row", 1e6),
        ("peak_private", "peak MB, private", 1e-6),
    ):
        lines = {
            kind: [(count, scale * median(record.figures, f"{kind} {count} rows", key))
                   for count in ROWS if f"{kind} {count} rows" in record.figures]
            for kind in ("train", "predict")
        }  # fmt: skip
        panels.append(plots.Panel(unit, "rows", lines))
    for kind in ("length", "rank"):
        points = [(int(name.split()[1]), median(record.figures, name, "tokens_per_second"))
                  for name in record.figures if name.startswith(f"{kind} ")]  # fmt: skip
        panels.append(plots.Panel("tokens/s", kind, {"": points}))
    plots.lines(path, panels)
