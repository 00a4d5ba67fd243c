"""A number a text, the whole way: files, training, answers, figures, every form of a model."""

from __future__ import annotations

import csv
import json
import logging
import random

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import lora_bert
from lora_bert.cli.app import cli
from lora_bert.data.examples import Examples
from lora_bert.errors import AdapterError, ConfigError, DataError
from lora_bert.tasks.regression import Regression

GOOD, BAD = "good fine tasty fast".split(), "awful cold slow late".split()


def write_reviews(path, rows=240, seed=0, comma=False):
    """Reviews of six words, the price of which grows with the good ones: 1000.5, 1050.5 …"""
    chance = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "price"])
        for _ in range(rows):
            words = [chance.choice(chance.choice([GOOD, BAD])) for _ in range(6)]
            number = f"{1000.5 + 50 * sum(word in GOOD for word in words)}"
            writer.writerow([" ".join(words), number.replace(".", ",") if comma else number])
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_backbone):
    place = tmp_path_factory.mktemp("prices")
    data = write_reviews(place / "reviews.csv")
    return data, lora_bert.train(
        data, label_column="price", backbone=tiny_backbone, output=place / "a", epochs=8,
        learning_rate=1e-2, test_fraction=0.2, watch=["good good good"], trunk_cache="memory",
    )  # fmt: skip


def test_it_is_read_off_the_data_and_learned(trained):
    _, result = trained
    scores = result.evaluations["test"].scores
    assert scores.spearman > 0.6
    assert scores.mae < 55  # the mean for every text is about 49 off
    assert 900 < result.watched[0].after < 1500
    written = json.loads((result.path / "lora_bert.json").read_text())
    assert (written["problem_type"], written["labels"]) == ("regression", ["value"])
    assert written["settings"].keys() == {"mean", "deviation", "spread", "decimal_mark"}
    assert 1100 < written["settings"]["mean"] < 1200
    assert written["metrics"]["test"].keys() == {
        "spearman", "pearson", "rmse", "mae", "rows", "spearman_interval",
    }  # fmt: skip
    run = (result.path / "run.yaml").read_text()
    assert "task: regression" in run
    assert "metric: spearman" in run
    card = (result.path / "README.md").read_text()
    assert "The output is standardised: the number is output · " in card
    assert "| rows of | count | Spearman's ρ (95 % interval) |" in card
    assert (result.path / "curve.png").is_file()


def test_the_epoch_is_the_best_by_spearman(trained):
    _, result = trained
    values = [row["spearman"] for row in result.history]
    assert result.evaluations["validation"].scores.spearman >= max(values) - 1e-9
    found = lora_bert.evaluate(result.path)
    assert found.metric == "spearman"
    assert found.scores.spearman == result.evaluations["test"].scores.spearman


def test_answers_are_in_the_users_unit(trained):
    predictor = lora_bert.load(trained[1].path)
    best, worst = predictor.predict(["good tasty fine fast good good", "awful slow cold cold late"])
    assert 900 < worst < best < 1400
    with pytest.raises(ConfigError, match="min_score and otherwise are for labels"):
        predictor.predict(["good"], min_score=0.5)


def test_the_command_line(trained, tmp_path):
    data, result = trained
    call, adapter = CliRunner().invoke, ["--adapter", str(result.path)]
    number, text = call(cli, ["infer", *adapter, "good fast"]).stdout.strip().split("\t")
    assert 900 < float(number) < 1400
    assert (text, len(number.partition(".")[2])) == ("good fast", 2)
    document = json.loads(call(cli, ["infer", *adapter, "--json", "good"]).stdout)
    assert document[0].keys() == {"text", "prediction"}
    out = tmp_path / "out.csv"
    call(cli, ["infer", *adapter, "--input", str(data), "--output", str(out)])
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {*rows[0]} == {"text", "price", "prediction"}
    assert 900 < float(rows[0]["prediction"]) < 1400
    told = json.loads(call(cli, ["evaluate", str(result.path), "--json"]).stdout)
    assert {"spearman", "pearson", "rmse", "mae", "spearman_interval"} <= told.keys()
    assert told["errors"].keys() == {"bias", "half_within", "nine_in_ten_within"}
    assert "Spearman's ρ" in call(cli, ["info", str(result.path)]).stdout
    assert call(cli, ["verify", str(result.path)]).exit_code == 0


