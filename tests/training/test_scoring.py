"""Figures of an epoch, of the kept adapter and of ``evaluate`` are the same to the last bit."""

from __future__ import annotations

import random
import signal

import pytest

import lora_bert
from lora_bert.errors import OutputError
from lora_bert.mapped import ArrayFile
from lora_bert.training import trunk_states
from lora_bert.training.learner import BranchLearner
from lora_bert.training.trainer import Trainer
from tests.tiny import write_backbone

EPOCHS = 3


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """300 rows of many lengths: 60 validation rows stand in several batches."""
    good, bad = ["good", "tasty", "fast", "fine"], ["bad", "awful", "slow", "late"]
    lines, draw = ["label,review"], random.Random(1)
    for number in range(300):
        label, words = ("positive", good) if number % 2 else ("negative", bad)
        lines.append(f"{label},{' '.join(draw.choices(words, k=1 + number % 23))}")
    path = tmp_path_factory.mktemp("scoring") / "reviews.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def train(tiny_backbone, rows, tmp_path):
    made = iter(range(99))

    def call(**options):
        usual = {"backbone": str(tiny_backbone), "epochs": EPOCHS, "layers": "top:2",
                 "batch_size": 20, "head_start": "random",
                 "output": tmp_path / f"{next(made)}"}  # fmt: skip
        return lora_bert.train(rows, **usual | options)

    return call


def figures(result, part="validation"):
    return dict(result.evaluations[part].scores.figures)


def of_kept_epoch(result):
    row = result.history[result.best_epoch - 1]
    return {name: row[name] for name in figures(result)}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"trunk_cache": "off"},
        {"trunk_cache": "disk"},
        {"layers": "all"},
        {"layers": "auto", "method": "head-only"},
        {"class_weights": "balanced", "metric": "log_loss", "batch_size": 7},
        {"test_fraction": 0.2, "validation_fraction": 0.05},
    ],
    ids=lambda options: " ".join(map(str, options.values())) or "usual",
)
def test_three_ways_to_the_same_figures(train, dtype, options):
    result = train(dtype=dtype, **options)
    assert figures(result) == of_kept_epoch(result)
    for part in result.evaluations:
        scored = lora_bert.evaluate(result.path, part=part, dtype=dtype)
        assert dict(scored.scores.figures) == figures(result, part)


@pytest.mark.parametrize("family", ["modernbert", "distilbert", "deberta-v2"])
def test_of_other_families_too(train, family, tmp_path):
    backbone = str(write_backbone(tmp_path / "backbone", family))
    result = train(backbone=backbone, dtype="bfloat16", epochs=1)
    scored = lora_bert.evaluate(result.path, part="validation", dtype="bfloat16")
    assert dict(scored.scores.figures) == figures(result) == of_kept_epoch(result)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_of_a_real_backbone_too(dtype, tmp_path):
    result = lora_bert.train(output=tmp_path / "out", epochs=2, limit=300, dtype=dtype)
    scored = lora_bert.evaluate(result.path, part="validation", dtype=dtype)
    assert dict(scored.scores.figures) == figures(result) == of_kept_epoch(result)


def test_the_trunk_runs_once_over_the_validation_rows(train, monkeypatch):
    seen, inner = [], trunk_states.trunk

    def counted(backbone, batch, depth):
        seen.append(batch.offsets.rows)
        return inner(backbone, batch, depth)

    monkeypatch.setattr(trunk_states, "trunk", counted)
    kept = train()
    assert sum(seen) == 60
    seen.clear()
    for room in ("memory_budget", "disk_budget"):
        monkeypatch.setattr(trunk_states, room, lambda *_: 0)
    assert train().history[0]["log_loss"] == kept.history[0]["log_loss"]
    assert sum(seen) == EPOCHS * 60


@pytest.mark.parametrize("full", [False, True])
def test_beside_a_cache_on_disk_batches_lie_on_disk_too(train, monkeypatch, full):
    seen, inner = [], trunk_states.trunk

    def counted(backbone, batch, depth):
        seen.append(batch.offsets.rows)
        return inner(backbone, batch, depth)

    def refused(self, array):
        raise OutputError("full")

    monkeypatch.setattr(trunk_states, "trunk", counted)
    in_memory = train(trunk_cache="memory")
    seen.clear()
    monkeypatch.setattr(trunk_states, "memory_budget", lambda *_: 0)
    if full:
        monkeypatch.setattr(ArrayFile, "add", refused)
    on_disk = train(trunk_cache="disk")
    assert sum(seen) == (EPOCHS * 60 if full else 60)
    losses = [[row["log_loss"] for row in result.history] for result in (in_memory, on_disk)]
    assert losses[0] == losses[1]


def test_the_kept_adapter_is_not_run_again(train, monkeypatch):
    parts, inner = [], BranchLearner.outputs

    def noted(self, part):
        parts.append(part)
        return inner(self, part)

    monkeypatch.setattr(BranchLearner, "outputs", noted)
    train(test_fraction=0.1)
    assert parts == ["watched", *["validation"] * EPOCHS, "test", "watched"]


def test_an_epoch_from_before_a_resume_has_its_figures_again(train, monkeypatch, tmp_path):
    """Its values are computed anew; nothing that comes after it is better."""
    inner = Trainer.step
    options = {"output": tmp_path / "out", "learning_rate": 0.05, "dtype": "float32",
               "metric": "log_loss", "save_every_steps": 1}  # fmt: skip

    def stopped(self, batches):
        inner(self, batches)
        if self.progress.step == 14:
            signal.raise_signal(signal.SIGTERM)

    whole = train(**options | {"output": tmp_path / "whole"})
    monkeypatch.setattr(Trainer, "step", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(**options)
    monkeypatch.undo()
    found = train(**options, resume=True)
    assert (found.resumed_at, found.best_epoch) == (14, whole.best_epoch) == (14, 1)
    assert figures(found) == figures(whole) == of_kept_epoch(found)


def test_scoring_after_ctrl_c_says_what_it_does_and_can_be_skipped(train, monkeypatch, caplog):
    caplog.set_level("INFO")
    inner, outputs = Trainer.step, BranchLearner.outputs

    def stopped(self, batches):
        inner(self, batches)
        if self.progress.step == 3:
            signal.raise_signal(signal.SIGINT)

    def impatient(self, part):
        if part == "test":
            signal.raise_signal(signal.SIGINT)
        return outputs(self, part)

    monkeypatch.setattr(Trainer, "step", stopped)
    monkeypatch.setattr(BranchLearner, "outputs", impatient)
    result = train(test_fraction=0.1)
    assert result.interrupted
    assert list(result.evaluations) == ["validation"]
    said = [line for line in caplog.messages if line.startswith("Scoring")]
    assert said == [
        "Scoring the adapter on 54 rows (validation); another Ctrl-C skips that.",
        "Scoring the adapter on 30 rows (test); another Ctrl-C skips that.",
    ]
    assert "Stopped while scoring: the adapter is kept, not all of its scores." in caplog.text
    assert lora_bert.load(result.path).predict(["good"])
