"""Answering questions, the whole way: training, figures, answers, files, what is wrong."""

from __future__ import annotations

import csv
import json
import math
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import lora_bert
from lora_bert.cli.app import cli, run
from lora_bert.errors import AdapterError, ConfigError, DataError, InputTypeError, TextError
from lora_bert.evaluation.evaluate import evaluate
from lora_bert.inference.stream import predict_file
from lora_bert.tasks.answer_spans import AnswerValues, answer_of
from lora_bert.tasks.answer_targets import UNKNOWN, Column, gold_answers, of_rows, window_targets
from lora_bert.tasks.nearest_sentence import nearest_sentences
from lora_bert.tasks.question_answering import QuestionAnswering
from tests.tasks.answers import LONG, rows, write_rows

CONTEXT = "good tasty cold awful late."
NONE = "good fine awful late."


def test_what_is_learned_is_answered(reader, foods):
    evaluation = evaluate(reader, foods / "test.jsonl", baseline=True)
    scores = evaluation.scores
    assert scores.rows == 16
    assert scores.f1 > 0.8
    assert scores.has_answer_f1 > 0.75
    assert scores.no_answer_f1 > 0.9
    document = evaluation.as_dict()
    names = ("f1", "exact", "best_f1", "has_answer_f1", "no_answer_f1")
    assert all(0 <= document[name] <= 1 for name in names)
    assert document["best_f1"] >= document["f1"]
    assert document["metric"] == "f1"
    low, high = document["f1_interval"]
    assert low <= document["f1"] <= high
    assert "shares most words" in document["baseline"]["description"]
    assert document["baseline"]["f1"] < document["f1"]
    assert "F1 of unanswerable questions" in evaluation.text()
    answer, none, long = lora_bert.load(reader).predict(
        [("good", CONTEXT), ("good", NONE), ("good", LONG + CONTEXT)]
    )
    assert (answer.answer, answer.start, answer.end) == ("tasty cold", 5, 15)
    assert 0 < answer.score <= 1
    assert (none.answer, none.start, none.end) == ("", -1, -1)
    assert long.start >= len(LONG) + 5
    assert long.answer == (LONG + CONTEXT)[long.start : long.end] != ""
    assert repr(answer).startswith("Answer('tasty cold', 0.")


def test_many_questions_are_answered_as_one(reader):
    predictor = lora_bert.load(reader, dtype="float32")
    pairs = [(row["question"], row["context"]) for row in rows(90)]
    alone = [predictor.predict([pair])[0] for pair in pairs]
    for one, many in zip(alone, predictor.predict(pairs), strict=True):
        assert (one.answer, one.start, one.end) == (many.answer, many.start, many.end)
        assert one.score == pytest.approx(many.score, abs=1e-4)
    assert predictor.predict([]) == []
    assert predictor.predict([("good", "")])[0].answer == ""
    with pytest.raises(InputTypeError, match="pairs of texts"):
        predictor.predict(["good"])
    with pytest.raises(TextError, match="leaves no room for its context"):
        predictor.predict([("good " * 200, CONTEXT)])
    with pytest.raises(ConfigError, match="for labels, which 'question_answering' has not"):
        predictor.predict(pairs, min_score=0.5)


