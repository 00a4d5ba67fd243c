from __future__ import annotations

from pathlib import Path

import pytest

import lora_bert
from lora_bert.inference.samples import probes
from lora_bert.runtime.device import dtype_name
from tests.cli.conftest import Cli, Mistake
from tests.cli.outcome import contents

TEXTS = ["good 好吃", "bad 太慢了", ""]


def test_merge_says_what_it_compared(cli: Cli, adapter: Path) -> None:
    outcome = cli("merge", adapter, "out dir")
    assert (outcome.code, outcome.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in outcome.stdout.splitlines())
    assert lines["merged"].startswith("out dir (0.2 MB)")
    assert lines["compared"].startswith("largest difference in probability ")
    assert lines["compared"].endswith(" on 64 texts, both in float32")
    fast = dtype_name("auto", "auto") == "bfloat16"
    assert ("infer" in lines) == fast
    assert lines["next"] == "lora-bert infer --model 'out dir' \"…\""


def test_merge_json_is_one_document(cli: Cli, adapter: Path) -> None:
    found = cli("merge", adapter, "out", "--json").document
    assert (found["path"], found["texts"]) == ("out", 64)
    assert 0 <= found["difference"] < 1e-4
    assert found["size"] == sum(path.stat().st_size for path in Path("out").iterdir())


def test_what_infers_own_precision_moves_is_measured_and_said(
    cli: Cli, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_bert.runtime.device._bfloat16_is_fast", lambda _: True)
    moved = cli("merge", adapter, "out", "--json").document["moved"]
    texts = probes().texts
    exact, rounded = (
        lora_bert.load("out", dtype=dtype).probabilities(texts) for dtype in ("float32", "bfloat16")
    )
    assert moved == pytest.approx(abs(exact - rounded).max(), abs=1e-6)
    assert moved > 0
    text = cli("merge", adapter, "out", "--overwrite").stdout
    assert (
        f"computes in bfloat16 here, which moves these probabilities by up to {moved:.2g}" in text
    )
    monkeypatch.setattr("lora_bert.runtime.device._bfloat16_is_fast", lambda _: False)
    assert cli("merge", adapter, "out", "--overwrite", "--json").document["moved"] is None
    assert "bfloat16" not in cli("merge", adapter, "out", "--overwrite").stdout


def test_merged_predicts_like_the_adapter_and_needs_no_backbone(
    cli: Cli, adapter: Path, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    words = (*TEXTS, "--json", "--dtype", "float32")
    one = cli("infer", "--adapter", adapter, *words).document
    cli("merge", adapter, "out")
    monkeypatch.delenv("LORA_BERT_BACKBONES")
    other = cli("infer", "--model", "out", *words).document
    for before, after in zip(one, other, strict=True):
        assert after["scores"] == pytest.approx(before["scores"], abs=1e-4)


def test_comparing_on_texts_of_ones_own(cli: Cli, adapter: Path, reviews: Path) -> None:
    words = ("--data", reviews, "--text-column", "review", "--json")
    assert cli("merge", adapter, "out", *words).document["texts"] == 60


def test_of_many_texts_a_thousand_are_drawn(cli: Cli, adapter: Path, here: Path) -> None:
    """Files are often sorted by label: the first ones would be of one class."""
    rows = "".join(f"{'good' if n < 1_500 else 'bad'} {n}\n" for n in range(3_000))
    Path("many.csv").write_text("text\n" + rows)
    outcome = cli("merge", adapter, "out", "--data", "many.csv")
    assert "Comparing on 1,000 of 3,000 rows of 'many.csv', drawn at random." in outcome.stderr
    assert outcome.stdout.splitlines()[1].endswith(" on 1,000 texts, both in float32")
    assert "(1,000, drawn at random)" in " ".join(cli("merge", "--help").stdout.split())


def test_a_difference_is_an_error_and_nothing_is_kept(
    mistake: Mistake, adapter: Path, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setattr("lora_bert.exporting.merge._difference", lambda *_: 0.01)
    Path("old").mkdir()
    Path("old/model.safetensors").write_text("dear")
    Path("old/config.json").write_text("{}")
    says = ["differs from base + adapter by 0.01", "0.0001"]
    mistake(65, "merge", adapter, "out", says=says)
    mistake(65, "merge", adapter, "old", "--overwrite", says=says)
    monkeypatch.setattr("lora_bert.exporting.merge._difference", lambda *_: float("nan"))
    mistake(65, "merge", adapter, "out", says=["differs"])


def test_the_adapter_stays_as_it_was(cli: Cli, own_adapter: Path) -> None:
    before = contents(own_adapter)
    cli("merge", own_adapter, "out")
    assert contents(own_adapter) == before


def test_overwrite_replaces_the_directory(cli: Cli, adapter: Path) -> None:
    Path("out").mkdir()
    Path("out/old.txt").touch()
    refused = cli("merge", adapter, "out", "--overwrite")
    assert refused.code == 73
    assert "something else than an adapter" in refused.stderr
    Path("out/config.json").touch()
    assert cli("merge", adapter, "out", "--overwrite").code == 0
    assert not Path("out/old.txt").exists()
    assert Path("out/model.safetensors").is_file()


def test_a_backbone_elsewhere_is_remembered(
    cli: Cli, adapter: Path, own_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LORA_BERT_BACKBONES")
    assert cli("merge", adapter, "out", "--backbone", own_backbone).code == 0
    assert cli("info", adapter, "--json").document["backbone_here"] == str(own_backbone)
    assert cli("merge", adapter, "out2").code == 0
