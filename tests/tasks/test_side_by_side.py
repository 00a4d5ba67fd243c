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
from click.testing import CliRunner

import lora_bert
from lora_bert.cli.app import cli
from lora_bert.errors import ConfigError
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
    shutil.copytree(tagger.parent / "backbone", place.parent / "backbone")
    return place


@pytest.fixture(scope="module")
def session(adapters: Path) -> lora_bert.Session:
    return lora_bert.Session.from_directory(
        adapters, backbone=adapters.parent / "backbone", dtype="float32", batch_size=4
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


@pytest.mark.cuda
def test_a_gpu_answers_rows_of_every_task_as_it_answers_them_alone(adapters: Path) -> None:
    there = lora_bert.Session.from_directory(
        adapters, backbone=adapters.parent / "backbone", dtype="float32", device="cuda"
    )
    asked: list[tuple[str, Any]] = [
        *(("tags", text) for text in TAGGED), *(("reads", pair) for pair in QUESTIONS),
        *(("reviews", text) for text in TAGGED[::-1]), ("pairs", ("good", "bad")),
    ]  # fmt: skip
    mixed = there.predict([text for _, text in asked], adapter=[name for name, _ in asked])
    for (name, text), found in zip(asked, mixed, strict=True):
        (alone,) = there.predict([text], adapter=name)
        line = there.predictor(name).task.line
        assert line(found)[0] == line(alone)[0]
    for texts, names in ((TAGGED, ["tags", "reviews"]), (QUESTIONS, ["reads", "pairs"])):
        together = there.predict(texts, adapters=names)
        for name in names:
            line = there.predictor(name).task.line
            alone = there.predict(texts, adapter=name)
            assert [line(one)[0] for one in together[name]] == [line(one)[0] for one in alone]


@pytest.mark.cuda
def test_in_float32_a_gpu_says_what_a_cpu_says(adapters: Path, session: lora_bert.Session) -> None:
    there = lora_bert.Session.from_directory(
        adapters, backbone=adapters.parent / "backbone", dtype="float32", device="cuda"
    )
    for texts, names in ((TAGGED, ["tags", "reviews"]), (QUESTIONS, ["reads", "pairs"])):
        for name in names:
            here = session.values(texts, adapter=name)
            for ours, theirs in zip(there.values(texts, adapter=name), here, strict=True):
                check_alike(ours, theirs)


def test_all_of_them_exported_together(
    adapters: Path, session: lora_bert.Session, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    backbone, out = adapters.parent / "backbone", tmp_path / "out"
    result = lora_bert.export([adapters], out, format="onnx", backbone=backbone)
    assert isinstance(result, lora_bert.SharedExportResult)
    assert result.trunk_layers == 0  # taggers change all layers
    exported = lora_bert.Session.from_directory(out, dtype="float32", batch_size=2)
    assert exported.names == tuple(sorted(PLACES)) == tuple(sorted(result.branches))
    for texts, names in ((TAGGED, ["tags", "reviews"]), (QUESTIONS, ["reads", "pairs"])):
        found = exported.values(texts, adapters=names)
        each = exported.values(texts, adapter=[names[row % 2] for row in range(len(texts))])
        for number, name in enumerate(names):
            alone = lora_bert.load(out / name, engine="onnx").values(texts)
            for row, torch_said in enumerate(session.values(texts, adapter=name)):
                check_alike(found[name][row], torch_said)
                check_alike(alone[row], torch_said)
                if row % 2 == number:
                    check_alike(each[row], torch_said)


def infer(*words: object) -> str:
    """What ``lora-bert infer`` says, in float32."""
    call = ["infer", "--dtype", "float32", *map(str, words)]
    outcome = CliRunner().invoke(cli, call, catch_exceptions=False)
    assert outcome.exit_code == 0
    return outcome.stdout


def asking(adapters: Path, *names: str) -> list[object]:
    chosen = [word for name in names for word in ("--adapter", adapters / name)]
    return [*chosen, "--backbone", adapters.parent / "backbone"]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_tagger_beside_a_classifier(adapters: Path, tmp_path: Path) -> None:
    both = asking(adapters, "tags", "reviews")
    lines = [line.split("\t") for line in infer(*both, TAGGED[0]).splitlines()]
    assert [line[0] for line in lines] == ["tags", "reviews"]
    assert lines[0][1] == "tasty [DISH], fast [PLACE]"
    (document,) = json.loads(infer(*both, "--json", TAGGED[0]))
    assert document["text"] == TAGGED[0]
    assert document["adapters"]["tags"]["words"] == TAGGED[0].split()
    assert set(document["adapters"]["reviews"]["scores"]) == {"negative", "positive"}

    rows, written = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in TAGGED))
    infer(*both, "--input", rows, "--output", written)
    found = [json.loads(line) for line in written.read_text().splitlines()]
    assert [row["tags_words"] for row in found] == [text.split() for text in TAGGED]
    assert [row["tags_prediction"] for row in found][1] == []
    assert all(row["reviews_prediction"] in ("negative", "positive") for row in found)


