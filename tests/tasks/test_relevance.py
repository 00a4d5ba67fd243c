"""Relevance: labels as grades, one output with a sigmoid, figures of rows and of queries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import lora_bert
from lora_bert.cli.app import run
from lora_bert.data.examples import Examples
from lora_bert.data.texts import TextPairs
from lora_bert.errors import AdapterError, DataError
from lora_bert.tasks.relevance import Relevance
from lora_bert.tokens.tokenized import TokenizedTexts
from tests.oracle import elsewhere

TOKENS = TokenizedTexts.of([], 0)
PAIRS = [("good 1", "tasty"), ("good 1", "bad"), ("slow", "很好吃")]


def examples(labels: list[str], queries: str = "") -> Examples:
    first = list(queries) or [f"q{at}" for at in range(len(labels))]
    second = [f"p{at}" for at in range(len(labels))]
    return Examples(TextPairs(first, second), labels, range(1, len(labels) + 1), "x.csv")


@pytest.mark.parametrize(
    ("labels", "grades"),
    [
        (["0", "1"], {"0": 0, "1": 1}), (["1", "2"], {"1": 0, "2": 1}),
        (["-1", "1"], {"-1": 0, "1": 1}), (["0", "1", "2"], {"0": 0, "1": 0.5, "2": 1}),
        (["no", "yes"], {"no": 0, "yes": 1}), (["相关", "不相关"], {"相关": 1, "不相关": 0}),
    ],
)  # fmt: skip
def test_labels_are_grades(labels: list[str], grades: dict[str, float]) -> None:
    task = Relevance.of(examples(labels))
    assert task.grades == grades
    assert task.grades[task.labels[0]] == 1
    again = Relevance.restored(task.labels, json.loads(json.dumps(task.settings)))
    assert again.grades == task.grades


@pytest.mark.parametrize(
    "labels", [["cat", "dog"], ["a", "b", "c"], ["yes", "yes"], ["-1", "0", "1"], ["0", "nan"]]
)
def test_labels_that_are_none(labels: list[str]) -> None:
    with pytest.raises(DataError):
        Relevance.of(examples(labels))


def test_single_texts_have_no_relevance() -> None:
    rows = Examples(("a", "b"), ("0", "1"), (1, 2), "x.csv")
    with pytest.raises(DataError, match="one text a row") as raised:
        Relevance.of(rows)
    assert "--text-pair-column" in raised.value.hint


def test_targets_know_their_query() -> None:
    task = Relevance.of(examples(["0", "1"]))
    targets = task.targets(examples(["1", "0", "1", "0"], "abab"), TOKENS)
    assert targets[:, 0].tolist() == [1, 0, 1, 0]
    assert targets[0, 1] == targets[2, 1] != targets[1, 1] == targets[3, 1]
    with pytest.raises(DataError, match="line 2: the label '2'"):
        task.targets(examples(["0", "2"]), TOKENS)
    assert [each.name for each in task.figures_of(targets)] == ["auc", "average_precision"]
    shared = task.targets(examples(["1", "0"], "aa"), TOKENS)
    assert len(task.figures_of(shared)) == 4


@pytest.mark.parametrize(("label", "kind"), [("0", "relevant"), ("1", "irrelevant")])
def test_rows_that_are_all_alike_are_refused_before_a_training(label: str, kind: str) -> None:
    task = Relevance.of(examples(["0", "1"]))
    with pytest.raises(DataError, match=f"Of 3 rows of 'x.csv' none is {kind}"):
        task.targets(examples([label] * 3), TOKENS)


def test_the_loss_is_binary_cross_entropy_and_balanced_weighs_both_alike() -> None:
    rows = examples(["1", "0", "0", "0"])
    outputs = torch.tensor([[0.3], [-1.0], [2.0], [0.0]])
    for weights in ("none", "balanced"):
        task = Relevance.of(rows, class_weights=weights)
        targets = task.targets(rows, TOKENS)
        loss = task.loss(outputs, torch.from_numpy(targets)) / task.weight(targets)
        grades = torch.from_numpy(targets[:, 0])
        each = F.binary_cross_entropy_with_logits(outputs[:, 0], grades, reduction="none")
        own = torch.tensor([3.0, 1, 1, 1]) if weights == "balanced" else torch.ones(4)
        assert float(loss) == pytest.approx(float((each * own).sum() / own.sum()))
    assert task.chance_loss(targets) == pytest.approx(np.log(2))
    np.testing.assert_allclose(task.values(outputs.numpy()), torch.sigmoid(outputs), atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"grades": {"a": 2}}, {"grades": {"a": True}}])
def test_a_damaged_description_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(AdapterError):
        Relevance.restored(("1",), settings)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 queries with two passages each, one of them relevant."""
    lines = ["query,passage,label"]
    for at in range(30):
        word, other = ("good", "bad") if at % 2 else ("bad", "good")
        lines += [f"{word} {at},{word} x,1", f"{word} {at},{other} y,0"]
    path = tmp_path_factory.mktemp("relevance") / "rows.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, rows: Path) -> Path:
    path = tmp_path_factory.mktemp("adapters") / "relevance"
    lora_bert.train(
        rows, backbone=tiny_backbone, task="relevance", metric="ndcg_at_10", output=path, epochs=1,
        dtype="float32", learning_rate=0.03,
    )  # fmt: skip
    return path


