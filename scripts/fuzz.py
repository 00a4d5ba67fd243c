"""Gives the readers of adapters, models, options and data millions of broken files.

    python scripts/fuzz.py --inputs 1000000            seeds, as many as wanted, on every core
    python scripts/fuzz.py --inputs 20000 --coverage   which lines of the readers were reached
    python scripts/fuzz.py --atheris -- -runs=100000   guided by coverage (pip install atheris)

What is found is any exception that is not one of ``lora_bert/errors.py``; its seed shows it again:
``--seed N --inputs 1``.
"""

from __future__ import annotations

import collections
import itertools
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
READERS = (
    "json_files.py", "options.py", "adapters/manifest.py", "adapters/peft_config.py",
    "adapters/peft_format.py", "adapters/directory.py", "backbones/weights.py",
    "backbones/families.py",
    "backbones/config_values.py", "tokens/tokenizer.py", "model/shapes.py", "data/columns.py",
    "data/encoding.py", "data/examples.py", "data/header.py", "data/legacy.py",
    "data/plausibility.py", "data/rows.py", "data/tables.py",
    "data/labels.py", "data/joined_labels.py", "data/literals.py", "data/sniffing.py",
    "data/formats/*.py",
)  # fmt: skip
_SECONDS = 20
_SAID_EVERY = 10_000


def targets() -> Any:
    """The readers, with a tiny adapter on a tiny backbone, in memory where that can be."""
    import lora_bert
    from tests.fuzzing.targets import Targets
    from tests.tiny import write_backbone

    shared = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None, prefix="fuzz-"))
    os.environ["LORA_BERT_CACHE"] = str(place / "cache")
    backbone = write_backbone(place / "tiny")
    rows = place / "rows.csv"
    rows.write_text("label,review\n" + "".join(f"{n % 2},good {n}\n" for n in range(40)))
    lora_bert.train(rows, backbone=str(backbone), output=place / "adapter", epochs=1)
    (place / "work").mkdir()
    lora_bert.merge(place / "adapter", place / "merged")
    return Targets(place / "adapter", place / "merged", backbone, place / "work")


class TooLongError(BaseException):
    """No answer; a class that no reader takes for an error of its own."""


def _too_long(_number: int, _frame: object) -> None:
    raise TooLongError(f"no answer in {_SECONDS} seconds")


def search(seeds: range) -> tuple[collections.Counter[str], dict[str, tuple[int, str]]]:
    """Try seeds; how many inputs each reader had, and findings by where they come from."""
    import torch

    torch.set_num_threads(1)
    logging.getLogger("lora_bert").setLevel(logging.ERROR)
    found: dict[str, tuple[int, str]] = {}
    tried: collections.Counter[str] = collections.Counter()
    made = targets()
    began = time.monotonic()
    signal.signal(signal.SIGALRM, _too_long)
    for number, seed in enumerate(seeds, 1):
        signal.alarm(_SECONDS)
        try:
            tried[made.one(seed)] += 1
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the point of it; panics are no Exception
            frames = traceback.extract_tb(error.__traceback__)
            ours = [frame for frame in frames if "/lora_bert/" in frame.filename]
            last = (ours or list(frames))[-1]
            key = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            found.setdefault(key, (seed, f"{error}"[:300]))
        if number % _SAID_EVERY == 0:
            rate = number / (time.monotonic() - began)
            print(f"{number:,} inputs, {rate:,.0f} a second, {[*found]}", file=sys.stderr)
    signal.alarm(0)
    shutil.rmtree(made.place.parent, ignore_errors=True)
    return tried, found


def guided(words: Sequence[str]) -> None:
    """Let atheris choose the seeds by the lines they reach."""
    import atheris

    with atheris.instrument_imports(include=["lora_bert"]):
        made = targets()

    def one(content: bytes) -> None:
        made.one(int.from_bytes(content[:16]))

    atheris.Setup([sys.argv[0], *words], one)
    atheris.Fuzz()


@click.command()
@click.option("--inputs", default=20_000, show_default=True, help="How many.")
@click.option("--seed", default=0, show_default=True, help="Of the first one.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option(
    "--coverage", "measured", is_flag=True, help="Report the lines reached (one process)."
)
@click.option("--atheris", "guide", is_flag=True, help="Guided by coverage; WORDS go to libFuzzer.")
@click.argument("words", nargs=-1)
def main(
    inputs: int, seed: int, jobs: int, measured: bool, guide: bool, words: Sequence[str]
) -> None:
    """Fuzz the readers; exit code 1 where there are findings."""
    if guide:
        guided(words)
        return
    if measured:
        import coverage

        watch = coverage.Coverage(
            include=[str(ROOT / "lora_bert" / one) for one in READERS], data_file=None
        )
        watch.start()
        results = [search(range(seed, seed + inputs))]
        watch.stop()
        watch.report(file=sys.stdout, show_missing=True)
    else:
        cuts = [seed + inputs * at // jobs for at in range(jobs + 1)]
        parts = [range(low, high) for low, high in itertools.pairwise(cuts)]
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            results = pool.map(search, parts)
    tried = sum((one for one, _ in results), collections.Counter[str]())
    found = {key: what for _, each in results for key, what in each.items()}
    for name, count in tried.most_common():
        click.echo(f"{name:<12} {count:>10,}")
    click.echo(f"{'all':<12} {sum(tried.values()):>10,}")
    for key, (first, said) in sorted(found.items()):
        click.echo(f"FOUND {key}: seed {first}: {said}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