def test_files(reader, foods, tmp_path):
    predictor = lora_bert.load(reader)
    predict_file(predictor, foods / "test.jsonl", tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    for row in map(json.loads, lines):
        assert row["answer"] == (row["context"][row["start"] : row["end"]] if row["answer"] else "")
    # Other names than the training's, and an answer beside them.
    table = f"query,passage,answer\ngood,{CONTEXT},x\n"
    (tmp_path / "b.csv").write_text(table, encoding="utf-8")
    predict_file(predictor, tmp_path / "b.csv", tmp_path / "c.csv")
    with (tmp_path / "c.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["answer_2"], row["start"], row["end"]) == ("tasty cold", "5", "15")
    document = {"data": [{"paragraphs": [{"context": CONTEXT, "qas": [{"question": "good"}]}]}]}
    (tmp_path / "d.json").write_text(json.dumps(document), encoding="utf-8")
    predict_file(predictor, tmp_path / "d.json", tmp_path / "e.jsonl")
    assert json.loads((tmp_path / "e.jsonl").read_text())["answer"] == "tasty cold"


def test_the_command_line(reader, foods, tmp_path):
    def call(*words: object) -> str:
        outcome = CliRunner().invoke(cli, [*map(str, words)])
        assert outcome.exit_code == 0, outcome.output
        return outcome.stdout

    asked = ("infer", "--adapter", reader, "--question", "good", "--context", CONTEXT)
    answer, score, question, context = call(*asked).rstrip("\n").split("\t")
    assert (answer, question, context) == ("tasty cold", "good", CONTEXT)
    assert 0 < float(score) <= 1
    (document,) = json.loads(call(*asked, "--json"))
    assert (document["question"], document["context"]) == ("good", CONTEXT)
    assert (document["answer"], document["start"], document["end"]) == ("tasty cold", 5, 15)
    assert {"answer", "start", "end", "score"} == set(document["alternatives"][0])
    assert call("infer", "--adapter", reader, "good", "--pair", NONE).startswith("-\t")
    info = call("info", reader)
    assert "question-answering" in info
    assert "exact match" in info
    assert "scores of answers for " in call("verify", reader)
    report = tmp_path / "report.html"
    test = foods / "test.jsonl"
    words = ("evaluate", reader, "--data", test, "--json", "--report", report)
    figures = json.loads(call(*words, "--answer-units", "characters"))
    assert figures["exact"] <= 1
    page = report.read_text(encoding="utf-8")
    assert "tasty" in page
    assert "<small>answer</small>" in page
    card = (reader / "README.md").read_text(encoding="utf-8")
    assert "AutoModelForQuestionAnswering" in card
    assert "read in windows of so many, which share 8" in card
    assert '--question "…" --context "…"' in card


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--question", "a"], "--question and --context go together"),
        (["a"], "finds answers in a text, and none is given"),
        (["a", "--question", "a", "--context", "b"], "stand alone"),
        (["--question", "a", "--context", "b", "--context", "c"], "do not fit"),
    ],
)
def test_what_is_wrong_on_the_command_line(reader, words, says, capsys):
    assert run(["infer", "--adapter", str(reader), *words]) == ConfigError.exit_code
    assert says in capsys.readouterr().err


def test_two_models_are_compared(reader, foods, tmp_path):
    lora_bert.train(
        foods, backbone=reader.parent / "backbone", output=tmp_path / "b", epochs=1,
        method="head-only", head_start="random", learning_rate=1e-6,
    )  # fmt: skip
    found = evaluate(reader, foods / "test.jsonl", against=str(tmp_path / "b")).against
    assert found is not None
    assert [figure.name for figure in found.figures] == ["f1", "exact"]
    assert found["f1"].difference > 0


def test_a_training_goes_on_to_the_same_bits(reader, foods, tmp_path, monkeypatch):
    options = {"backbone": reader.parent / "backbone", "epochs": 2, "batch_size": 8}
    whole = lora_bert.train(foods, output=tmp_path / "whole", **options)
    assert whole.evaluations["test"].scores.rows == 16
    loss, calls = QuestionAnswering.loss, []

    def stopping(task, outputs, targets):
        calls.extend([0] * outputs.requires_grad)  # validation rows are no steps
        if len(calls) == 9 and outputs.requires_grad:
            raise KeyboardInterrupt
        return loss(task, outputs, targets)

    with monkeypatch.context() as patch:
        patch.setattr(QuestionAnswering, "loss", stopping)
        part = lora_bert.train(foods, output=tmp_path / "part", **options)
    assert part.interrupted
    lora_bert.train(foods, output=tmp_path / "part", resume=True, overwrite=True, **options)
    ours, theirs = (
        (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "part")
    )
    assert ours == theirs


def test_questions_that_all_have_answers(reader, tmp_path, capsys):
    write_rows(tmp_path / "a.jsonl", rows(30, unanswerable=False))
    result = lora_bert.train(
        tmp_path / "a.jsonl", backbone=reader.parent / "backbone", output=tmp_path / "a", epochs=1,
        watch=["good"], watch_pair=[CONTEXT],
    )  # fmt: skip
    assert result.watched[0].after.answer
    scores = result.evaluations["validation"].scores
    assert scores.no_answer_f1 is None
    assert "no_answer_f1" not in result.as_dict()["validation"]
    task = lora_bert.load(tmp_path / "a").task
    assert task.null_threshold is None
    assert (task.stride, task.max_answer_length, task.units) == (128, 64, "words")
    assert all(each.answer for each in lora_bert.load(tmp_path / "a").predict([("good", NONE)]))


