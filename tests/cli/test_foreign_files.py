"""Files as other programs and people write them, in every command that reads files."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Mistake

GOOD, BAD = ("good", "tasty, hot", "fast", "fine"), ("bad", "awful, cold", "slow", "late")


def rows(count: int = 40) -> list[tuple[str, str]]:
    """Label and text."""
    return [
        (("positive", f"{GOOD[n % 4]} {n}") if n % 2 else ("negative", f"{BAD[n % 4]} {n}"))
        for n in range(count)
    ]


def spaced() -> str:
    return "category, transcript\n" + "".join(f'{label}, "{text}"\n' for label, text in rows())


def named_separator() -> str:
    return "sep=;\nlabel;text\n" + "".join(f"{label};{text}\n" for label, text in rows())


def pipes() -> str:
    return "label|text\n" + "".join(f"{label}|{text}\n" for label, text in rows())


def trailing() -> str:
    return '"label","text"\n' + "".join(f'"{label}","{text}",\n' for label, text in rows())


def unnamed() -> str:
    return "label,text,,,\n" + "".join(f'{label},"{text}",,,\n' for label, text in rows())


FILES = {
    "spaced": spaced, "sep": named_separator, "pipes": pipes, "trailing": trailing,
    "unnamed": unnamed,
}  # fmt: skip


@pytest.fixture
def train(cli: Cli, tiny_backbone: Path) -> Cli:
    """``train(FILE, *options)``: one epoch on the tiny backbone into ``out``."""

    def call(data: object, *words: object):  # type: ignore[no-untyped-def]
        usual = ("--backbone", tiny_backbone, "--epochs", 1, "--output", "out")
        return cli("train", "--data", data, *usual, *words)

    return call


@pytest.mark.parametrize("kind", FILES)
def test_training_evaluating_and_predicting(train: Cli, cli: Cli, kind: str) -> None:
    Path("a.csv").write_text(FILES[kind](), encoding="utf-8")
    outcome = train("a.csv")
    assert outcome.code == 0, outcome.stderr
    outcome = cli("evaluate", "out", "--data", "a.csv")
    assert outcome.code == 0, outcome.stderr
    outcome = cli("infer", "--adapter", "out", "--input", "a.csv", "--output", "b.csv")
    assert outcome.code == 0, outcome.stderr
    with Path("b.csv").open(encoding="utf-8-sig", newline="") as stream:
        written = list(csv.DictReader(stream))
    text, label = ("transcript", "category") if kind == "spaced" else ("text", "label")
    assert [(row[label], row[text]) for row in written] == rows()
    if kind == "unnamed":
        assert list(written[0])[:5] == ["label", "text", "column_3", "column_4", "column_5"]
    assert {row["prediction"] for row in written} <= {"positive", "negative"}


def test_merge_compares_on_a_file_with_columns_without_a_name(train: Cli, cli: Cli) -> None:
    Path("a.csv").write_text(unnamed(), encoding="utf-8")
    assert train("a.csv").code == 0
    outcome = cli("merge", "out", "merged", "--data", "a.csv")
    assert outcome.code == 0, outcome.stderr


@pytest.mark.parametrize("order", ["label,text", "text,label"])
def test_the_header_hint_can_be_copied(train: Cli, mistake: Mistake, order: str) -> None:
    texts = [(label, f'"{text} and much more of the same"') for label, text in rows(60)]
    lines = [",".join(pair if order == "label,text" else pair[::-1]) for pair in texts]
    Path("a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    error = mistake(65, "train", "--data", "a.csv", "--output", "out", says=["no header"])
    found = re.search(r"(--no-header --columns \S+)", error)
    assert found is not None
    outcome = train("a.csv", *shlex.split(found[1]), "--json")
    assert outcome.code == 0, outcome.stderr
    assert f"--columns {order}" in found[1]
    assert outcome.document["labels"] == ["negative", "positive"]


def test_a_korean_file_is_answered_in_korean(cli: Cli, adapter: Path) -> None:
    text = "배달이 빠르고 음식이 정말 맛있어요"
    Path("a.csv").write_bytes(f"text,label\n{text},긍정\n{text} 하나,부정\n".encode("cp949"))
    outcome = cli("infer", "--adapter", adapter, "--input", "a.csv", "--output", "b.csv")
    assert outcome.code == 0, outcome.stderr
    assert "is read as EUC-KR" in outcome.stderr
    assert text in Path("b.csv").read_text(encoding="utf-8-sig")


def test_an_encoding_that_could_be_several(mistake: Mistake) -> None:
    Path("a.csv").write_bytes("text,label\nZoë was here,a\nplain,b\n".encode("latin-1"))
    mistake(
        65, "train", "--data", "a.csv", "--output", "out",
        says=["no other encoding is certain: a word of it is 'Zoë' in latin-1", "--encoding"],
    )  # fmt: skip
