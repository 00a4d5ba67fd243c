"""Kills trainings with SIGKILL at random moments, resumes them, and compares what comes out.

python scripts/kill_and_resume.py --times 30 --data waimai -- --limit 1200 --epochs 2

Every trial begins with an empty cache. Some kills wait for a moment of a kind: a checkpoint that is
being written, a trunk cache that is being built. What counts: the adapter is that of the
uninterrupted run, bit for bit, and no step is made again that is older than one save interval.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

WEIGHTS = "adapter_model.safetensors"
LOG = "LORA_BERT_STEP_LOG"


@dataclass(frozen=True)
class Trial:
    """A training that was killed and resumed.

    Attributes:
        moment: What the kill waited for.
        seconds: When it came.
        made: The last step before it.
        resumed_at: The step after which the second call went on.
        same: Whether the adapter is that of the uninterrupted run.
    """

    moment: str
    seconds: float
    made: int
    resumed_at: int
    same: bool

    @property
    def repeated(self) -> int:
        """Steps that were made twice."""
        return max(0, self.made - self.resumed_at)


class Runs:
    """Trainings into a directory of their own, with a cache of their own."""

    def __init__(self, place: Path, words: Sequence[str]) -> None:
        self.place, self.words = place, list(words)
        self.out, self.cache, self.log = place / "out", place / "cache", place / "steps"

    def clear(self) -> None:
        """Leave nothing of what ran before."""
        for path in (self.out, self.cache, self.place / "out.checkpoints"):
            shutil.rmtree(path, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def start(self, *more: str) -> subprocess.Popen[str]:
        """The command, in a process that notes each step it has made."""
        environment = {**os.environ, "LORA_BERT_CACHE": str(self.cache), LOG: str(self.log)}
        words = ["train", *self.words, "--output", str(self.out), "--json", "--quiet", *more]
        return subprocess.Popen(
            [sys.executable, __file__, "--child", *words],
            env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(self, *more: str) -> dict[str, int]:
        """Run to the end; the result."""
        process = self.start(*more)
        said, _ = process.communicate()
        if process.returncode:
            raise click.ClickException(f"the training ended with {process.returncode}")
        found: dict[str, int] = json.loads(said)
        return found

    def made(self) -> int:
        """The last step that was made."""
        lines = self.log.read_text().split() if self.log.exists() else []
        return int(lines[-1]) if lines else 0


def moments(runs: Runs, seconds: float) -> dict[str, Callable[[], bool]]:
    """What a kill may wait for: a time, or that something is half written."""
    saving = runs.place / "out.checkpoints"
    trunk = runs.cache / "trunk"
    started, after = time.monotonic(), random.uniform(0.1, 0.98) * seconds
    skip = iter([False] * random.randrange(4) + [True] * 10**6)
    return {
        "at random": lambda: time.monotonic() - started > after,
        "while saving": lambda: any(saving.glob(".step-*")) and next(skip),
        "while the trunk cache is built": lambda: any(trunk.glob(".*/hidden.bin")),
    }


def trial(runs: Runs, kind: str, seconds: float, expected: bytes) -> Trial:
    """Kill a training at a moment of a kind, resume it, compare."""
    runs.clear()
    started = time.monotonic()
    process = runs.start()
    reached = moments(runs, seconds)[kind]
    while process.poll() is None and not reached():
        time.sleep(0.0005 if kind != "at random" else 0.01)
    came = time.monotonic() - started
    process.send_signal(signal.SIGKILL)
    process.communicate()
    made = runs.made()
    if (runs.out / WEIGHTS).exists():  # it was faster
        return Trial("too late", came, made, made, (runs.out / WEIGHTS).read_bytes() == expected)
    found = runs.finish("--resume")
    same = (runs.out / WEIGHTS).read_bytes() == expected
    return Trial(kind, came, made, found["resumed_at"], same)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--times", default=30, show_default=True, help="Trials.")
@click.option("--data", default="waimai", show_default=True, help="What to train on.")
@click.option("--every", default=5, show_default=True, help="Steps between two checkpoints.")
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
@click.argument("words", nargs=-1)
def main(times: int, data: str, every: int, seed: int, words: Sequence[str]) -> None:
    """Kill and resume; WORDS go to `lora-bert train`."""
    random.seed(seed)
    kinds = ["at random"] * 4 + ["while saving", "while the trunk cache is built"]
    with tempfile.TemporaryDirectory() as place:
        words = ("--data", data, "--save-every-steps", str(every), *words)
        runs = Runs(Path(place), words)
        started = time.monotonic()
        whole = runs.finish()
        seconds = time.monotonic() - started
        click.echo(f"uninterrupted: {whole['steps']} steps in {seconds:.0f} s", err=True)
        expected = (runs.out / WEIGHTS).read_bytes()
        trials = []
        for number in range(times):
            found = trial(runs, kinds[number % len(kinds)], seconds, expected)
            trials.append(found)
            click.echo(f"{number + 1:3} {found} repeated {found.repeated}", err=True)
    failed = [one for one in trials if not one.same or one.repeated > every]
    never = [kind for kind in {*kinds[:times]} if not any(one.moment == kind for one in trials)]
    summary = {
        "trials": len(trials),
        "kinds": {kind: sum(one.moment == kind for one in trials) for kind in {*kinds, "too late"}},
        "same_bits": sum(one.same for one in trials),
        "most_steps_repeated": max(one.repeated for one in trials),
        "save_interval": every,
        "each": [asdict(one) for one in trials],
    }
    click.echo(json.dumps(summary, indent=2))
    if never:
        click.echo(f"never killed: {', '.join(never)}", err=True)
    sys.exit(1 if failed or never else 0)


def child(words: Sequence[str]) -> None:
    """`lora-bert`, noting each step when it is made."""
    from lora_bert.cli import main as lora_bert
    from lora_bert.training.trainer import Trainer

    handle = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    step = Trainer.step

    def noted(self: Trainer, batches: Sequence[np.ndarray]) -> None:
        step(self, batches)
        os.write(handle, f"{self.progress.step}\n".encode())

    Trainer.step = noted  # type: ignore[method-assign]
    lora_bert(words)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
    else:
        main()