def test_what_is_wrong_is_a_sentence(reader, foods, reviews, tmp_path):
    options = {"backbone": reader.parent / "backbone", "output": tmp_path / "a"}
    with pytest.raises(ConfigError, match="doc_stride=127: a window of 130 tokens has room for"):
        lora_bert.train(foods, doc_stride=127, **options)
    with pytest.raises(ConfigError, match="positions for 130 tokens"):
        lora_bert.train(foods, max_length=384, **options)
    with pytest.raises(ConfigError, match="overflow='cut': the answer to a question may stand"):
        lora_bert.train(foods, overflow="cut", **options)
    with pytest.raises(ConfigError, match="the head of a 'question-answering' reads every token"):
        lora_bert.train(foods, pooling="mean", **options)
    with pytest.raises(DataError, match="is called like a question"):
        lora_bert.train(reviews, task="question-answering", **options)
    with pytest.raises(ConfigError, match="class_weights is for classes; answers have none"):
        lora_bert.train(foods, class_weights="balanced", **options)
    with pytest.raises(ConfigError, match="are for labels; answers are none"):
        lora_bert.train(foods, label_names={"a": "b"}, **options)
    write_rows(tmp_path / "none.jsonl", [row for row in rows(40) if not row["answers"]["text"]])
    with pytest.raises(DataError, match="has no question with an answer"):
        lora_bert.train(tmp_path / "none.jsonl", **options)
    long = rows(8)
    long[2]["question"] = "good " * 200
    write_rows(tmp_path / "long.jsonl", long)
    with pytest.raises(DataError, match="line 3: the question 'good good"):
        lora_bert.train(
            foods / "train.jsonl", validation=tmp_path / "long.jsonl", **options
        )  # fmt: skip
    shutil.copytree(reader, tmp_path / "damaged")
    path = tmp_path / "damaged" / "lora_bert.json"
    path.write_text(path.read_text().replace('"stride": 8', '"stride": 0'))
    with pytest.raises(AdapterError, match="'settings' are none of"):
        lora_bert.load(tmp_path / "damaged")


def values(text: str, logits: dict[str, tuple[float, float]], null: float) -> AnswerValues:
    """Values of a context whose words are its tokens."""
    spans, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        spans.append((at, at + len(word)))
    scores = [logits.get(text[start:end], (-9.0, -9.0)) for start, end in spans]
    return AnswerValues(
        text, np.array(spans), np.array(scores, np.float32), (len(spans),),
        np.array([[null / 2, null / 2]], np.float32),
    )  # fmt: skip


def test_the_best_span_is_legal_and_short_enough():
    said = values("a b c d", {"a": (0, 5), "b": (4, 0), "d": (0, 6)}, null=9)
    assert answer_of(said, 64, None).answer == "b c d"
    assert answer_of(said, 2, None).answer == "c d" or answer_of(said, 2, None).end == 7
    assert answer_of(said, 1, None).answer == "d"
    best = said.best(4)
    brute = max(
        (float(said.logits[i, 0] + said.logits[j, 1]), i, j) for i in range(4) for j in range(i, 4)
    )
    assert best[0].score == pytest.approx(brute[0])
    assert said.apart_from_none(4) == pytest.approx(9 - brute[0])
    assert answer_of(said, 4, -2.0).answer == ""
    assert answer_of(said, 4, 2.0).answer == "b c d"
    none = answer_of(said, 4, -2.0)
    assert none.score + sum(each.score for each in none.alternatives) <= 1
    assert none.alternatives[0].answer == "b c d"


def test_targets_say_where_answers_stand(reader):
    predictor = lora_bert.load(reader)
    pairs = [("good", LONG + CONTEXT), ("good", NONE)]
    start = len(LONG) + 5
    tokens = predictor.tokenizer.encode(pairs)
    targets = window_targets([json.dumps([[start, start + 10]]), "[]"], tokens)
    assert targets[:, Column.FIRST].sum() == 2
    assert targets[:, Column.LENGTH].tolist() == tokens.lengths.tolist()
    at = int(np.flatnonzero(targets[:, Column.START])[0])
    first, last = targets[at, [Column.START, Column.LAST]] + tokens.starts[at]
    assert (LONG + CONTEXT)[tokens.spans[first, 0] : tokens.spans[last, 1]] == "tasty cold"
    assert [gold_answers(row) for row in of_rows(targets)] == [[(start, start + 10)], []]


