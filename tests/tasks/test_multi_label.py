"""Several labels a text, the whole way: files, training, answers, figures, all forms of a model."""

from __future__ import annotations

import csv
import json
import math
import random

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import lora_bert
from lora_bert.cli.app import cli
from lora_bert.data.examples import Examples
from lora_bert.errors import AdapterError, ConfigError, DataError
from lora_bert.tasks.multi_label import LabelsPrediction, MultiLabel

WORDS = {"food": ["tasty", "good", "fine"], "speed": ["slow", "late", "fast"], "rare": ["cold"]}
LABELS = ("food", "rare", "speed")


def write_reviews(path, rows=260, seed=0):
    """Reviews that say something of none, one or several things."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as stream:
        for at in range(rows):
            of = [label for label, share in zip(WORDS, (0.6, 0.5, 0.08), strict=True)
                  if chance.random() < share]  # fmt: skip
            words = [chance.choice(WORDS[label]) for label in of for _ in range(2)]
            text = " ".join([*words, "awful", str(at % 7)])
            stream.write(json.dumps({"text": text, "labels": of}) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_backbone):
    place = tmp_path_factory.mktemp("labels")
    data = write_reviews(place / "reviews.jsonl")
    return data, lora_bert.train(
        data, backbone=tiny_backbone, output=place / "a", epochs=6, learning_rate=1e-2,
        test_fraction=0.2, watch=["tasty slow"], trunk_cache="memory",
    )  # fmt: skip


def test_it_is_read_off_the_data_and_learned(trained):
    _, result = trained
    assert result.labels == LABELS
    scores = result.evaluations["test"].scores
    assert scores.micro_f1 > 0.75
    calibration = result.evaluations["test"].calibration
    counted = sum(each.rows for each in calibration.bins)
    assert (counted, calibration.unit) == (3 * scores.rows, "labels of rows")
    written = json.loads((result.path / "lora_bert.json").read_text())
    assert written["problem_type"] == "multi_label_classification"
    assert len(written["settings"]["thresholds"]) == 3
    assert written["metrics"]["test"].keys() == {
        "macro_f1", "micro_f1", "subset_accuracy", "lrap", "hamming_loss", "log_loss", "rows",
        "macro_f1_interval",
    }  # fmt: skip
    run = (result.path / "run.yaml").read_text()
    assert "task: multi-label" in run
    assert "metric: macro_f1" in run
    card = (result.path / "README.md").read_text()
    assert "A label is answered from its threshold on: food 0." in card
    assert "| rows of | count | macro-F1 (95 % interval) | micro-F1 |" in card
    assert "--task multi-label" in card


def test_the_epoch_is_the_best_at_the_thresholds_of_its_rows(trained):
    _, result = trained
    values = [row["macro_f1"] for row in result.history]
    kept = result.evaluations["validation"].scores.macro_f1
    # Where no epoch is better, the head as it was fitted before the first is kept.
    assert kept == pytest.approx(values[result.best_epoch - 1] if result.best_epoch else kept)
    rows = result.evaluations["validation"].scores.rows
    assert kept >= max(values) - 1 / math.sqrt(rows)  # of so few rows a lower figure is chance


def test_the_kept_adapter_is_scored_as_evaluate_does(trained):
    _, result = trained
    found = lora_bert.evaluate(result.path)
    assert found.metric == "macro_f1"
    assert found.as_dict()["macro_f1"] == result.evaluations["test"].as_dict()["macro_f1"]


def test_none_one_or_several_labels_are_answered(trained):
    predictor = lora_bert.load(trained[1].path)
    texts = ["tasty good slow late 1", "tasty fine 3", "awful 2"]
    lines = dict(zip(LABELS, predictor.task.thresholds, strict=True))
    for answer in predictor.predict(texts):
        assert list(answer.scores) == list(LABELS)
        reached = [label for label, score in answer.scores.items() if score >= lines[label]]
        assert list(answer.labels) == reached
    both, _, none = predictor.predict(texts)
    assert both.scores["food"] > none.scores["food"]
    assert both.scores["speed"] > none.scores["speed"]
    assert predictor.predict(["tasty"], min_score=1.0)[0].labels == ()
    assert predictor.predict(["tasty"], min_score=0.0)[0].labels == LABELS
    with pytest.raises(ConfigError, match="min_score: 2 is too large"):
        predictor.predict(["tasty"], min_score=2)
    with pytest.raises(ConfigError, match="has a label of this name"):
        predictor.predict(["tasty"], otherwise="food")


def test_the_command_line(trained, tmp_path):
    data, result = trained
    call, adapter = CliRunner().invoke, ["--adapter", str(result.path)]
    every = call(cli, ["infer", *adapter, "--min-score", "0", "tasty slow"]).stdout.strip()
    labels, scores, text = every.split("\t")
    assert (labels, text) == ("food,rare,speed", "tasty slow")
    assert len(scores.split(",")) == 3
    none = call(cli, ["infer", *adapter, "--min-score", "1", "awful"]).stdout
    assert none == "(none)\t\tawful\n"
    document = json.loads(call(cli, ["infer", *adapter, "--json", "tasty good slow late 1"]).stdout)
    assert "food" in document[0]["prediction"]
    assert document[0]["scores"].keys() == set(LABELS)
    out = tmp_path / "out.csv"
    words = ("--input", str(data), "--output", str(out), "--otherwise", "none")
    call(cli, ["infer", *adapter, *words, "--min-score", "0.7"])
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {*rows[0]} == {"text", "labels", "prediction", *(f"prob_{each}" for each in LABELS)}
    assert "none" in {row["prediction"] for row in rows}
    shown = call(cli, ["info", str(result.path)]).stdout
    assert "macro-F1" in shown
    assert "thresholds" in shown
    told = json.loads(call(cli, ["evaluate", str(result.path), "--json"]).stdout)
    assert {"macro_f1", "micro_f1", "subset_accuracy", "lrap", "hamming_loss"} <= told.keys()
    assert told["thresholds"].keys() == set(LABELS)
    assert [entry["label"] for entry in told["per_label"]] == list(LABELS)
    assert call(cli, ["verify", str(result.path)]).exit_code == 0


def test_evaluate_with_all_that_is_beside(trained, tmp_path):
    data, result = trained
    again = lora_bert.train(
        data, task="multi-label", backbone=trained_backbone(result), epochs=1,
        output=tmp_path / "b", test_fraction=0.2, trunk_cache="memory",
    )  # fmt: skip
    page, out = tmp_path / "page.html", tmp_path / "out"
    found = lora_bert.evaluate(
        result.path, baseline=True, against=again.path, report=page, output=out
    )
    assert found.against["macro_f1"].ours == found.scores.macro_f1
    # The other one answers by its own thresholds.
    assert found.against["macro_f1"].theirs == pytest.approx(
        again.evaluations["test"].scores.macro_f1
    )
    assert found.baseline.description.endswith("LinearSVC a label")
    assert found.baseline.comparison["macro_f1"].theirs > 0.5
    text = page.read_text("utf-8")
    assert text.count("<figure>") >= 3
    assert "the threshold that counts" in text
    new = f"{100 * found.overlap.unseen_accuracy:.1f} %"
    assert f"the accuracy on new texts is the honest one: {new}" in text
    assert sorted(file.name for file in out.iterdir()) == [
        "evaluation.json", "suspects.csv", "wrong.csv",
    ]  # fmt: skip
    with (out / "wrong.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["prediction"][0] for row in csv.DictReader(stream)} <= {"+", "−"}
    assert "label" in found.text()
    for options in ({"target_accuracy": 0.9}, {"out_of_scope": ["x"]}):
        with pytest.raises(ConfigError, match="is for models that say which class"):
            lora_bert.evaluate(result.path, **options)


def trained_backbone(result):
    return lora_bert.load(result.path).places[1]


def test_a_merged_model_is_what_transformers_takes_it_for(trained, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    place = lora_bert.merge(trained[1].path, tmp_path / "m").path
    texts = ["tasty slow", "awful 3", "cold late good"]
    ours = lora_bert.load(place, dtype="float32").values(texts)
    model = AutoModelForSequenceClassification.from_pretrained(place)
    assert model.config.problem_type == "multi_label_classification"
    classify = pipeline(
        "text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(place),
        top_k=None, device="cpu",
    )  # fmt: skip
    for row, scores in zip(ours, classify(texts), strict=True):
        theirs = {entry["label"]: entry["score"] for entry in scores}
        assert [theirs[label] for label in LABELS] == pytest.approx(row.tolist(), abs=1e-5)
    assert lora_bert.load(place).task.thresholds == lora_bert.load(trained[1].path).task.thresholds
    # Without our manifest it is a multi-label model all the same.
    (place / "lora_bert.json").unlink()
    plain = lora_bert.load(place, dtype="float32")
    assert plain.task.thresholds == (0.5,) * 3
    assert plain.values(texts) == pytest.approx(ours, abs=1e-6)


def test_peft_opens_it(trained):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    path = trained[1].path
    base = AutoModelForSequenceClassification.from_pretrained(
        trained_backbone(trained[1]), num_labels=3, dtype="float32"
    )
    model = PeftModel.from_pretrained(base, path).eval()
    tokens = AutoTokenizer.from_pretrained(path)(["tasty slow"], return_tensors="pt")
    with torch.no_grad():
        theirs = model(**tokens).logits.sigmoid().numpy()
    assert lora_bert.load(path, dtype="float32").values(["tasty slow"]) == pytest.approx(
        theirs, abs=1e-5
    )


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_an_exported_model_answers_the_same(kind, trained, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime" if kind == "onnx" else "openvino")
    found = lora_bert.export(trained[1].path, tmp_path / "e", format=kind, data=trained[0])
    assert found.agreement == 1
    assert found.accuracy[0] == found.accuracy[1] > 0.2
    assert lora_bert.load(found.path).task.thresholds != (0.5,) * 3


def rows_of(*sets):
    from lora_bert.data.label_sets import write_set

    return Examples(("t",) * len(sets), tuple(map(write_set, sets)), range(1, len(sets) + 1),
                    "a.csv", label_form="set")  # fmt: skip


def test_the_loss_is_transformers_times_the_rows():
    task = MultiLabel.of(rows_of(["a", "b"], [], ["b"]))
    targets = torch.from_numpy(task.targets(rows_of(["a", "b"], [], ["b"]), None))
    outputs = torch.tensor([[2.0, -1.0], [0.5, 0.0], [-3.0, 1.0]])
    theirs = torch.nn.BCEWithLogitsLoss()(outputs, targets.float())
    assert float(task.loss(outputs, targets)) == pytest.approx(3 * float(theirs))
    assert task.fresh_loss(targets.numpy()) == pytest.approx(np.log(2))
    assert task.chance_loss(targets.numpy()) == pytest.approx(
        -(np.log(1 / 3) / 3 + np.log(2 / 3) * 2 / 3)
    )


def test_class_weights_even_rare_labels_out():
    rows = rows_of(["a"], *[["b"]] * 3)
    task = MultiLabel.of(rows, class_weights="balanced")
    assert task.label_weights == (3, pytest.approx(1 / 3))
    targets = task.targets(rows, None)
    assert task.chance_loss(targets) <= task.fresh_loss(targets)
    many = MultiLabel.of(rows_of(["a"], *[["b"]] * 99), class_weights="balanced")
    assert max(many.label_weights) == 20


def test_labels_that_validation_never_shows():
    task = MultiLabel(("a", "b"))
    values = np.array([[0.2, 0.9], [0.1, 0.9]], np.float32)
    note, warning = task.tuning_notes(values, np.array([[1, 0], [0, 0]]))
    assert "tuned on 2 validation rows" in note
    assert "1 label stands in no validation row ('b')" in warning
    assert task.tuned(values, np.array([[1, 0], [0, 0]])).thresholds[0] == pytest.approx(0.15)


def test_answers_can_be_read_again_whatever_labels_are_called():
    assert MultiLabel(("a", "b")).answers(np.ones((1, 2))) == ["a,b"]
    assert MultiLabel(("a,x", "b")).answers(np.ones((1, 2))) == ["a,x;b"]
    assert repr(LabelsPrediction(("a",), {"a": 0.9, "b": 0.1})) == (
        "LabelsPrediction(['a'], {'a': 0.9000, 'b': 0.1000})"
    )


@pytest.mark.parametrize(
    ("labels", "settings"),
    [([], {}), (["a", "a"], {}), (["a"], {"thresholds": [2]}), (["a"], {"thresholds": [0.1, 0.2]}),
     (["a"], {"thresholds": 0.5}), (["a"], {"thresholds": ["0.5"]})],
)  # fmt: skip
def test_settings_that_make_no_sense(labels, settings):
    with pytest.raises(AdapterError):
        MultiLabel.restored(labels, settings)


def test_a_label_that_it_does_not_know():
    with pytest.raises(DataError, match=r"'a\.csv', line 2: the label 'x' is not one") as caught:
        MultiLabel(("a", "b")).targets(rows_of(["a"], ["b", "x"]), None)
    assert "It knows: 'a', 'b'" in caught.value.hint


def test_one_label_a_row_is_asked_for_where_there_are_several(trained, tmp_path):
    with pytest.raises(DataError, match="several labels in one row") as caught:
        lora_bert.train(trained[0], task="single-label", output=tmp_path / "x")
    assert "task='multi-label'" in caught.value.hint


def test_names_of_a_label_file_go_with_the_adapter(tiny_backbone, tmp_path):
    chance = random.Random(1)
    sets = [chance.sample("012", chance.randint(1, 2)) for _ in range(60)]
    rows = [f"good {' '.join(each)}\t{','.join(sorted(each))}" for each in sets]
    (tmp_path / "d.tsv").write_text("\n".join(["text\tlabels", *rows]))
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    result = lora_bert.train(
        tmp_path / "d.tsv", label_file=tmp_path / "names.txt", backbone=tiny_backbone, epochs=1,
        output=tmp_path / "a", trunk_cache="memory",
    )  # fmt: skip
    assert result.labels == ("a", "b", "c")
    assert "label_file: null" in (result.path / "run.yaml").read_text()
    assert lora_bert.evaluate(result.path, tmp_path / "d.tsv").scores.rows == 60
    (tmp_path / "names.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="has no name for '2'; it names 2 labels, '0' to '1'"):
        lora_bert.train(
            tmp_path / "d.tsv", label_file=tmp_path / "names.txt", output=tmp_path / "b"
        )


def test_a_separator_is_remembered(tiny_backbone, tmp_path):
    rows = [f"good {at % 3}\tx{at % 3}/y{at % 2}" for at in range(60)]
    (tmp_path / "d.tsv").write_text("\n".join(["text\tlabels", *rows]))
    result = lora_bert.train(
        tmp_path / "d.tsv", label_separator="/", task="multi-label", backbone=tiny_backbone,
        epochs=1, output=tmp_path / "a", trunk_cache="memory",
    )  # fmt: skip
    assert result.labels == ("x0", "x1", "x2", "y0", "y1")
    assert lora_bert.evaluate(result.path, tmp_path / "d.tsv").scores.rows == 60


def test_a_training_that_was_stopped_ends_in_the_same_adapter(trained, tmp_path, monkeypatch):
    from lora_bert.training.trainer import Trainer

    class Killed(BaseException):
        pass

    def train(name, **options):
        return lora_bert.train(
            trained[0], backbone=trained_backbone(trained[1]), epochs=2, save_every_steps=3,
            trunk_cache="memory", head_start="random", output=tmp_path / name, **options,
        )  # fmt: skip

    whole, inner = train("whole"), Trainer.step

    def step(self, group):
        inner(self, group)
        if self.progress.step == 8:
            raise Killed

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(Killed):
        train("stopped")
    monkeypatch.undo()
    resumed = train("stopped", resume=True)
    assert resumed.resumed_at == 6
    assert resumed.labels == whole.labels
    both = [json.loads((result.path / "lora_bert.json").read_text()) for result in (whole, resumed)]
    assert both[0]["settings"] == both[1]["settings"]
    weights = [(result.path / "adapter_model.safetensors").read_bytes()
               for result in (whole, resumed)]  # fmt: skip
    assert weights[0] == weights[1]
