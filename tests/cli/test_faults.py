"""What befalls whole processes: afterwards the disk is in order and the next command works."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lora_bert
from tests.cli.outcome import COMMAND, environment, finish, start

pytestmark = pytest.mark.slow

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def words(tiny_backbone: Path, reviews: Path) -> list[str]:
    """A training of some seconds, a checkpoint every fourth step, its trunk in a file."""
    given = ("--data", reviews, "--backbone", tiny_backbone, "--epochs", 60, "--batch-size", 16,
             "--trunk-cache", "disk", "--save-every-steps", 4)  # fmt: skip
    return [*map(str, given)]


@pytest.fixture(scope="module")
def whole(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of that training, undisturbed."""
    place = tmp_path_factory.mktemp("whole") / "out"
    assert finish(start("train", *words, "--output", place)).code == 0
    return (place / WEIGHTS).read_bytes()


def until(found: object, process: subprocess.Popen[str]) -> None:
    """Wait until ``found()`` is true, or the process has ended."""
    while process.poll() is None and not found():  # type: ignore[operator]
        time.sleep(0.0005)  # a checkpoint is written in some milliseconds


def saved() -> bool:
    return any(Path("out.checkpoints").glob("step-*"))


def saving() -> bool:
    return saved() and any(Path("out.checkpoints").glob(".step-*"))


def caching() -> bool:
    return any(Path("cache", "trunk").glob(".*"))


@pytest.mark.parametrize("moment", [caching, saved, saving])
def test_kill_9_and_resume(moment: object, words: list[str], whole: bytes) -> None:
    env = environment(LORA_BERT_CACHE=str(Path("cache").resolve()))
    process = start("train", *words, "--output", "out", env=env)
    until(moment, process)
    process.send_signal(signal.SIGKILL)
    assert finish(process).code == -signal.SIGKILL
    outcome = finish(start("train", *words, "--output", "out", "--resume", env=env))
    assert outcome.code == 0, outcome.stderr
    assert Path("out", WEIGHTS).read_bytes() == whole
    assert not Path("out.checkpoints").exists()


def test_a_cache_that_is_cut_under_a_running_training(words: list[str], whole: bytes) -> None:
    """The system ends the process (SIGBUS); the next call makes the cache again and goes on."""
    env = environment(LORA_BERT_CACHE=str(Path("cache").resolve()))
    process = start("train", *words, "--output", "out", env=env)
    until(saved, process)
    (entry,) = Path("cache", "trunk").glob("*/hidden.bin")
    with entry.open("r+b") as stream:
        stream.truncate(16)
    outcome = finish(process)
    assert outcome.code in (-signal.SIGBUS, 0)
    if outcome.code:
        outcome = finish(start("train", *words, "--output", "out", "--resume", env=env))
        assert outcome.code == 0, outcome.stderr
        assert "Going on after step" in outcome.stderr
    assert Path("out", WEIGHTS).read_bytes() == whole


def test_two_trainings_into_one_output(words: list[str], whole: bytes) -> None:
    first = start("train", *words, "--output", "out")
    until(saved, first)
    first.send_signal(signal.SIGSTOP)  # it must not be done before the second one begins
    second = finish(start("train", *words, "--output", "out", "--overwrite"))
    first.send_signal(signal.SIGCONT)
    assert second.code == 73
    assert "Another training is writing to 'out'" in second.error
    assert finish(first).code == 0
    assert Path("out", WEIGHTS).read_bytes() == whole


def test_two_processes_unpack_the_backbone() -> None:
    env = environment(LORA_BERT_CACHE=str(Path("fresh").resolve()))
    both = [start("verify", "e5-small-zh-en", env=env) for _ in range(2)]
    assert [finish(one, 120).code for one in both] == [0, 0]
    assert finish(start("verify", "e5-small-zh-en", env=env)).code == 0
    assert not list(Path("fresh", "backbones").glob(".*"))


@pytest.mark.parametrize("megabytes", [300, 700, 1100])
def test_little_memory(
    megabytes: int, words: list[str], tiny_backbone: Path, reviews: Path
) -> None:
    """It trains, or says that there is not enough; it is never called a bug."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    given = ("--data", reviews, "--backbone", tiny_backbone, "--epochs", 2, "--output", "out")
    done = subprocess.run(
        [*COMMAND, "train", *map(str, given)],
        env=environment(), preexec_fn=limit, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert "bug in lora-bert" not in done.stderr
    if done.returncode == 0:
        assert lora_bert.load("out").predict(["good"])
    else:
        assert not Path("out").exists()


LATE_CTRL_C = """
import atexit, signal
atexit.register(signal.raise_signal, signal.SIGINT)
from lora_bert.cli import main
main()
"""


def test_ctrl_c_on_the_way_out_changes_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE_CTRL_C, "cache"],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


SHORT_OF_MEMORY = """
import resource
from lora_bert.training.trainer import Trainer
train_step = Trainer.step
def limited(self, group):
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (300 << 20),) * 2)
    train_step(self, group)
Trainer.step = limited
from lora_bert.cli import main
main()
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_memory_that_runs_out_while_training() -> None:
    """A limit that a slice of 2,048 tokens goes beyond: smaller ones are tried, aloud."""
    texts = ("太慢了不好吃" * 50, "很好吃送餐快" * 50)
    rows = "".join(f"{n % 2},{texts[n % 2]}{n}\n" for n in range(24))
    Path("long.csv").write_text("label,review\n" + rows)
    given = ("--data", "long.csv", "--epochs", "1", "--batch-size", "16", "--layers", "all",
             "--dtype", "float32", "--head-start", "random", "--validation-fraction", "0.2",
                 "--output", "out")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, "train", *given],
        env=environment(), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert "Memory ran out at step 1" in done.stderr, done.stderr
    assert done.returncode in (0, 69), done.stderr
    if done.returncode == 0:
        assert lora_bert.load("out").predict(["好吃"])