def test_an_answer_that_stands_nowhere_is_compared_with_and_not_learned(reader):
    tokens = lora_bert.load(reader).tokenizer.encode([("good", CONTEXT)] * 3)
    labels = ['["\U0001f600 Zoe"]', '[[5, 10], "Zoe"]', "[]"]
    targets = window_targets(labels, tokens)
    known = [["\U0001f600 Zoe"], [(5, 10), "Zoe"], []]
    assert [gold_answers(row) for row in targets] == known
    first, second, none = targets[:, Column.START].tolist()
    assert (first, second > 0, none) == (UNKNOWN, True, 0)
    task = QuestionAnswering()
    outputs = torch.zeros(len(tokens.ids), 2)
    assert task.validation_loss(outputs, targets) == pytest.approx(math.log(
        targets[0, Column.END] - targets[0, Column.BEGIN] + 1
    ))  # fmt: skip
    assert task.weight(targets) == 2


def test_all_rows_are_scored(reader, tmp_path):
    """As the official scorers do: without a question, and with an answer that is not there."""
    kept = rows(8)
    more = [
        {**kept[0], "id": "a", "question": " "},
        {**kept[0], "id": "b", "answers": {"text": ["tasty soup"], "answer_start": [3]}},
        {**kept[0], "id": "c", "context": ""},
    ]
    write_rows(tmp_path / "a.jsonl", kept)
    write_rows(tmp_path / "b.jsonl", kept + more)
    few = evaluate(reader, tmp_path / "a.jsonl").scores
    evaluation = evaluate(reader, tmp_path / "b.jsonl", report=tmp_path / "b.html")
    scores = evaluation.scores
    assert (few.rows, scores.rows) == (8, 11)
    assert scores.f1_by_row[:8].tolist() == few.f1_by_row.tolist()
    said = lora_bert.load(reader).predict([("good", kept[0]["context"])])[0].answer
    shared = len({*said.split()} & {"tasty", "soup"})
    assert scores.f1_by_row[9] == pytest.approx(2 * shared / (len(said.split()) + 2))
    assert scores.f1_by_row[10] == 0
    assert "not in the text" in (tmp_path / "b.html").read_text(encoding="utf-8")


def test_what_is_answered_can_be_said(reader, foods, tmp_path):
    predictor = lora_bert.load(reader)
    pairs = [("good", CONTEXT), ("good", NONE)]
    short, _ = predictor.predict(pairs, max_answer_length=1)
    assert short.answer in ("tasty", "cold")
    assert not any(each.answer for each in predictor.predict(pairs, null_threshold=-100))
    assert all(each.answer for each in predictor.predict(pairs, null_threshold=100))
    session = lora_bert.Session(str(reader.parent / "backbone"))
    name = session.add(reader)
    assert session.predict(pairs, adapters=[name], null_threshold=100)[name][1].answer
    words = ["infer", "--adapter", reader, "--question", "good", "--context", NONE]
    said = CliRunner().invoke(cli, [*map(str, words), "--null-threshold", "100"]).stdout
    assert not said.startswith("-\t")
    words = ["infer", "--adapter", reader, "--input", foods / "test.jsonl", "--output",
             tmp_path / "a.jsonl", "--max-answer-length", 1]  # fmt: skip
    assert CliRunner().invoke(cli, [*map(str, words)]).exit_code == 0
    answers = [json.loads(line)["answer"] for line in (tmp_path / "a.jsonl").open()]
    assert all(" " not in answer for answer in answers)
    assert evaluate(reader, foods / "test.jsonl", null_threshold=-100).scores.has_answer_f1 == 0
    for wrong in ({"max_answer_length": 0}, {"null_threshold": math.nan}, {"longest": 3}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            predictor.predict(pairs, **wrong)


def test_the_nearest_sentence():
    context = "Ann came at 3.5 o'clock. Bob came late! 深圳在广东。人口有一千万。"
    asked = [("When did Bob come?", context), ("这里的人口是多少", context), ("x", " ")]
    assert nearest_sentences(asked) == ["Bob came late!", "人口有一千万。", ""]


def test_answers_that_cannot_be_learned_or_given_are_counted(tiny_backbone, tmp_path, caplog):
    words = " ".join(["good"] * 90)
    long = {"question": "good", "context": words, "answers": {"text": [words[:-5]],
                                                              "answer_start": [0]}}  # fmt: skip
    path = write_rows(tmp_path / "a.jsonl", [*rows(12), {**long, "id": "x"}, {**long, "id": "y"}])
    given = {"backbone": str(tiny_backbone), "output": tmp_path / "out", "epochs": 1}
    lora_bert.train(path, **given, max_length=128)
    assert "The answers to 2 training questions are longer than 64 tokens" in caplog.text
    caplog.clear()
    lora_bert.train(path, **given, max_length=48, doc_stride=8, overwrite=True)
    assert "The answers to 2 training questions stand whole in no window" in caplog.text
    assert "are longer than 64" not in caplog.text
