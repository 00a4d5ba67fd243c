"""What each command imports, and what starting costs."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lora_bert.cli.app import COMMANDS
from tests.cli.outcome import environment

HEAVY = set(
    "torch transformers peft accelerate datasets numpy scipy sklearn pandas pyarrow matplotlib "
    "tokenizers safetensors gguf huggingface_hub openvino onnx onnxruntime nncf tqdm sympy "
    "torch._dynamo torch.distributed.tensor".split()
)
COMPUTING = {"numpy", "tokenizers", "tqdm"}
TORCH = COMPUTING | {"torch", "safetensors"}
PROGRAM = """\
import json, sys
from lora_bert.cli.app import run
code = run(sys.argv[1:])
names = [name for name, module in sys.modules.items() if module]
print(json.dumps([code, sorted(names)]))
"""


@pytest.fixture(scope="module")
def places(
    adapter: Path, merged: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What the commands below are called with."""
    import lora_bert

    place = tmp_path_factory.mktemp("exported")
    found = {"ADAPTER": adapter, "MERGED": merged, "REVIEWS": reviews, "OUT": place / "out"}
    for kind in ("openvino", "onnx"):
        pytest.importorskip("onnx", reason="the extras onnx and openvino are not installed")
        lora_bert.export(merged, place / kind, format=kind)
        found[kind.upper()] = place / kind
    return {name: str(path) for name, path in found.items()}


def loaded(*words: str) -> set[str]:
    """The heavy modules that a command imports in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return HEAVY & set(modules)


@pytest.mark.parametrize(
    "words", [("--help",), ("--version",), *((name, "--help") for name in COMMANDS)]
)
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    assert loaded(*words) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "may"),
    [
        ("cache list", {"numpy"}),
        ("info ADAPTER", {"numpy", "safetensors"}),
        ("info MERGED", {"numpy"}),
        ("info OPENVINO", {"numpy"}),
        ("infer --model OPENVINO good", COMPUTING | {"openvino"}),
        ("infer --model ONNX --engine onnx good", COMPUTING | {"onnxruntime"}),
        ("infer --model ONNX --input REVIEWS", COMPUTING | {"openvino"}),
        ("infer --model MERGED good", TORCH),
        ("infer --adapter ADAPTER good", TORCH),
        ("merge ADAPTER OUT/merged", TORCH | {"huggingface_hub"}),
        ("export MERGED OUT/exported", TORCH | {"openvino", "onnx"}),
        ("evaluate MERGED --data REVIEWS", TORCH),
        ("train --data REVIEWS --backbone BACKBONE --output OUT/adapter --epochs 1",
         TORCH | {"accelerate", "huggingface_hub", "matplotlib", "scipy"}),
    ],
)  # fmt: skip
def test_no_command_imports_what_it_does_not_use(
    words: str, may: set[str], places: dict[str, str], tiny_backbone: Path
) -> None:
    known = {**places, "BACKBONE": str(tiny_backbone)}
    told = words.split()
    for name, path in known.items():
        told = [word.replace(name, path) for word in told]
    assert loaded(*told) <= may


def test_predicting_with_openvino_reports_to_nobody(places: dict[str, str], here: Path) -> None:
    program = (
        "import sys, lora_bert\n"
        f"lora_bert.load({places['OPENVINO']!r}).predict(['good'])\n"
        "print(sys.modules.get('openvino_telemetry'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(HOME=str(here)), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "None\n"
    assert list(here.iterdir()) == []


def cpu_seconds(*words: str) -> float:
    """The least processor time of a few runs of a Python program."""
    times = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], env=dict(os.environ), check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
        times.append(spent)
    return min(times)


def test_help_costs_little_more_than_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    ours = cpu_seconds("-c", "from lora_bert.cli import main; main(['--help'])")
    assert ours - cpu_seconds("-c", "import click") < 0.3
