"""What the tutorials build, on their own files and a real backbone; few rows, one epoch."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lora_bert.cli.app import run
from tests.cli.outcome import COMMAND, environment

pytestmark = pytest.mark.slow
QUICK = ("--limit", "320", "--epochs", "1", "--quiet")


def done(*words: object) -> None:
    assert run([str(word) for word in words]) == 0


def document(capsys: pytest.CaptureFixture[str], *words: object) -> dict:  # type: ignore[type-arg]
    capsys.readouterr()
    done(*words, "--json")
    found: dict = json.loads(capsys.readouterr().out)  # type: ignore[type-arg]
    return found


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_binary_chinese_reviews(
    ending: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Train, test with labels, answer without; both probabilities are saved."""
    names = ("--label-names", "0=negative,1=positive")
    words = ("--train", f"train.{ending}", "--test", f"test.{ending}", *names, "--quiet")
    words += ("--epochs", "1")
    trained = document(capsys, "train", *words, "--output", "a")
    assert trained["labels"] == ["negative", "positive"]
    tested = document(capsys, "evaluate", "a")
    assert tested["rows"] == 150
    assert tested["accuracy"] == pytest.approx(trained["test"]["accuracy"], abs=0.01)
    assert tested["accuracy"] > 0.55

    reviews = [row["review"] for row in json.loads(Path("test.json").read_text(encoding="utf-8"))]
    new = Path(f"new.{ending}")
    if ending == "csv":
        with new.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([["review"], *([text] for text in reviews)])
    else:
        new.write_text(json.dumps([{"review": text} for text in reviews]), encoding="utf-8")
    done("infer", "--adapter", "a", "--input", new, "--output", "answers.csv")
    with Path("answers.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["review"] for row in rows] == reviews
    for row in rows:
        both = {name: float(row[f"prob_{name}"]) for name in ("negative", "positive")}
        assert sum(both.values()) == pytest.approx(1, abs=1e-3)
        assert row["prediction"] == max(both, key=both.__getitem__)


def test_waimai(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--data", "waimai_10k.csv", "--test-fraction", "0.2", "--split", "random")
    trained = document(capsys, "train", *words, *QUICK, "--output", "a")
    assert trained["labels"] == ["0", "1"]
    assert trained["test"]["rows"] == 64
    assert document(capsys, "evaluate", "a", "--baseline")["baseline"]["accuracy"] > 0.5


def test_the_whole_backbone_frozen(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("--label-names", "0=negative,1=positive")
    words = ("--data", "train.csv", *names, "--method", "head-only", "--epochs", "4", "--quiet")
    trained = document(capsys, "train", *words, "--output", "a")
    assert trained["trainable_parameters"] == 384 * 384 + 384 + 2 * 384 + 2
    saved = load_file("a/adapter_model.safetensors")
    assert not [name for name in saved if "lora" in name]
    assert trained["validation"]["accuracy"] > 0.5
    assert run(["train", "--data", "train.csv", "--rank", "0"]) == 2
    assert "--method head-only" in capsys.readouterr().err


SENTENCES = ("酒店环境很好，下次还会来", "房间又脏又吵，再也不来了", "这本书写得真好")


def test_chnsenticorp(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Parquet, cleaned, one epoch, the test rows, and the same sentences before and after."""
    watch = [word for text in SENTENCES for word in ("--watch", text)]
    few = ("--limit", "400", "--batch-size", "16", "--epochs", "1", "--quiet")
    words = ("--data", "chnsenticorp", "--clean", *watch, *few, "--output", "a")
    trained = document(capsys, "train", *words)
    assert trained["test"]["rows"] == 400
    assert trained["test"]["accuracy"] > 0.55
    assert [one["text"] for one in trained["watched"]] == list(SENTENCES)
    before, after = (
        [one[moment]["scores"]["1"] for one in trained["watched"]] for moment in ("before", "after")
    )
    assert before != after
    assert after[1] < after[0]


def test_twenty_newsgroups(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty labels that are texts, 512 tokens, an English backbone."""
    words = ("--data", "20newsgroups", "--backbone", "all-MiniLM-L6-v2", "--max-length", "512")
    trained = document(capsys, "train", *words, "--epochs", "1", "--quiet", "--output", "a")
    assert len(trained["labels"]) == 20
    assert "comp.graphics" in trained["labels"]
    assert json.loads(Path("a/lora_bert.json").read_text())["max_length"] == 512
    # One epoch of some hundred rows: by chance it would be 5 %.
    assert trained["test"]["accuracy"] > 0.08


def test_the_merged_model_alone(workplace: Path) -> None:
    """No adapter, no backbone, no network, an empty cache."""
    done("train", "--data", "waimai_10k.csv", *QUICK, "--output", "a")
    done("merge", "a", "merged", "--quiet")
    words = ("infer", "--model", "merged", "很好吃", "太慢了")
    alone = environment(
        LORA_BERT_CACHE=str(workplace / "empty"), HF_HUB_OFFLINE="1", LORA_BERT_BACKBONES=""
    )
    found = subprocess.run(
        [*COMMAND, *words], env=alone, capture_output=True, text=True, check=True, timeout=120
    )
    assert len(found.stdout.splitlines()) == 2
    assert not (workplace / "empty" / "backbones").exists()
