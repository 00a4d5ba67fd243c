"""In what two classifiers differ, as far as their directories say."""

from __future__ import annotations

import json
import shutil

import pytest

from lora_bert.adapters.manifest import read_manifest
from lora_bert.evaluation.training_settings import differences, trained_for, training_settings


@pytest.fixture
def copy(adapter, tmp_path):
    return shutil.copytree(adapter, tmp_path / "copy")


def change(path, **values):
    text = (path / "run.yaml").read_text(encoding="utf-8")
    for name, value in values.items():
        lines = [line for line in text.splitlines() if not line.startswith(f"{name}:")]
        text = "\n".join([*lines, f"{name}: {value}"]) + "\n"
    (path / "run.yaml").write_text(text, encoding="utf-8")


def differ(one, other):
    return differences(
        *((str(path), read_manifest(path / "lora_bert.json")) for path in (one, other))
    )


def metric_of(path):
    return trained_for(path, read_manifest(path / "lora_bert.json"))


def test_only_what_differs_and_decides_what_is_learned(adapter, copy):
    assert differ(adapter, copy) == {}
    change(copy, rank=4, metric="macro_f1", device="cuda", save_every=2.0)
    assert differ(adapter, copy) == {"rank": (8, 4), "metric": ("accuracy", "macro_f1")}
    assert (metric_of(adapter), metric_of(copy)) == ("accuracy", "macro_f1")


def test_what_a_run_does_not_say_is_the_default(adapter, copy):
    text = (copy / "run.yaml").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("class_weights")]
    (copy / "run.yaml").write_text("\n".join(kept))
    assert differ(adapter, copy) == {}


def test_the_manifest_counts_too(adapter, copy):
    manifest = json.loads((copy / "lora_bert.json").read_text(encoding="utf-8"))
    manifest["data"]["rows"]["train"] = 20
    (copy / "lora_bert.json").write_text(json.dumps(manifest))
    assert differ(adapter, copy) == {"training rows": (48, 20)}


def test_a_merged_model_says_less(adapter, merged):
    assert training_settings(merged) == {}
    assert metric_of(merged) == "accuracy"
    assert differ(adapter, merged) == {"form": ("adapter", "merged")}


@pytest.mark.parametrize("text", ["rank: [", "of_a_later_version: 1", "metric: beauty", "- 1"])
def test_a_run_that_cannot_be_read_is_no_obstacle(copy, text):
    (copy / "run.yaml").write_text(text)
    assert metric_of(copy) == "accuracy"
