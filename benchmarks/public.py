"""What of ``lora_bert`` is measured through its public API and its command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.data import Workload, read_rows
from benchmarks.scoring import Stopwatch, judged


def whole_run(
    workload: dict[str, Any], scratch: str, again: bool = False, **options: Any
) -> dict[str, Any]:
    """``lora_bert.train`` from files to an adapter on disk, scored on validation rows every epoch.

    Args:
        workload: Rows, backbone, epochs.
        scratch: Where the adapter goes.
        again: Time a second run, which finds what the first one left in the cache.
        **options: Of ``lora_bert.train``, where not its defaults.
    """
    started = time.perf_counter()
    import lora_bert

    work = Workload(**workload)
    options = {
        "train": work.train, "validation": work.validation, "backbone": work.backbone,
        "epochs": work.epochs, "batch_size": work.batch_size, "rank": work.rank,
        "learning_rate": work.learning_rate, "seed": work.seed, "device": work.device,
        "max_length": work.max_length, **options,
    }  # fmt: skip
    if again:
        lora_bert.train(output=f"{scratch}/first", **options)
        started = time.perf_counter()
    result = lora_bert.train(output=f"{scratch}/adapter", **options)
    seconds = time.perf_counter() - started
    with Path(work.train).open("rb") as lines:  # in memory they would count as the training's
        rows = sum(1 for _ in lines)
    found: dict[str, Any] = {
        "seconds": seconds,
        "rate": rows * work.epochs / seconds,
        "accuracy": result.accuracy,
        "trained_parameters": result.trainable,
    }
    if work.test:
        held = read_rows(work.test)
        predictor = lora_bert.load(
            result.path, backbone=work.backbone, device=work.device, dtype="auto"
        )
        answers = predictor.predict([text for text, _ in held])
        found["correct"] = [
            int(answer.label == label) for answer, (_, label) in zip(answers, held, strict=True)
        ]
    return found


def by_itself(workload: dict[str, Any], scratch: str, **options: Any) -> dict[str, Any]:
    """``lora_bert.train`` on the training rows alone, of which it holds out what it needs.

    Args:
        workload: Rows, backbone, seed; epochs, rate and the rest are ours to choose.
        scratch: Where the adapter goes.
        **options: Of ``lora_bert.train``, where not its defaults.
    """
    watch = Stopwatch()
    import lora_bert

    work = Workload(**workload)
    result = lora_bert.train(train=work.train, backbone=work.backbone, seed=work.seed,
                             output=f"{scratch}/adapter", **options)  # fmt: skip
    found = {**watch.read(), "epochs": len(result.history)}
    rows = read_rows(work.test)
    predictor = lora_bert.load(result.path, backbone=work.backbone)
    answers = predictor.predict([text for text, _ in rows])
    return {**found, **judged([answer.label for answer in answers], rows)}


def learn(scratch: str, **options: Any) -> dict[str, Any]:
    """``lora_bert.train`` on a data set by itself: seconds, and accuracy on its test rows."""
    started = time.perf_counter()
    import lora_bert

    result = lora_bert.train(output=f"{scratch}/adapter", **options)
    seconds = time.perf_counter() - started
    test = result.evaluations["test"]
    return {
        "accuracy": test.scores.accuracy,
        "validation_accuracy": result.accuracy,
        "seconds": seconds,
        "epochs": len(result.history),
        "trained_parameters": result.trainable,
    }


def models(workload: dict[str, Any], target: str) -> dict[str, Any]:
    """Train an adapter of all layers on 2,000 rows and merge it: what is predicted with."""
    import lora_bert

    work = Workload(**workload)
    lora_bert.train(
        train=work.train, validation=work.validation, backbone=work.backbone, rank=work.rank,
        epochs=1, layers="all", limit=2000, output=f"{target}/adapter",
    )  # fmt: skip
    lora_bert.merge(f"{target}/adapter", f"{target}/merged", backbone=work.backbone)
    return {}


def export_openvino(model: str, target: str, samples: str = "") -> dict[str, Any]:
    """``lora-bert export MERGED OUT --format openvino``; with texts to quantise by, in int8."""
    int8 = ["--int8", "--data", samples] if samples else []
    _cli("export", model, target, "--format", "openvino", *int8)
    return {}


def commands() -> list[str]:
    """The names of the subcommands."""
    from lora_bert.cli.app import COMMANDS

    return list(COMMANDS)


def embedded_backbone(target: str) -> dict[str, Any]:
    """Copy the backbone that ships with the package, as a ``transformers`` directory."""
    import lora_bert

    shutil.copytree(lora_bert.backbone_path(), target)
    return {}


def command_line(*arguments: str) -> list[str]:
    """How to start the ``lora-bert`` command with this Python."""
    return [sys.executable, "-c", "from lora_bert.cli import main; main()", *arguments]


def _cli(*arguments: str) -> None:
    done = subprocess.run(command_line(*arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(" ".join(done.stderr.split()))
