"""Labels as people's files have them, through the commands."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Mistake

BAD = 65


@pytest.fixture
def train(cli: Cli, tiny_backbone: Path) -> Cli:
    """``train(FILE, *options)``: one epoch on the tiny backbone into ``out``."""

    def call(data: object, *words: object):  # type: ignore[no-untyped-def]
        usual = ("--backbone", tiny_backbone, "--epochs", 1, "--output", "out", "--overwrite")
        return cli("train", "--data", data, *usual, *words)

    return call


def labels_of(adapter: str) -> list[str]:
    found: list[str] = json.loads(Path(adapter, "lora_bert.json").read_text("utf-8"))["labels"]
    return found


def written(name: str, header: list[str], rows: list[list[object]]) -> Path:
    with Path(name).open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return Path(name)


def test_columns_of_0_and_1_are_remembered(train: Cli, cli: Cli, mistake: Mistake) -> None:
    rows = [[f"good {n}", n % 2, 1 - n % 2, 0] for n in range(40)]
    data = written("hot.csv", ["text", "praise", "insult", "threat"], [*rows, ["x", 0, 0, 0]])
    columns = ("--label-column", "praise,insult,threat")
    outcome = train(data, *columns)
    assert outcome.code == 0, outcome.stderr
    assert "Dropped 1 row with an empty label" in outcome.stderr
    assert labels_of("out") == ["insult", "praise"]
    assert cli("evaluate", "out", "--json").document["rows"] == 8
    assert cli("evaluate", "out", "--data", data, "--json").document["rows"] == 40
    assert cli("merge", "out", "merged", "--data", data).code == 0

    written("hot.csv", ["text", "praise", "insult", "threat"], [*rows, ["x", 1, 1, 0]])
    one = ("--task", "single-label")
    words = ("train", "--data", "hot.csv", "--output", "new", *columns, *one)
    mistake(BAD, *words, says=["line 42: several labels in one row, 'praise', 'insult'; 1 of 41"])


def test_the_option_that_is_said_joins_spellings(train: Cli) -> None:
    kinds = ("good", "Good", "good\u200b", "ｇood", "a,b", "A,B", "it's=x", "IT'S=x")
    rows: list[list[object]] = [[f"text {n}", kinds[n % 8]] for n in range(80)]
    outcome = train(written("spelt.csv", ["text", "label"], rows))
    assert len(labels_of("out")) == 8
    (line,) = [line for line in outcome.stderr.splitlines() if "--label-names" in line]
    pasted = shlex.split(line[line.index("--label-names") :])
    outcome = train("spelt.csv", *pasted)
    assert outcome.code == 0, outcome.stderr
    assert "To join them" not in outcome.stderr
    assert len(labels_of("out")) == 3


def test_a_combination_is_a_class_where_it_is_named(train: Cli, mistake: Mistake) -> None:
    kinds = ("red", "green", "red,green")
    rows: list[list[object]] = [[f"text {n}", kinds[n % 3]] for n in range(60)]
    data = written("colours.csv", ["text", "label"], rows)
    words = ("train", "--data", data, "--output", "out", "--task", "single-label")
    error = mistake(BAD, *words, says=["line 4: several labels in one row, 'red', 'green'; 20 of"])
    pasted = shlex.split(error[error.index("--label-names") :].rstrip("."))
    outcome = train(data, *pasted)
    assert outcome.code == 0, outcome.stderr
    assert labels_of("out") == ["NAME", "green", "red"]


def test_records_and_ids_stand_in_tables_and_report(cli: Cli, adapter: Path) -> None:
    labels = ("negative", "positive")  # of which the same text has one as often as the other
    rows = [{"uid": f"r{n}", "text": "good", "label": labels[n % 2]} for n in range(30)]
    Path("rows.json").write_text(json.dumps(rows), encoding="utf-8")
    words = ("evaluate", adapter, "--data", "rows.json", "--output", "found")
    assert cli(*words, "--report", "page.html").code == 0
    with Path("found/wrong.csv").open(encoding="utf-8", newline="") as stream:
        wrong = list(csv.DictReader(stream))
    assert len(wrong) == 15
    assert list(wrong[0])[:3] == ["record", "id", "text"]
    assert all(row["id"] == f"r{int(row['record']) - 1}" for row in wrong)
    assert Path("found/suspects.csv").read_text("utf-8").startswith('"record","id","text"')
    page = Path("page.html").read_text("utf-8")
    assert f"<td>{wrong[0]['id']}</td>" in page
    assert "Records are those of rows.json." in page


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".txt"])
def test_predictions_for_an_array_whatever_its_name(cli: Cli, adapter: Path, suffix: str) -> None:
    Path("in" + suffix).write_text(json.dumps([{"text": "good", "n": 1}, {"text": "bad", "n": 2}]))
    words = ("infer", "--adapter", adapter, "--input", "in" + suffix, "--output", "out.jsonl")
    outcome = cli(*words)
    assert outcome.code == 0, outcome.stderr
    found = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    assert [row["text"] for row in found] == ["good", "bad"]
    assert all(row["prediction"] in ("negative", "positive") for row in found)