PLAIN = """
import json, sys
sys.modules["peft"] = sys.modules["lora_bert"] = None
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
place, pairs = json.loads(sys.argv[1])
classify = pipeline("text-classification", place)
found = [classify({"text": a, "text_pair": b}) for a, b in pairs]
# What sentence-transformers' CrossEncoder does with a model and its configuration.
model = AutoModelForSequenceClassification.from_pretrained(place)
name = model.config.sentence_transformers["activation_fn"]
activation = getattr(torch.nn.modules, name.rsplit(".", 1)[1])()
tokens = AutoTokenizer.from_pretrained(place)(pairs, padding=True, return_tensors="pt")
with torch.no_grad():
    scores = activation(model(**tokens).logits)[:, 0].tolist()
print(json.dumps({"pipeline": [each["score"] for each in found], "cross": scores,
                  "label": found[0]["label"], "type": model.config.problem_type}))
"""


def test_merged_models_answer_alike_in_transformers(adapter: Path, tmp_path: Path) -> None:
    lora_bert.merge(adapter, tmp_path / "merged")
    theirs = elsewhere(PLAIN, json.dumps([str(tmp_path / "merged"), PAIRS]))
    ours = lora_bert.load(tmp_path / "merged", dtype="float32").predict(PAIRS)
    assert theirs["pipeline"] == pytest.approx(ours, abs=1e-5)
    assert theirs["cross"] == pytest.approx(ours, abs=1e-5)
    assert theirs["label"] == "1"
    assert theirs["type"] == "multi_label_classification"
    assert lora_bert.load(adapter, dtype="float32").predict(PAIRS) == pytest.approx(ours, abs=1e-5)


def test_evaluation(
    adapter: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(adapter), "--data", str(rows), "--baseline", "--train", str(rows)]
    assert run([*command, "--against", str(adapter), "--report", str(tmp_path / "r.html")]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].split()[0] == "NDCG@10"
    assert "TF-IDF" in said
    assert "this one is nearer in" in " ".join(said.split())
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"auc", "average_precision", "mrr_at_10", "ndcg_at_10"} <= found.keys()
    assert found["ndcg_at_10_interval"][0] <= found["ndcg_at_10"]


def test_predictions_and_graphs(adapter: Path, rows: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    lora_bert.export(adapter, tmp_path / "out", format="onnx")
    ours = lora_bert.load(adapter, dtype="float32").predict(PAIRS)
    assert lora_bert.load(tmp_path / "out", dtype="float32").predict(PAIRS) == pytest.approx(
        ours, abs=1e-4
    )
    assert run(["infer", "--adapter", str(adapter), "--input", str(rows), "--output",
                str(tmp_path / "o.jsonl")]) == 0  # fmt: skip
    first = json.loads((tmp_path / "o.jsonl").read_text().splitlines()[0])
    assert list(first) == ["query", "passage", "label", "prediction"]
    assert 0 < first["prediction"] <= 1


def test_a_figure_of_queries_needs_queries(
    tiny_backbone: Path, pair_rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--data", str(pair_rows), "--backbone", str(tiny_backbone)]
    names = ["--task", "relevance", "--label-names", "same=1,other=0"]
    assert run([*command, *names, "--metric", "mrr_at_10"]) == 2
    assert "validation rows say nothing of it" in capsys.readouterr().err
