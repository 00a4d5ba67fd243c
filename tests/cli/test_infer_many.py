"""``infer`` with several adapters: each answers every text, or the rows that name it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

import lora_bert
from tests.cli.conftest import Cli, Mistake
from tests.inference.test_session import with_other_weights

TEXTS = ["good", "bad, slow", "很好吃", "tasty fine"]


@pytest.fixture(scope="module")
def adapters(adapter, pair_adapter, tiny_backbone, tmp_path_factory) -> Path:
    """``reviews`` and ``other`` of two labels, ``topics`` of three, ``stars`` of numbers."""
    place = tmp_path_factory.mktemp("adapters")
    with_other_weights(adapter, place / "reviews", 1)
    with_other_weights(adapter, place / "other", 2)
    for name, labels, task in (("topics", "abc", "auto"), ("stars", "135", "regression")):
        rows = [(f"{word} {n}", label) for n in range(6)
                for word, label in zip(("hot", "cold", "late"), labels, strict=True)]  # fmt: skip
        lora_bert.train(
            rows, backbone=str(tiny_backbone), output=place / name, epochs=1, task=task,
            head_start="random", dtype="float32", layers="top:1", learning_rate=0.05,
        )  # fmt: skip
    return place


def alone(place: Path, texts: list[str]) -> np.ndarray:
    return lora_bert.load(place, dtype="float32").values(texts)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def options(adapters: Path, *names: str) -> list[object]:
    chosen = [word for name in names for word in ("--adapter", adapters / name)]
    return ["infer", *chosen, "--dtype", "float32"]


def test_each_text_is_answered_by_each(cli: Cli, adapters: Path) -> None:
    found = cli(*options(adapters, "reviews", "stars"), *TEXTS)
    lines = [line.split("\t") for line in found.stdout.splitlines()]
    wanted = alone(adapters / "stars", TEXTS)[:, 0]
    assert [line[0] for line in lines] == ["reviews", "stars"] * 4
    assert [line[-1] for line in lines] == [text for text in TEXTS for _ in range(2)]
    assert [len(line) for line in lines] == [4, 3] * 4
    for line, value in zip(lines[1::2], wanted, strict=True):
        assert float(line[1]) == pytest.approx(value, abs=1e-3)
    document = cli(*options(adapters, "reviews", "topics"), "--json", *TEXTS).document
    assert [each["text"] for each in document] == TEXTS
    for each, values in zip(document, alone(adapters / "topics", TEXTS), strict=True):
        assert list(each["adapters"]) == ["reviews", "topics"]
        scores = each["adapters"]["topics"]["scores"]
        np.testing.assert_allclose(list(scores.values()), values, atol=1e-5)


def test_columns_have_the_names_of_adapters(cli: Cli, adapters: Path, here: Path) -> None:
    lines = [json.dumps({"text": text, "n": n}) for n, text in enumerate(TEXTS)]
    (here / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = cli(*options(adapters, "reviews", "topics"), "--input", "in.jsonl")
    rows = rows_of(found.stdout)
    assert list(rows[0]) == [
        "text", "n", "reviews_prediction", "reviews_score", "reviews_prob_negative",
        "reviews_prob_positive", "topics_prediction", "topics_score", "topics_prob_a",
        "topics_prob_b", "topics_prob_c",
    ]  # fmt: skip
    for name, labels in (("reviews", ["negative", "positive"]), ("topics", ["a", "b", "c"])):
        for row, values in zip(rows, alone(adapters / name, TEXTS), strict=True):
            ours = [float(row[f"{name}_prob_{label}"]) for label in labels]
            np.testing.assert_allclose(ours, values, atol=1e-5)
            assert row[f"{name}_prediction"] == labels[values.argmax()]
    done = cli(
        *options(adapters, "reviews", "topics"), "--input", "in.jsonl", "--output", "o.jsonl"
    )
    assert "4 rows in o.jsonl" in done.stdout
    written = [json.loads(line) for line in (here / "o.jsonl").read_text().splitlines()]
    assert [row["n"] for row in written] == [0, 1, 2, 3]
    assert [row["topics_prediction"] for row in written] == [r["topics_prediction"] for r in rows]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_column_names_the_adapter(cli: Cli, adapters: Path, here: Path, suffix: str) -> None:
    names = ["stars", "reviews", "topics", "stars"]
    lines = ["which,text", *(f'{name},"{text}"' for name, text in zip(names, TEXTS, strict=True))]
    (here / "in.csv").write_text("\n".join(lines), encoding="utf-8")
    place = f"out.{suffix}"
    done = cli("infer", "--adapter", adapters, "--adapter-column", "which", "--dtype", "float32",
               "--input", "in.csv", "--output", place)  # fmt: skip
    assert done.code == 0, done.stderr
    if suffix == "parquet":
        rows = parquet.read_table(here / place).to_pylist()
    elif suffix == "csv":
        rows = rows_of((here / place).read_text(encoding="utf-8"))
    else:
        rows = [json.loads(line) for line in (here / place).read_text().splitlines()]
    assert list(rows[0]) == ["which", "text", "prediction", "score"]
    for row, name, text in zip(rows, names, TEXTS, strict=True):
        (values,) = alone(adapters / name, [text])
        if name == "stars":
            assert float(row["prediction"]) == pytest.approx(values[0], abs=1e-3)
            assert row["score"] in ("", None)
        else:
            assert float(row["score"]) == pytest.approx(values.max(), abs=1e-4)
            labels = lora_bert.load(adapters / name).labels
            assert row["prediction"] == labels[values.argmax()]


def test_what_is_refused(mistake: Mistake, adapters: Path, pair_adapter: Path, here: Path,
                         merged: Path) -> None:  # fmt: skip
    (here / "in.csv").write_text("which,text\nreviews,good\nrewievs,bad\n")
    two = options(adapters, "reviews", "topics")
    mistake(65, *two, "--adapter-column", "which", "--input", "in.csv",
            says=["line 3", "'rewievs'", "Did you mean 'reviews'?"])  # fmt: skip
    mistake(65, *two, "--adapter-column", "witch", "--input", "in.csv",
            says=["no column 'witch'", "Did you mean 'which'?"])  # fmt: skip
    mistake(2, *two, "--adapter-column", "which", "good", says=["--input"])
    mistake(2, *two, "--adapter", pair_adapter, "good", says=["single texts", "pairs of texts"])
    mistake(2, *two, "--labels", "a,b", "good", says=["--labels"])
    mistake(2, *two, "--engine", "onnx", "good", says=["--engine"])
    mistake(2, *options(adapters, "topics"), "--adapter", merged, "good", says=["merged model"])
    mistake(2, "infer", "--model", merged, "--adapter-column", "which", "--input", "in.csv",
            says=["--adapter-column"])  # fmt: skip
    mistake(2, *options(adapters, "topics", "stars"), "--min-score", "0.5", "good",
            says=["Adapter 'stars'"])  # fmt: skip
    mistake(2, *two, "--on", "ray", "--input", "in.csv", "--output", "o.csv", says=["one adapter"])
    namesake = with_other_weights(adapters / "topics", here / "elsewhere" / "topics", 3)
    mistake(2, *two, "--adapter", adapters / "x" / ".." / "topics", "good", says=["named twice"])
    mistake(2, *two, "--adapter", namesake, "good", says=["both called 'topics'"])