def test_evaluate_with_all_that_is_beside(trained, tmp_path):
    page, out = tmp_path / "page.html", tmp_path / "out"
    path = trained[1].path
    found = lora_bert.evaluate(path, baseline=True, against=path, report=page, output=out)
    assert found.against["mae"].difference == 0
    assert found.baseline.description.endswith("+ Ridge")
    assert found.baseline.comparison["spearman"].theirs > 0.5
    text = page.read_text("utf-8")
    assert "Predicted against true" in text
    assert text.count("<circle") == found.scores.rows
    assert sorted(file.name for file in out.iterdir()) == ["evaluation.json", "residuals.csv"]
    with (out / "residuals.csv").open(encoding="utf-8", newline="") as stream:
        errors = [abs(float(row["error"])) for row in csv.DictReader(stream)]
    assert errors == sorted(errors, reverse=True)
    assert "half of the answers are off by" in " ".join(found.text().split())
    assert "this one is nearer in 0, the other in 0" in found.text()
    with pytest.raises(ConfigError, match="is for models that say which class"):
        lora_bert.evaluate(path, target_accuracy=0.9)


def test_a_merged_model_has_its_unit_in_its_last_layer(trained, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    place = lora_bert.merge(trained[1].path, tmp_path / "m").path
    texts = ["good fast fine", "awful"]
    adapter = lora_bert.load(trained[1].path, dtype="float32").values(texts)
    assert lora_bert.load(place, dtype="float32").values(texts) == pytest.approx(adapter, rel=1e-5)
    model = AutoModelForSequenceClassification.from_pretrained(place)
    assert (model.config.problem_type, model.config.num_labels) == ("regression", 1)
    answer = pipeline(
        "text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(place),
        device="cpu",
    )  # fmt: skip
    scores = [entry["score"] for entry in answer(texts)]
    assert scores == pytest.approx(adapter[:, 0].tolist(), rel=1e-5)
    assert "The output is the number itself" in (place / "README.md").read_text()
    assert lora_bert.verify(place).passed
    (place / "lora_bert.json").unlink()
    plain = lora_bert.load(place, dtype="float32")
    assert plain.predict(texts) == pytest.approx(adapter[:, 0].tolist(), rel=1e-5)


def test_peft_opens_it_on_the_standardised_scale(trained):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    path, predictor = trained[1].path, lora_bert.load(trained[1].path, dtype="float32")
    base = AutoModelForSequenceClassification.from_pretrained(
        predictor.places[1], num_labels=1, dtype="float32"
    )
    model = PeftModel.from_pretrained(base, path).eval()
    tokens = AutoTokenizer.from_pretrained(path)(["good fast"], return_tensors="pt")
    with torch.no_grad():
        output = model(**tokens).logits.numpy()
    task = predictor.task
    assert output * task.deviation + task.mean == pytest.approx(
        predictor.values(["good fast"]), rel=1e-5
    )


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_an_exported_model_answers_the_same(kind, trained, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime" if kind == "onnx" else "openvino")
    found = lora_bert.export(trained[1].path, tmp_path / "e", format=kind)
    assert (found.agreement, found.accuracy) == (1, None)
    ours, theirs = (lora_bert.load(path, dtype="float32").values(["good", "cold bad"])
                    for path in (trained[1].path, found.path))  # fmt: skip
    assert theirs == pytest.approx(ours, rel=1e-4)


def test_decimal_commas_are_read_and_kept(trained, tiny_backbone, tmp_path):
    data = write_reviews(tmp_path / "r.csv", rows=160, comma=True)
    result = lora_bert.train(
        data, label_column="price", backbone=tiny_backbone, epochs=1, output=tmp_path / "a",
        trunk_cache="memory",
    )  # fmt: skip
    settings = json.loads((result.path / "lora_bert.json").read_text())["settings"]
    assert settings["decimal_mark"] == ","
    assert 1000 < settings["mean"] < 1400


def rows_of(*labels):
    return Examples(("t",) * len(labels), labels, range(1, len(labels) + 1), "a.csv")


def test_what_is_learned_is_standardised():
    task = Regression.of(rows_of("10", "20", "60"))
    targets = task.targets(rows_of("10", "20", "60"), None)
    assert targets.tolist() == [10, 20, 60]
    wanted = (targets - 30) / targets.std()
    outputs = torch.zeros(3, 1)
    assert float(task.loss(outputs, torch.from_numpy(targets))) == pytest.approx(
        np.square(wanted).sum()
    )
    assert task.chance_loss(targets) == pytest.approx(1)
    assert task.values(wanted[:, None].astype(np.float32))[:, 0] == pytest.approx(targets)


def test_outliers_are_said(caplog):
    with caplog.at_level(logging.INFO):
        Regression.of(rows_of(*map(str, range(20)), "9999"))
    assert "Numbers from 0 to 9999" in caplog.text
    assert "1 number lies far from all others, half of which are 5 to 15: 9999" in caplog.text
    assert "9999 ('a.csv', line 21)" in caplog.text


def test_what_there_is_nothing_to_learn_from():
    with pytest.raises(DataError, match="has one value only, 3: there is nothing to learn"):
        Regression.of(rows_of("3", "3.0", "3"))
    with pytest.raises(DataError, match="line 2: the label 'good' is no number"):
        Regression.of(rows_of("3", "good"))
    with pytest.raises(ConfigError, match="--class-weights is for classes"):
        Regression.of(rows_of("3", "4"), class_weights="balanced")


def test_validation_numbers_that_are_all_the_same_rank_nothing():
    task, values = Regression(("value",)), np.array([[3.0], [4.0]])
    assert task.tuning_notes(values, np.array([3.5, 4.5])) == ("", "")
    said = task.tuning_notes(values, np.array([3.5, 3.5]))[1]
    assert said.startswith("Every validation number is 3.5: correlations are 0 there")


def test_numbers_that_are_all_the_same_have_no_correlation(trained, tmp_path):
    _, result = trained
    rows = "text,price\n" + "\n".join(f"{word} bad,1000.5" for word in GOOD) + "\n"
    (tmp_path / "same.csv").write_text(rows, encoding="utf-8")
    found = lora_bert.evaluate(result.path, tmp_path / "same.csv", report=tmp_path / "r.html")
    assert [figure.name for figure in found.shown] == ["rmse", "mae"]
    assert "spearman" not in found.as_dict()
    assert "Spearman" not in found.text()
    (tmp_path / "train.csv").write_text(rows + "bad slow,7\nbad cold,8\n", encoding="utf-8")
    options = {"validation": tmp_path / "same.csv", "label_column": "price", "epochs": 1,
               "task": "regression", "backbone": lora_bert.load(result.path).places[1]}  # fmt: skip
    lora_bert.train(tmp_path / "train.csv", output=tmp_path / "a", **options)
    with pytest.raises(ConfigError, match="the validation rows say nothing of it; they have 'rmse"):
        lora_bert.train(tmp_path / "train.csv", metric="pearson", output=tmp_path / "b", **options)


@pytest.mark.parametrize(
    ("labels", "settings"),
    [(["a", "b"], {}), ([], {}), (["a"], {"deviation": 0}), (["a"], {"mean": "3"}),
     (["a"], {"mean": float("nan")}), (["a"], {"decimal_mark": ";"})],
)  # fmt: skip
def test_settings_that_make_no_sense(labels, settings):
    with pytest.raises(AdapterError):
        Regression.restored(labels, settings)


def test_many_whole_numbers_are_asked_about(tmp_path):
    lines = ["text,label", *(f"text {at},{at % 400}" for at in range(1200))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="column 'label' holds 400 different whole numbers, 0 to 3"):
        lora_bert.train(tmp_path / "a.csv", output=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_layers_do_not_learn_under_a_fitted_head_unless_that_is_asked_for():
    from lora_bert.config import TrainConfig
    from lora_bert.training.methods import starts_fitted

    task = Regression.of(rows_of("1", "2"))
    assert not starts_fitted(TrainConfig(), task)
    assert starts_fitted(TrainConfig(head_start="probe"), task)
    assert starts_fitted(TrainConfig(method="head-only"), task)
