from __future__ import annotations

from pathlib import Path

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
    for part in ("0.1 MB", "accuracy", "on 12 rows", "train 48, validation 12", "torch 2"):
        assert part in outcome.stdout


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
