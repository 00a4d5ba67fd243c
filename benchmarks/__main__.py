"""``python -m benchmarks [NAME|report]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from benchmarks.catalogue import NAMES, benchmark, draw
from benchmarks.measure import MeasurementError
from benchmarks.options import RESULTS, TRIAL, Options
from benchmarks.report import goal_table, load_records, write_report


def _listing() -> str:
    """Every benchmark, with how long it took when it was last measured."""
    took = {}
    for record in load_records(RESULTS).values():
        took.setdefault(record.kind, f" ({record.minutes:.0f} min on {record.processor})")
    lines = [f"{name:10} {benchmark(name).SUMMARY}{took.get(name, '')}" for name in NAMES]
    return "\n".join([*lines, f"{'report':10} docs/performance.md, docs/benchmarks.md, READMEs"])


@click.command(epilog="\b\n" + _listing(), context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", required=False, type=click.Choice([*NAMES, "report"]))
@click.option("--rounds", type=click.IntRange(min=1), help="Rounds to measure (default: mostly 5).")
@click.option("--rows", type=click.IntRange(min=160), help="Rows to use, for speed.")
@click.option("--quick", is_flag=True, help="One round on few rows; results go to runs/benchmarks.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
              help="cuda: train, run and predict, with a bert-base of random weights.")  # fmt: skip
@click.option("--data", type=click.Choice(["waimai", "20newsgroups"]), default="waimai",
              show_default=True, help="Texts of train, run, predict and layers.")  # fmt: skip
@click.option("--machine", default="", help="A word: keep the results beside other machines'.")
@click.option("--resume", is_flag=True, help="Go on with a run that was broken off.")
@click.option("--only", multiple=True, help="Measure this contender only; may be repeated.")
@click.option("--hours", type=click.FloatRange(min=0), default=12.0, show_default=True,
              help="CPU hours after which defaults and confirm stop.")  # fmt: skip
@click.option("--results", type=click.Path(path_type=Path), help="Directory of the results.")
def main(
    name: str | None,
    rounds: int | None,
    rows: int | None,
    quick: bool,
    device: str,
    data: str,
    machine: str,
    resume: bool,
    only: tuple[str, ...],
    hours: float,
    results: Path | None,
) -> None:
    """Measure lora-bert beside its peers; without a NAME, list the benchmarks."""
    place = results or (TRIAL if quick else RESULTS)
    if name is None:
        click.echo(_listing())
        return
    if name == "report":
        for page in write_report(place):
            click.echo(f"written: {page}")
        return
    with tempfile.TemporaryDirectory(prefix="lora-bert-benchmarks-") as work:
        options = Options(
            work=Path(work),
            results=place,
            rounds=rounds,
            rows=rows,
            quick=quick,
            device=device,
            data=data,
            machine=machine,
            resume=resume,
            only=only,
            hours=hours,
            command=" ".join(["python -m benchmarks", *sys.argv[1:]]),
        )
        try:
            _measure(name, options)
        except MeasurementError as error:
            raise click.ClickException(str(error)) from error


def _measure(name: str, options: Options) -> None:
    module = benchmark(name)
    record = module.measure(options)
    path = record.save(options.results)
    for table in module.tables(record):
        click.echo("\n" + table.plain())
    for contender, reason in record.failed.items():
        click.echo(f"not measured: {contender} ({reason})")
    if found := module.goals(record):
        click.echo("\n" + goal_table(found).plain())
    click.echo(f"\nresults: {path}")
    if picture := draw(name, record, options.results):
        click.echo(f"plot: {picture}")
    if not record.figures:
        raise MeasurementError("Nothing could be measured.")


if __name__ == "__main__":
    main()
