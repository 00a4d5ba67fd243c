"""Pairs on the command line: trained, judged, answered; what is none ends in a sentence."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

import lora_bert
from tests.cli.conftest import Cli, Mistake
from tests.cli.test_infer import feed

PAIRS = [("good 1", "tasty 2"), ("bad", "很好吃")]


@pytest.fixture(scope="module")
def answers(pair_adapter: Path) -> list[lora_bert.Prediction]:
    return lora_bert.load(pair_adapter).predict(PAIRS)


def lines(answers: list[lora_bert.Prediction]) -> str:
    return "".join(
        f"{one.label}\t{one.score:.4f}\t{first}\t{second}\n"
        for one, (first, second) in zip(answers, PAIRS, strict=True)
    )


def words(*pairs: tuple[str, str]) -> list[str]:
    return [word for first, second in pairs for word in (first, "--pair", second)]


def test_pairs_are_learned_in_all_layers_and_single_texts_in_the_upper_half(
    pair_adapter: Path, adapter: Path
) -> None:
    learned = [json.loads((each / "adapter_config.json").read_text()).get("layers_to_transform")
               for each in (pair_adapter, adapter)]  # fmt: skip
    assert learned == [None, [2, 3]]


def test_training_says_what_it_found_and_watches(
    cli: Cli, pair_rows: Path, tiny_backbone: Path, here: Path
) -> None:
    outcome = cli(
        "train", "--data", pair_rows, "--backbone", tiny_backbone, "--epochs", 1, "--output", "a",
        "--watch", "good", "--watch-pair", "tasty",
    )  # fmt: skip
    assert outcome.code == 0
    assert "pairs of texts: columns 'sentence1' and 'sentence2'" in outcome.stderr
    watched = next(line for line in outcome.stdout.splitlines() if line.startswith("watched"))
    assert watched.endswith("  good | tasty")
    assert 'lora-bert infer --adapter a "…" --pair "…"' in outcome.stdout
    manifest = json.loads((here / "a" / "lora_bert.json").read_text(encoding="utf-8"))
    assert manifest["inputs"] == 2
    assert manifest["data"]["columns"]["text_pair"] == "sentence2"
    command = (here / "a" / "README.md").read_text(encoding="utf-8")
    assert "--watch" not in command


def test_arguments_and_lines(
    cli: Cli, pair_adapter: Path, answers: list[lora_bert.Prediction],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert cli("infer", "--adapter", pair_adapter, *words(*PAIRS)).stdout == lines(answers)
    feed(monkeypatch, "".join(f"{first}\t{second}\n" for first, second in PAIRS).encode())
    assert cli("infer", "--adapter", pair_adapter).stdout == lines(answers)


def test_json_has_both_texts(
    cli: Cli, pair_adapter: Path, answers: list[lora_bert.Prediction]
) -> None:
    found = cli("infer", "--adapter", pair_adapter, "--json", *words(*PAIRS)).document
    assert [(one["text"], one["text_pair"]) for one in found] == PAIRS
    assert [one["prediction"] for one in found] == [one.label for one in answers]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_files(
    ending: str, cli: Cli, pair_adapter: Path, answers: list[lora_bert.Prediction], here: Path
) -> None:
    rows = [{"id": at, "Text_A": a, "text b": b} for at, (a, b) in enumerate(PAIRS)]
    with (here / "in.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (here / "in.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    outcome = cli(
        "infer", "--adapter", pair_adapter, "--input", f"in.{ending}", "--output", "out.jsonl"
    )
    assert outcome.code == 0
    written = [json.loads(line) for line in (here / "out.jsonl").read_text().splitlines()]
    assert [row["prediction"] for row in written] == [one.label for one in answers]
    assert [list(row)[:3] for row in written] == [["id", "Text_A", "text b"]] * 2
    named = cli(
        "infer", "--adapter", pair_adapter, "--input", f"in.{ending}", "--text-column", "text b",
        "--text-pair-column", "Text_A",
    ).stdout  # fmt: skip
    swapped = lora_bert.load(pair_adapter).predict([(b, a) for a, b in PAIRS])
    assert [row["prediction"] for row in csv.DictReader(named.splitlines())] == [
        one.label for one in swapped
    ]


def test_evaluation_shows_both_texts(
    cli: Cli, pair_adapter: Path, pair_rows: Path, here: Path
) -> None:
    rows = pair_rows.read_text(encoding="utf-8").splitlines()
    (here / "known.csv").write_text("\n".join(rows[:41]), encoding="utf-8")
    # Labels that mean nothing, so that some answers are wrong.
    drawn = ("other", "same")
    turned = [
        ",".join((*row.split(",")[:2], drawn[number % 2])) for number, row in enumerate(rows[1:])
    ]
    (here / "test.csv").write_text("\n".join([rows[0], *turned]), encoding="utf-8")
    outcome = cli(
        "evaluate", pair_adapter, "--data", "test.csv", "--train", "known.csv", "--output", "out",
        "--report", "r.html", "--baseline", "--against", pair_adapter,
    )  # fmt: skip
    assert outcome.code == 0
    assert "40 of 60 pairs stand in the training rows too" in " ".join(outcome.stdout.split())
    with (here / "out" / "wrong.csv").open(encoding="utf-8", newline="") as stream:
        wrong = list(csv.DictReader(stream))
    assert list(wrong[0]) == ["line", "text", "text_pair", "label", "prediction", "score"]
    first, second, _ = rows[int(wrong[0]["line"]) - 1].split(",")
    assert (wrong[0]["text"], wrong[0]["text_pair"]) == (first, second)
    found = json.loads((here / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert found["overlap"]["pairs"]
    assert "of both texts and of what they share" in found["baseline"]["description"]
    page = (here / "r.html").read_text(encoding="utf-8")
    assert "<th>second text</th>" in page
    assert f">{second}</td>" in page


def test_the_embedded_merge_answers_pairs(
    cli: Cli, pair_adapter: Path, pair_rows: Path, answers: list[lora_bert.Prediction]
) -> None:
    assert cli("merge", pair_adapter, "merged", "--data", pair_rows).code == 0
    assert cli("verify", "merged").code == 0
    exact = cli("infer", "--model", "merged", *words(*PAIRS)).stdout.split("\t")
    assert exact[0] == answers[0].label
    assert "pair" in cli("verify", pair_adapter).stdout


def test_a_session_has_adapters_of_both_kinds(
    adapter: Path, pair_adapter: Path, tiny_backbone: Path, answers: list[lora_bert.Prediction]
) -> None:
    session = lora_bert.Session(tiny_backbone)
    session.add(adapter)
    session.add(pair_adapter)
    assert session.predict(PAIRS, adapter=pair_adapter.name) == answers
    assert session.predict(["good"], adapter=adapter.name)


def test_a_list_of_triples_is_trained_on(tiny_backbone: Path, here: Path) -> None:
    rows = [(f"good {at}", f"tasty {at % 7}", "yn"[at % 2]) for at in range(40)]
    lora_bert.train(rows, backbone=tiny_backbone, output="a", epochs=1)
    assert lora_bert.load("a").predict([["good", "bad"]])[0].label in "yn"


MISTAKES = {
    "a text alone": (["infer", "--adapter", "PAIRS", "good"], ["pairs of texts", "--pair"]),
    "too few": (
        ["infer", "--adapter", "PAIRS", "a", "b", "--pair", "c"], ["2 TEXTs", "1 --pair"],
    ),
    "a pair of a single": (
        ["infer", "--adapter", "SINGLE", "a", "--pair", "b"], ["trained on single texts"],
    ),
    "no first text": (["infer", "--adapter", "PAIRS", "--pair", "b"], ["no first TEXT"]),
    "a column for a single": (
        ["infer", "--adapter", "SINGLE", "--input", "pairs.csv", "--text-pair-column", "sentence2"],
        ["trained on single texts"],
    ),
    "watched alone": (
        ["train", "--data", "pairs.csv", "--watch", "a", "--backbone", "BACKBONE"],
        ["--watch-pair", "1 first text"],
    ),
    "watched as a pair": (
        ["train", "--data", "single.csv", "--watch", "a", "--watch-pair", "b",
         "--backbone", "BACKBONE"],
        ["single texts", "--text-pair-column"],
    ),
    "against a single": (
        ["evaluate", "PAIRS", "--data", "pairs.csv", "--against", "SINGLE"],
        ["on single texts", "on pairs of texts"],
    ),
}  # fmt: skip
UNREAD = {
    "one column": (["infer", "--adapter", "PAIRS", "--input", "single.csv"], ["one text a row"]),
    "one column to judge": (
        ["evaluate", "PAIRS", "--data", "single.csv"], ["one text a row", "--text-pair-column"],
    ),
    "no such column": (
        ["train", "--data", "single.csv", "--text-pair-column", "other", "--backbone", "BACKBONE"],
        ["no column 'other'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*MISTAKES, *UNREAD])
def test_mistakes(
    name: str, mistake: Mistake, adapter: Path, pair_adapter: Path, tiny_backbone: Path,
    pair_rows: Path, here: Path,
) -> None:  # fmt: skip
    (here / "pairs.csv").write_bytes(pair_rows.read_bytes())
    rows = "".join(f"good {at},{'same' if at % 2 else 'other'}\n" for at in range(20))
    (here / "single.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    command, says = (MISTAKES | UNREAD)[name]
    places = {"PAIRS": pair_adapter, "SINGLE": adapter, "BACKBONE": tiny_backbone}
    mistake(2 if name in MISTAKES else 65, *(places.get(w, w) for w in command), says=says)


@pytest.mark.parametrize("line", ["good", "a\tb\tc", ""])
def test_a_line_that_is_no_pair(
    line: str, cli: Cli, pair_adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, f"a\tb\n{line}\n".encode())
    outcome = cli("infer", "--adapter", pair_adapter)
    assert (outcome.code, outcome.stdout) == (65, "")
    assert "standard input, line 2" in outcome.error


def test_half_of_a_typed_pair_ends_the_asking(
    cli: Cli, pair_adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(f"good{os.linesep}tasty\n\n"))
    outcome = cli("infer", "--adapter", pair_adapter)
    assert outcome.stdout.count("\n") == 1
    assert outcome.stderr == "text> pair> text> "
