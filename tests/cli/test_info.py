from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli


def test_info_of_an_adapter(cli: Cli, adapter: Path, tiny_backbone: Path) -> None:
    found = cli("info", adapter, "--json").document
    assert (found["kind"], found["task"]) == ("adapter", "text-classification")
    assert (found["labels"], found["backbone"]) == (["negative", "positive"], "tiny-bert")
    assert found["backbone_here"] == str(tiny_backbone)
    assert found["metrics"]["validation"]["rows"] == 12
    assert found["data"]["rows"] == {"train": 48, "validation": 12}
    assert found["versions"].keys() >= {"lora-bert", "torch"}
    assert (found["rank"], found["parameters"]) == (8, 7_778)
    assert found["bytes"] == sum(path.stat().st_size for path in adapter.iterdir())


def test_info_in_words(cli: Cli, adapter: Path) -> None:
    outcome = cli("info", adapter)
    assert outcome.stderr == ""
    for part in ("kind             adapter", "labels           negative, positive"):
        assert part in outcome.stdout
    for part in (
        "0.1 MB",
        "accuracy",
        "%, macro-F1",
        "on 12 rows",
        "train 48, validation 12",
        "torch 2",
    ):
        assert part in outcome.stdout


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (None, "all"),
        ([6, 7, 8], "7 to 9, counted from 1"),
        ([0, 2], "1, 3, counted from 1"),
        (1, "2, counted from 1"),
        ([], "[]"),
        (["last"], "['last']"),
    ],
)
def test_layers_in_words(cli: Cli, adapter: Path, here: Path, written: Any, shown: str) -> None:
    copy = shutil.copytree(adapter, here / "copy")
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | {"layers_to_transform": written}))
    assert f"layers           {shown}\n" in cli("info", copy).stdout
    assert cli("info", copy, "--json").document["layers"] == written


def test_digests_are_cut_in_words_and_whole_in_json(cli: Cli, adapter: Path) -> None:
    whole = cli("info", adapter, "--json").document["provenance"]["backbone_fingerprint"]
    assert len(whole) == 64
    assert f"backbone fingerprint {whole[:12]}…" in cli("info", adapter).stdout


def test_info_says_when_the_backbone_is_not_here(
    cli: Cli, adapter: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LORA_BERT_BACKBONES")
    assert cli("info", adapter, "--json").document["backbone_here"] is None
    assert "backbone here    no: name it with --backbone" in cli("info", adapter).stdout


def test_info_of_a_merged_model(cli: Cli, merged: Path) -> None:
    found = cli("info", merged, "--json").document
    assert (found["kind"], found["model_type"]) == ("merged model", "bert")
    assert found["labels"] == ["negative", "positive"]


def test_info_of_a_backbone(cli: Cli, tiny_backbone: Path) -> None:
    found = cli("info", tiny_backbone, "--json").document
    assert (found["kind"], found["model_type"]) == ("backbone", "bert")


def test_info_of_the_embedded_backbone(cli: Cli) -> None:
    assert cli("info", "e5-small-zh-en", "--json").document["kind"] == "backbone"


def test_how_rows_were_read_is_for_programs(cli: Cli, adapter: Path) -> None:
    line = next(line for line in cli("info", adapter).stdout.splitlines() if line[:4] == "data")
    assert "columns text review, label label" in line
    assert "told" not in line
    assert "told" in cli("info", adapter, "--json").document["data"]
