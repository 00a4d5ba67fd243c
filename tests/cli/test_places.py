"""Data sets as people have them, from training to predicting, by the command line."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

import lora_bert
from tests.cli.conftest import Cli, Mistake
from tests.conftest import real

BAD, OUTPUT = 65, 73


def rows_of(reviews: Path) -> list[dict[str, str]]:
    with reviews.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def train(cli: Cli, tiny_backbone: Path) -> Cli:
    return lambda *words: cli("train", "--backbone", tiny_backbone, "--epochs", 1, *words)


@pytest.fixture
def hub(reviews: Path, here: Path) -> Path:
    """``hub/data`` with two shards for training and a test part."""
    rows = rows_of(reviews)
    place = here / "hub" / "data"
    place.mkdir(parents=True)
    parts = {"train-00000-of-00002": rows[:25], "train-00001-of-00002": rows[25:50],
             "test-00000-of-00001": rows[50:]}  # fmt: skip
    for name, found in parts.items():
        parquet.write_table(pa.Table.from_pylist(found), place / f"{name}.parquet")
    return place.parent


def test_shards_from_training_to_predicting(train: Cli, cli: Cli, hub: Path) -> None:
    outcome = train("--data", "hub")
    assert outcome.code == 0, outcome.stderr
    metrics = json.loads(Path("runs/hub/lora_bert.json").read_text())["metrics"]
    assert {part: found["rows"] for part, found in metrics.items()} == {
        "validation": 10,
        "test": 10,
    }
    own = cli("evaluate", "runs/hub", "--json")
    assert {key: own.document[key] for key in metrics["test"]} == metrics["test"]
    assert cli("evaluate", "runs/hub", "--data", "hub", "--json").document["rows"] == 10
    done = cli("infer", "--adapter", "runs/hub", "--input", "hub", "--output", "out.parquet")
    assert done.code == 0
    assert len(parquet.read_table("out.parquet")) == 10
    cli("evaluate", "runs/hub", "--part", "train", "--output", "judged")
    with Path("judged/wrong.csv").open(encoding="utf-8") as stream:
        assert all(row["row"].startswith("train-0000") for row in csv.DictReader(stream))


def test_several_training_files_and_patterns(train: Cli, cli: Cli, hub: Path) -> None:
    words = ("--train", "hub/data/train-00000*", "--train", "hub/data/train-00001-of-00002.parquet")
    assert train(*words, "--test", "hub/data/test*", "--output", "out").code == 0
    assert cli("evaluate", "out", "--json").document["rows"] == 10
    run = Path("out/run.yaml").read_text(encoding="utf-8")
    assert "- hub/data/train-00000*" in run


def test_paths_of_this_machine_are_not_kept(train: Cli, hub: Path) -> None:
    shards = sorted((hub / "data").glob("train*"))
    train("--train", shards[0], "--train", shards[1], "--output", "out")
    run = Path("out/run.yaml").read_text(encoding="utf-8")
    assert str(hub) not in run
    assert f"- {shards[1].name}" in run


def test_one_file_may_be_named_as_ever_in_python_and_yaml(
    tiny_backbone: Path, reviews: Path, cli: Cli
) -> None:
    result = lora_bert.train(
        train=str(reviews), backbone=str(tiny_backbone), epochs=1, output="out"
    )
    assert result.path == Path("out")
    Path("again.yaml").write_text(f"train: {reviews}\n", encoding="utf-8")
    words = ("--backbone", tiny_backbone, "--epochs", 1, "--output", "again")
    assert cli("train", "--config", "again.yaml", *words).code == 0


def test_the_test_part_of_a_competition(
    train: Cli, cli: Cli, mistake: Mistake, reviews: Path
) -> None:
    rows = rows_of(reviews)
    Path("set").mkdir()
    shutil.copy(reviews, "set/train.csv")
    lines = ["id,review", *(f"{n},{row['review']}" for n, row in enumerate(rows[:5]))]
    Path("set/test.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Path("set/sample_submission.csv").write_text("id,label\n0,positive\n", encoding="utf-8")
    outcome = train("--data", "set")
    assert outcome.code == 0
    assert (
        "warning: The test part is left out: 'set/test.csv' has no label column." in outcome.stderr
    )
    assert cli("evaluate", "runs/set", "--json").document["rows"] == 12
    done = cli("infer", "--adapter", "runs/set", "--input", "set", "--output", "answers.csv")
    assert "Using the test rows of 'set': 'set/test.csv'." in done.stderr
    with Path("answers.csv").open(encoding="utf-8") as stream:
        assert [row["id"] for row in csv.DictReader(stream)] == list("01234")
    words = ("evaluate", "runs/set", "--data", "set", "--part", "test")
    mistake(BAD, *words, says=["The test rows cannot be judged", "infer"])


def test_a_folder_of_texts_for_each_class(train: Cli, cli: Cli, reviews: Path) -> None:
    for at, row in enumerate(rows_of(reviews)):
        part = "test" if at >= 50 else "train"
        place = Path("imdb", part, row["label"])
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{at}.txt").write_text(row["review"], encoding="utf-8")
    assert train("--data", "imdb").code == 0
    assert cli("evaluate", "runs/imdb", "--json").document["rows"] == 10
    done = cli("infer", "--adapter", "runs/imdb", "--input", "imdb/test", "--output", "out.jsonl")
    assert done.code == 0
    found = [
        json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert found[0]["file"] == "negative/50.txt"
    single = cli("infer", "--adapter", "runs/imdb", "--input", "imdb/test/negative")
    assert single.stdout.splitlines()[0].startswith("file,text,prediction")


def test_packed_files_keep_their_types(cli: Cli, adapter: Path) -> None:
    lines = "".join(f'{{"review": "good {n}", "stars": {n}}}\n' for n in range(3))
    Path("new.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    done = cli("infer", "--adapter", adapter, "--input", "new.jsonl.gz", "--output", "out.jsonl")
    assert done.code == 0, done.stderr
    found = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["stars"] for row in found] == [0, 1, 2]


def test_shards_of_other_types_in_one_parquet_file(
    cli: Cli, mistake: Mistake, adapter: Path
) -> None:
    Path("set").mkdir()
    parquet.write_table(pa.table({"review": ["a"], "n": [1]}), "set/test-0.parquet")
    parquet.write_table(pa.table({"n": [2.0], "review": ["b"]}), "set/test-1.parquet")
    words = ("infer", "--adapter", adapter, "--input", "set", "--output")
    assert cli(*words, "out.parquet").code == 0
    assert parquet.read_table("out.parquet").column("n").to_pylist() == [1, 2]
    parquet.write_table(pa.table({"n": ["x"], "review": ["b"]}), "set/test-1.parquet")
    mistake(BAD, *words, "other.parquet", says=["of different types"])
    assert cli(*words, "out.csv").code == 0


def test_no_output_overwrites_an_input(
    mistake: Mistake, tiny_backbone: Path, adapter: Path, hub: Path
) -> None:
    Path("hub/lora_bert.json").write_text("{}", encoding="utf-8")  # an adapter may be replaced
    words = ("train", "--backbone", tiny_backbone, "--overwrite", "--output", "hub")
    for given in (("--data", "hub/data/train*"), ("--train", "hub/data/train*")):
        mistake(OUTPUT, *words, *given, says=["is or holds 'hub/data/train-00000"])
    file = "hub/data/test-00000-of-00001.parquet"
    words = ("infer", "--adapter", adapter, "--input", "hub", "--overwrite", "--output", file)
    mistake(OUTPUT, *words, says=["is the input"])


def test_a_pattern_that_the_shell_has_filled_in(cli: Cli, hub: Path) -> None:
    outcome = cli("train", "--data", *sorted(Path("hub/data").glob("train*")))
    assert outcome.code == 2
    assert "Put quotes around texts and patterns" in outcome.error


def test_the_reports_that_people_wrote(train: Cli, cli: Cli) -> None:
    found = real("LORA_BERT_FIELD_REPORTS", "field_reports")
    for name in ("hub_repo_shards", "kaggle_test_unlabelled", "glue_test_minus_one",
                 "folder_per_class", "zipped.csv.gz"):  # fmt: skip
        here = Path(name)
        if (found / name).is_dir():
            shutil.copytree(found / name, here)
        else:
            shutil.copy(found / name, here)
        run = f"runs/{name.split('.')[0]}"
        outcome = train("--data", name)
        assert outcome.code == 0, outcome.stderr
        assert cli("evaluate", run, "--json").code == 0
        assert cli("infer", "--adapter", run, "--input", name).code == 0