def by_characters(tagger: Path, place: Path) -> None:
    """A copy of a tagger for which every character is a word."""
    shutil.copytree(tagger, place)
    manifest = json.loads((place / "lora_bert.json").read_text())
    manifest["settings"]["words"] = "characters"
    (place / "lora_bert.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("order", [("tags", "letters", "reviews"), ("reviews", "letters", "tags")])
def test_a_list_of_words_is_read_by_each_as_alone(
    order: tuple[str, ...], adapters: Path, tagger: Path, tmp_path: Path
) -> None:
    places = {name: adapters / name for name in order}
    places["letters"] = tmp_path / "letters"
    by_characters(tagger, places["letters"])
    rows = tmp_path / "in.jsonl"
    words = ["good", "tasty", "zoo"]
    rows.write_text(json.dumps({"text": words, "who": order[0]}) + "\n")
    backbone = ["--backbone", adapters.parent / "backbone"]
    chosen = [word for name in order for word in ("--adapter", places[name])]
    (together,) = rows_of(infer(*chosen, *backbone, "--input", rows))
    assert json.loads(together["tags_words"]) == words
    for name in order:
        alone = ["--adapter", places[name], *backbone, "--input", rows]
        (row,) = rows_of(infer(*alone))
        del row["text"], row["who"]
        for column, said in row.items():
            assert together[f"{name}_{column}"][:6] == said[:6]
    (by_row,) = rows_of(infer(*chosen, *backbone, "--adapter-column", "who", "--input", rows))
    assert by_row["prediction"] == together[f"{order[0]}_prediction"]


def test_a_column_names_adapters_of_different_tasks(adapters: Path, tmp_path: Path) -> None:
    texts = [("tags", TAGGED[0]), ("reviews", "bad"), ("tags", "slow")]
    place = tmp_path / "in.csv"
    place.write_text("which,text\n" + "".join(f"{name},{text}\n" for name, text in texts))
    some = asking(adapters, "tags", "reviews")
    rows = rows_of(infer(*some, "--adapter-column", "which", "--input", place))
    entities = [(each["text"], each["label"]) for each in json.loads(rows[0]["prediction"])]
    assert entities == [("tasty", "DISH"), ("fast", "PLACE")]
    assert rows[1]["prediction"] in ("negative", "positive")
    assert [bool(row["score"]) for row in rows] == [False, True, False]
    with pytest.raises(ConfigError, match="'tags' is asked single texts, 'reads' pairs of texts"):
        infer(*some, "--adapter", adapters / "reads", "good")


def test_questions_beside_pairs(adapters: Path, tmp_path: Path) -> None:
    both = asking(adapters, "reads", "pairs")
    question, context = QUESTIONS[1]
    said = infer(*both, "--json", "--question", question, "--context", context)
    (document,) = json.loads(said)
    assert document["text_pair"] == context
    answer = document["adapters"]["reads"]
    assert context[answer["start"] : answer["end"]] == answer["answer"]

    rows = [{"question": question, "context": context} for question, context in QUESTIONS]
    place = tmp_path / "in.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = rows_of(infer(*both, "--input", place))
    assert found[1]["reads_answer"] == answer["answer"]
    assert {"reads_start", "pairs_prediction"} < set(found[0])

    names = ["reads", "pairs", "reads"]
    lines = (json.dumps(row | {"who": who}) for row, who in zip(rows, names, strict=True))
    place.write_text("\n".join(lines))
    each = rows_of(infer(*both, "--adapter-column", "who", "--input", place))
    assert [row["prediction"] for row in each] == [
        found[0]["reads_answer"], found[1]["pairs_prediction"], found[2]["reads_answer"]
    ]  # fmt: skip
