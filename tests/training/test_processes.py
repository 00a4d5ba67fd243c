"""Several processes that train one adapter, started by torchrun as a user starts them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.launch import ROOT, ended, torchrun

pytestmark = pytest.mark.slow

OPTIONS = (
    "--dtype float32 --epochs 3 --batch-size 32 --gradient-accumulation 2 --dropout 0.1 "
    "--layers top:1 --learning-rate 0.003 --trunk-cache disk --save-every-steps 4"
).split()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 rows of some twenty tokens: a batch is worth two threads, and the trunk's chunks many."""
    good, bad = ["good", "tasty", "fast", "fine"], ["bad", "awful", "slow", "late"]
    lines, draw = ["label,review"], random.Random(1)
    for number in range(240):
        label, words = ("positive", good) if number % 2 else ("negative", bad)
        lines.append(f"{label},{' '.join(draw.choices(words, k=15 + number % 9))}")
    path = tmp_path_factory.mktemp("processes") / "reviews.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def words(rows: Path, tiny_backbone: Path) -> list[str]:
    """The command, but for its output."""
    return ["train", "--data", str(rows), "--backbone", str(tiny_backbone), *OPTIONS]


@pytest.fixture(scope="module")
def whole(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What one process with two threads comes to."""
    output = tmp_path_factory.mktemp("whole") / "out"
    alone(*words, "--output", str(output), OMP_NUM_THREADS="2")
    return load_file(output / "adapter_model.safetensors")


def alone(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command in one process."""
    return subprocess.run(
        [sys.executable, "-m", "lora_bert", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True, text=True, check=True,
    )  # fmt: skip


def difference(output: Path, other: dict[str, torch.Tensor]) -> float:
    """The largest relative difference of a tensor from the other's, by its norm."""
    found = load_file(output / "adapter_model.safetensors")
    assert found.keys() == other.keys()
    return max(float((found[name] - other[name]).norm() / other[name].norm()) for name in other)


def test_two_processes_make_the_adapter_that_one_makes(
    words: list[str], whole: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    output, cache = tmp_path / "out", tmp_path / "cache"
    started = torchrun(
        "-m", "lora_bert", *words, "--output", output, "--json", LORA_BERT_CACHE=str(cache)
    )
    code, out, err = ended(started)
    assert code == 0, err
    assert json.loads(out)["best_epoch"]  # one document: the first process's
    assert err.count("epoch 3/3") == 1
    assert difference(output, whole) < 1e-5
    # Each process keeps its own rows, and only those.
    texts = [json.loads(path.read_text())["texts"] for path in cache.glob("trunk/*/entry.json")]
    assert len(texts) == 2
    assert sum(texts) == 240
    assert min(texts) > 60


@pytest.mark.parametrize("cache", ["disk", "off"])
def test_two_processes_fit_the_head_that_one_fits(
    cache: str, rows: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    words = ["train", "--data", str(rows), "--backbone", str(tiny_backbone), "--trunk-cache", cache]
    words += ["--method", "head-only", "--dtype", "float32", "--output"]
    alone(*words, str(tmp_path / "one"))
    code, _, err = ended(torchrun("-m", "lora_bert", *words, str(tmp_path / "two")))
    assert code == 0, err
    assert err.count("learned once more, from the validation rows too") == 1
    one, two = (tmp_path / name / "adapter_model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_killed_process_ends_all_and_one_alone_goes_on(
    words: list[str], whole: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    words = [*words, "--output", str(output), "--log-to", "tensorboard"]
    started = torchrun("-m", "lora_bert", *words)
    checkpoints, limit = tmp_path / "out.checkpoints", time.monotonic() + 60
    while not list(checkpoints.glob("step-*")) and time.monotonic() < limit:
        time.sleep(0.01)
    second = next(
        process for process in psutil.Process(started.pid).children()
        if process.environ().get("RANK") == "1"
    )  # fmt: skip
    second.send_signal(signal.SIGKILL)
    code, _, err = ended(started, seconds=20)
    assert code != 0
    assert err.count("One of the 2 processes of this training has ended") == 1
    assert err.count("error: ") == 1
    assert not output.exists()
    assert list(checkpoints.glob("step-*"))
    done = alone(*words, "--resume", OMP_NUM_THREADS="1")
    assert done.stderr.count("begun elsewhere (processes 2, now 1): the last bits may") == 1
    assert difference(output, whole) < 1e-5
    assert not checkpoints.exists()
    # The first process alone tells the trackers: one file a run.
    assert len(list((tmp_path / "out.logs/lora-bert").glob("events*"))) == 2


def test_a_fault_is_said_by_one_process(words: list[str], tmp_path: Path) -> None:
    started = torchrun("-m", "lora_bert", *words, "--output", tmp_path, "--text-column", "body")
    code, out, err = ended(started)
    assert (code != 0, out) == (True, "")
    assert err.count("error: ") == 1
    assert "has no column 'body'" in err.rpartition("Root Cause")[2]
