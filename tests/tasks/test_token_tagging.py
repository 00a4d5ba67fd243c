"""Tagging words, the whole way: training, figures, answers, files, what is wrong."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import lora_bert
from lora_bert.cli.app import cli
from lora_bert.errors import AdapterError, ConfigError, DataError
from lora_bert.evaluation.evaluate import evaluate
from lora_bert.inference import stream
from lora_bert.inference.stream import predict_file
from lora_bert.tasks.legal_tags import LegalTags
from lora_bert.tasks.token_tagging import TokenTagging
from tests.tasks.conftest import sentences, write_conll

TEXT = "good hot tasty awful fast"
SAID = [("hot tasty", "DISH", 5, 14), ("fast", "PLACE", 21, 25)]


def said(entities) -> list[tuple[str, str, int, int]]:
    return [(each.text, each.label, each.start, each.end) for each in entities]


def test_what_is_learned_is_answered(tagger, dishes):
    evaluation = evaluate(tagger, dishes / "test.conll", baseline=True)
    scores = evaluation.scores
    assert scores.f1 > 0.95
    assert scores.token_accuracy > 0.95
    assert evaluation.intervals["f1"].low <= scores.f1 <= evaluation.intervals["f1"].high
    document = evaluation.as_dict()
    assert (document["metric"], document["f1"]) == ("f1", scores.f1)
    assert [entry["type"] for entry in document["per_type"]] == ["DISH", "PLACE"]
    assert document["baseline"]["description"] == "the most frequent tag of each word"
    assert 0 < document["baseline"]["f1"] < 1
    assert "DISH" in evaluation.text()
    (answer,) = lora_bert.load(tagger).predict([TEXT])
    assert said(answer.entities) == SAID
    assert answer.words == tuple(TEXT.split())
    assert answer.tags == ("O", "B-DISH", "I-DISH", "O", "B-PLACE")
    assert repr(answer) == "Tagged('hot tasty': DISH, 'fast': PLACE)"
    assert lora_bert.load(tagger).predict([""])[0].entities == ()


def test_many_texts_are_answered_as_one(tagger):
    predictor = lora_bert.load(tagger, dtype="float32")
    texts = [" ".join(word for word, _ in row) for row in sentences(90)]
    alone = [predictor.predict([text])[0] for text in texts]
    together = predictor.predict(texts)
    assert [each.tags for each in together] == [each.tags for each in alone]
    with lora_bert.load(tagger) and pytest.raises(ConfigError, match="not one of legal, first"):
        predictor.predict(texts, aggregation="max")
    with pytest.raises(ConfigError, match="for labels, which 'token_tagging' has not"):
        predictor.predict(texts, min_score=0.5)


def test_files_of_words_and_of_texts(tagger, dishes, tmp_path):
    predictor = lora_bert.load(tagger)
    predict_file(predictor, dishes / "test.conll", tmp_path / "a.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["words"] for row in rows] == [json.loads(row["tokens"]) for row in rows]
    right = sum(row["tags_2"] == json.loads(row["tags"]) for row in rows)
    assert right >= len(rows) - 1
    # Words that texts would not be cut into are tagged as they are given.
    words = {"tokens": ["good", "hot tasty", "awful", "fast"]}
    (tmp_path / "words.jsonl").write_text(json.dumps(words) + "\n", encoding="utf-8")
    predict_file(predictor, tmp_path / "words.jsonl", tmp_path / "b.csv")
    with (tmp_path / "b.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert json.loads(row["tags"]) == ["O", "B-DISH", "O", "B-PLACE"]
    assert [each["text"] for each in json.loads(row["prediction"])] == ["hot tasty", "fast"]
    (tmp_path / "texts.csv").write_text(f"text\n{TEXT}\nzoo\n", encoding="utf-8")
    predict_file(predictor, tmp_path / "texts.csv", tmp_path / "c.parquet")
    parquet = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "c.parquet")
    assert parquet.column("tags").to_pylist()[0] == ["O", "B-DISH", "I-DISH", "O", "B-PLACE"]


def test_rows_without_entities_before_others_are_written(tagger, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "TEXTS_AT_ONCE", 2)
    (tmp_path / "texts.csv").write_text("text\nzoo\nzoo\n" + f"{TEXT}\n", encoding="utf-8")
    predict_file(lora_bert.load(tagger), tmp_path / "texts.csv", tmp_path / "a.parquet")
    parquet = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "a.parquet")
    found = parquet.column("prediction").to_pylist()
    assert found[:2] == [[], []]
    assert [(each["text"], each["start"]) for each in found[2]] == [("hot tasty", 5), ("fast", 21)]


def test_the_command_line(tagger, dishes, tmp_path):
    call = CliRunner().invoke
    line = call(cli, ["infer", "--adapter", str(tagger), TEXT]).stdout
    assert line == f"hot tasty [DISH], fast [PLACE]\t{TEXT}\n"
    assert call(cli, ["infer", "--adapter", str(tagger), "zoo"]).stdout == "-\tzoo\n"
    shown = call(cli, ["infer", "--adapter", str(tagger), "--aggregation", "first", "--json", TEXT])
    assert json.loads(shown.stdout)[0]["tags"][1] == "B-DISH"
    info = call(cli, ["info", str(tagger)]).stdout
    assert "token-classification" in info
    assert "entity F1" in info
    assert call(cli, ["verify", str(tagger)]).exit_code == 0
    report = tmp_path / "report.html"
    test = str(dishes / "test.conll")
    outcome = call(
        cli, ["evaluate", str(tagger), "--data", test, "--json", "--report", str(report)]
    )
    document = json.loads(outcome.stdout)
    assert 0.9 < document["f1"] <= 1
    assert 0.9 < document["token_accuracy"] <= 1
    page = report.read_text(encoding="utf-8")
    assert '<mark class="right">' in page
    assert "Types of entities" in page
    card = (tagger / "README.md").read_text(encoding="utf-8")
    assert "AutoModelForTokenClassification" in card
    assert "pipeline_tag: token-classification" in card


def test_two_taggers_are_compared(tagger, dishes, tmp_path):
    lora_bert.train(
        dishes, backbone=tagger.parent / "backbone", output=tmp_path / "b", epochs=1,
        method="head-only", head_start="random",
    )  # fmt: skip
    found = evaluate(tagger, dishes / "test.conll", against=str(tmp_path / "b")).against
    assert found is not None
    assert [figure.name for figure in found.figures] == ["f1", "token_accuracy"]
    assert found["f1"].difference > 0


def test_a_training_goes_on_to_the_same_bits(tagger, dishes, tmp_path, monkeypatch):
    options = {"backbone": tagger.parent / "backbone", "epochs": 2, "batch_size": 8}
    whole = lora_bert.train(dishes, output=tmp_path / "whole", **options)
    assert whole.evaluations["test"].scores.words == 58
    loss, calls = TokenTagging.loss, []

    def stopping(task, outputs, targets):
        calls.extend([0] * outputs.requires_grad)  # validation rows are no steps
        if len(calls) == 8 and outputs.requires_grad:
            raise KeyboardInterrupt
        return loss(task, outputs, targets)

    with monkeypatch.context() as patch:
        patch.setattr(TokenTagging, "loss", stopping)
        part = lora_bert.train(dishes, output=tmp_path / "part", **options)
    assert part.interrupted
    assert part.resumable
    lora_bert.train(dishes, output=tmp_path / "part", resume=True, overwrite=True, **options)
    ours, theirs = (
        (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "part")
    )
    assert ours == theirs


def test_texts_longer_than_the_backbone_are_cut_and_counted(tagger, tmp_path, caplog):
    rows = sentences(30)
    rows[0] = rows[0] * 20
    write_conll(tmp_path / "train.conll", rows)
    write_conll(tmp_path / "test.conll", [rows[0]])
    result = lora_bert.train(
        tmp_path, backbone=tagger.parent / "backbone", output=tmp_path / "a", epochs=6,
        learning_rate=0.03, max_length=16, batch_size=4,
    )  # fmt: skip
    assert "longer than 16 tokens and cut there" in caplog.text
    scores = result.evaluations["test"].scores
    assert scores.words == len(rows[0])
    assert 0 < scores.per_type[0].recall < 0.3  # what was not read is missed


def test_what_is_wrong_is_a_sentence(tagger, dishes, tmp_path):
    options = {"backbone": tagger.parent / "backbone", "output": tmp_path / "a"}
    write_conll(tmp_path / "none.conll", [[("good", "O")]] * 9)
    with pytest.raises(DataError, match="has no entity: every tag is O"):
        lora_bert.train(tmp_path / "none.conll", task="token-tagging", **options)
    with pytest.raises(ConfigError, match="pooling='mean': the head of a 'token-tagging' reads"):
        lora_bert.train(dishes, pooling="mean", **options)
    write_conll(tmp_path / "other.conll", [[("good", "B-DUSH")]])
    with pytest.raises(DataError, match="line 3: the type 'DUSH' is none that the tagger knows"):
        evaluate(tagger, tmp_path / "other.conll")
    shutil.copytree(tagger, tmp_path / "damaged")
    path = tmp_path / "damaged" / "lora_bert.json"
    path.write_text(path.read_text().replace('"B-DISH"', '"DISH"'))
    with pytest.raises(AdapterError, match="'DISH' is no tag of IOB2"):
        lora_bert.load(tmp_path / "damaged")


def test_legal_tags_are_the_likeliest_of_all_sequences():
    labels = ["O", "B-A", "I-A", "B-B", "I-B"]
    legal, rng = LegalTags(labels), np.random.default_rng(0)
    paths = np.array(np.meshgrid(*[range(5)] * 4)).reshape(4, -1).T
    allowed = [path for path in paths if _is_legal([labels[tag] for tag in path])]
    for _ in range(50):
        probabilities = rng.dirichlet(np.full(5, 0.3), size=4)
        scores = [np.log(probabilities[range(4), path]).sum() for path in allowed]
        assert legal(probabilities).tolist() == allowed[int(np.argmax(scores))].tolist()
    assert legal(np.empty((0, 5))).tolist() == []


def _is_legal(tags: list[str]) -> bool:
    before = "O"
    for tag in tags:
        if tag.startswith("I-") and before[2:] != tag[2:]:
            return False
        before = tag
    return True


def test_taggers_learn_longer_and_in_all_layers(tagger):
    task = TokenTagging(("O", "B-A", "I-A"))
    assert [task.epochs(rows, fitted=False) for rows in (10, 300, 100_000)] == [20, 14, 10]
    assert {task.epochs(rows, fitted=True) for rows in (10, 300, 100_000)} == {10}
    config = json.loads((tagger / "adapter_config.json").read_text())
    assert config.get("layers_to_transform") is None


def test_odd_words_are_tagged_where_they_stand(tagger):
    predictor = lora_bert.load(tagger)
    for text in ("good 😀👩‍👩‍👧 hot", "محمد good hot", f"good hot {'x' * 5000}"):
        (answer,) = predictor.predict([text])
        assert answer.words == tuple(text.split())
        assert all(text[each.start : each.end] == each.text for each in answer.entities)
    assert answer.tags[:2] == ("O", "B-DISH")
    (answer,) = predictor.predict(["good hot " * 5000])
    assert answer.tags[:2] == ("O", "B-DISH")
    assert len(answer.words) < 600


def test_labels_in_any_order_are_taken():
    task = TokenTagging.restored(["I-A", "O", "B-A"], {"scheme": "BIOES", "words": "spaces"})
    assert task.settings == {"scheme": "BIOES", "words": "spaces"}
    with pytest.raises(AdapterError, match="no such tags or words"):
        TokenTagging.restored(["O", "B-A"], {"scheme": "XYZ"})
    for labels in (["B-A", "I-A"], ["O", "I-A"], ["O", "B-A", "I-B"]):
        with pytest.raises(AdapterError, match="of another scheme than IOB2"):
            TokenTagging.restored(labels, {})
    with pytest.raises(AdapterError, match="'E-A' is no tag of IOB2"):
        TokenTagging.restored(["O", "B-A", "E-A"], {})


def test_a_word_a_row_is_scored_in_its_sentence_and_not_answered_alone(tagger, tmp_path, capsys):
    rows = ["Sentence: 1,good,O", ",hot,B-DISH", ",tasty,I-DISH", ",awful,O", ",fast,B-PLACE",
            "Sentence: 2,zoo,O"]  # fmt: skip
    path = tmp_path / "words.csv"
    path.write_text("Sentence #,Word,Tag\n" + "\n".join(rows) + "\n", encoding="utf-8")
    scores = evaluate(tagger, path).scores
    assert (scores.f1, scores.token_accuracy) == (1.0, 1.0)
    words = ["--input", str(path), "--output", str(tmp_path / "out.csv")]
    for more in ((), ("--adapter", str(tagger.parent / "other"))):
        if more:
            shutil.copytree(tagger, tagger.parent / "other")
        found = CliRunner().invoke(cli, ["infer", "--adapter", str(tagger), *more, *words])
        assert isinstance(found.exception, DataError)
        assert "has a word a row: 'Word', of the sentences in 'Sentence #'" in str(found.exception)
    assert not (tmp_path / "out.csv").exists()
