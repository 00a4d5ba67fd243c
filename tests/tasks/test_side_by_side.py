"""Adapters of different tasks answer side by side, each as it does alone."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lora_bert
from tests.cli.conftest import Cli, Mistake
from tests.tasks.answers import LONG

TAGGED = ["good tasty awful fast", "", "good cold hot awful late zoo", "good fine"]
QUESTIONS = [("good", "good hot awful fast."), ("good", LONG + "good tasty awful late."),
             ("good", "good fine awful slow.")]  # fmt: skip
PLACES = ["tags", "reads", "reviews", "pairs"]


@pytest.fixture(scope="module")
def adapters(tagger: Path, reader: Path, adapter: Path, pair_adapter: Path, tmp_path_factory: Any
             ) -> Path:  # fmt: skip
    """A directory of a tagger, one that finds answers, a classifier of texts and one of pairs."""
    place: Path = tmp_path_factory.mktemp("side") / "adapters"
    for name, made in zip(PLACES, (tagger, reader, adapter, pair_adapter), strict=True):
        shutil.copytree(made, place / name)
    return place


@pytest.fixture(scope="module")
def session(adapters: Path, tagger: Path) -> lora_bert.Session:
    return lora_bert.Session.from_directory(
        adapters, backbone=tagger.parent / "backbone", dtype="float32", batch_size=4
    )


def check_alike(ours: Any, alone: Any) -> None:
    """Both are the values of one row, of whichever task."""
    if isinstance(ours, np.ndarray):
        np.testing.assert_allclose(ours, alone, atol=1e-5)
        return
    assert ours.text == alone.text
    np.testing.assert_array_equal(ours.spans, alone.spans)
    for name in ("probabilities", "logits", "null"):
        mine = getattr(ours, name, None)
        if isinstance(mine, np.ndarray):
            np.testing.assert_allclose(mine, getattr(alone, name), atol=1e-4)


def test_rows_of_every_task_in_one_batch(session: lora_bert.Session) -> None:
    asked: list[tuple[str, Any]] = [
        *(("tags", text) for text in TAGGED), *(("reads", pair) for pair in QUESTIONS),
        *(("reviews", text) for text in TAGGED[::-1]), ("pairs", ("good", "bad")),
    ]  # fmt: skip
    order = np.random.default_rng(0).permutation(len(asked)).tolist()
    names = [asked[at][0] for at in order]
    texts = [asked[at][1] for at in order]
    values = session.values(texts, adapter=names)
    said = session.predict(texts, adapter=names)
    for name, text, found, answer in zip(names, texts, values, said, strict=True):
        (alone,) = session.values([text], adapter=name)
        check_alike(found, alone)
        (expected,) = session.predict([text], adapter=name)
        line = session.predictor(name).task.line
        assert line(answer)[0] == line(expected)[0]


def test_one_text_by_adapters_of_different_tasks(session: lora_bert.Session) -> None:
    for texts, names in ((TAGGED, ["tags", "reviews"]), (QUESTIONS, ["reads", "pairs"])):
        found = session.values(texts, adapters=names)
        for name in names:
            for ours, alone in zip(found[name], session.values(texts, adapter=name), strict=True):
                check_alike(ours, alone)
        assert [len(each) for each in session.predict([], adapters=names).values()] == [0, 0]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_tagger_beside_a_classifier(cli: Cli, adapters: Path, tagger: Path, here: Path) -> None:
    both = ["infer", "--adapter", adapters / "tags", "--adapter", adapters / "reviews",
            "--backbone", tagger.parent / "backbone", "--dtype", "float32"]  # fmt: skip
    lines = [line.split("\t") for line in cli(*both, TAGGED[0]).stdout.splitlines()]
    assert [line[0] for line in lines] == ["tags", "reviews"]
    assert lines[0][1] == "tasty [DISH], fast [PLACE]"
    (document,) = cli(*both, "--json", TAGGED[0]).document
    assert document["text"] == TAGGED[0]
    assert document["adapters"]["tags"]["words"] == TAGGED[0].split()
    assert set(document["adapters"]["reviews"]["scores"]) == {"negative", "positive"}

    rows = [{"text": text} for text in TAGGED]
    (here / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cli(*both, "--input", "in.jsonl", "--output", "out.jsonl")
    assert done.code == 0, done.stderr
    written = [json.loads(line) for line in (here / "out.jsonl").read_text().splitlines()]
    assert [row["tags_words"] for row in written] == [text.split() for text in TAGGED]
    assert [row["tags_prediction"] for row in written][1] == []
    assert all(row["reviews_prediction"] in ("negative", "positive") for row in written)

    # Words that the file gives are the ones that are tagged, and what the classifier reads.
    (here / "words.jsonl").write_text(json.dumps({"tokens": ["good", "tasty", "zoo"]}) + "\n")
    (row,) = rows_of(cli(*both, "--input", "words.jsonl", "--text-column", "tokens").stdout)
    assert json.loads(row["tags_words"]) == ["good", "tasty", "zoo"]
    (alone,) = lora_bert.load(adapters / "reviews", dtype="float32").values(["good tasty zoo"])
    assert float(row["reviews_score"]) == pytest.approx(alone.max(), abs=1e-4)


def test_a_column_names_adapters_of_different_tasks(
    cli: Cli, mistake: Mistake, adapters: Path, tagger: Path, here: Path
) -> None:
    texts = [("tags", TAGGED[0]), ("reviews", "bad"), ("tags", "slow")]
    (here / "in.csv").write_text("which,text\n" + "".join(f"{a},{b}\n" for a, b in texts))
    some = ["--adapter", adapters / "tags", "--adapter", adapters / "reviews", "--dtype", "float32",
            "--backbone", tagger.parent / "backbone"]  # fmt: skip
    found = cli("infer", *some, "--adapter-column", "which", "--input", "in.csv")
    rows = rows_of(found.stdout)
    entities = json.loads(rows[0]["prediction"])
    assert [(each["text"], each["label"]) for each in entities] == [
        ("tasty", "DISH"), ("fast", "PLACE")
    ]  # fmt: skip
    assert rows[1]["prediction"] in ("negative", "positive")
    assert [bool(row["score"]) for row in rows] == [False, True, False]
    mistake(2, "infer", "--adapter", adapters / "reads", *some, "good",
            says=["'reads' is asked pairs of texts"])  # fmt: skip


def test_questions_beside_pairs(cli: Cli, adapters: Path, tagger: Path, here: Path) -> None:
    both = ["infer", "--adapter", adapters / "reads", "--adapter", adapters / "pairs",
            "--backbone", tagger.parent / "backbone", "--dtype", "float32"]  # fmt: skip
    question, context = QUESTIONS[1]
    (document,) = cli(*both, "--json", "--question", question, "--context", context).document
    assert document["text_pair"] == context
    answer = document["adapters"]["reads"]
    assert context[answer["start"] : answer["end"]] == answer["answer"]
    rows = [{"question": question, "context": context} for question, context in QUESTIONS]
    (here / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = rows_of(cli(*both, "--input", "in.jsonl").stdout)
    assert [row["reads_answer"] for row in found][1] == answer["answer"]
    assert {"reads_start", "pairs_prediction"} < set(found[0])
    (here / "which.jsonl").write_text("".join(
        json.dumps(row | {"who": who}) + "\n"
        for row, who in zip(rows, ["reads", "pairs", "reads"], strict=True)
    ))  # fmt: skip
    found = rows_of(cli(*both, "--adapter-column", "who", "--input", "which.jsonl").stdout)
    alone = lora_bert.load(adapters / "reads", backbone=tagger.parent / "backbone", dtype="float32")
    assert found[0]["prediction"] == alone.predict(QUESTIONS[:1])[0].answer
    assert (
        found[1]["prediction"]
        in lora_bert.load(adapters / "pairs", backbone=tagger.parent / "backbone").labels
    )
