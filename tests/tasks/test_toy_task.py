"""A task that is defined here alone goes the whole way: no room knows of it.

The stars of a review, as a number: one output, squared error.
"""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner

import lora_bert
from lora_bert.cli.app import cli
from lora_bert.errors import AdapterError, ConfigError, DataError
from lora_bert.inference.stream import predict_file
from lora_bert.metrics.metric import Metric
from lora_bert.tasks import problem_types
from lora_bert.tasks.base import HeadSpec, Task

GOOD, BAD = "good fine tasty fast".split(), "bad awful cold slow".split()


@dataclass(frozen=True)
class StarScores:
    rows: int
    mean_absolute_error: float

    @property
    def figures(self):
        return {"mean_absolute_error": self.mean_absolute_error}


class Stars(Task):
    problem_type: ClassVar[str] = "stars"
    metrics: ClassVar = (
        Metric("mean_absolute_error", "mean absolute error", higher_is_better=False, share=False),
    )

    def __init__(self, labels, middle):
        self.labels, self.middle = tuple(labels), middle

    @classmethod
    def of(cls, examples, *, class_weights="none"):
        return cls(["stars"], float(np.mean([float(label) for label in examples.labels])))

    @classmethod
    def restored(cls, labels, settings):
        if len(labels) != 1 or not isinstance(settings.get("middle"), float):
            raise AdapterError("it has no middle.")
        return cls(labels, settings["middle"])

    @property
    def settings(self):
        return {"middle": self.middle}

    def head(self):
        return HeadSpec(outputs=1)

    def targets(self, examples, tokens, *, hint=""):
        assert len(tokens) == len(examples)
        try:
            numbers = [float(label) for label in examples.labels]
        except ValueError as error:
            raise DataError(f"'{examples.source}': {error}") from error
        return np.array(numbers, dtype=np.float32)

    def loss(self, outputs, targets):
        return (outputs.float()[:, 0] + self.middle - targets).square().sum()

    def chance_loss(self, targets):
        return float(targets.var())

    def values(self, outputs):
        return (outputs + self.middle).astype(np.float32)

    def decode(self, values):
        return values[:, 0].tolist()

    def score(self, values, targets):
        return StarScores(len(targets), float(np.abs(values[:, 0] - targets).mean()))


@pytest.fixture(scope="module", autouse=True)
def registered():
    problem_types.register(Stars)
    yield
    problem_types.unregister("stars")


def write_reviews(path, rows, seed):
    """Reviews of five words, with a star for each good one."""
    chance = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for _ in range(rows):
            words = [chance.choice(chance.choice([GOOD, BAD])) for _ in range(5)]
            writer.writerow([" ".join(words), sum(word in GOOD for word in words) + 0.5])
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_backbone):
    place = tmp_path_factory.mktemp("stars")
    data = write_reviews(place / "reviews.csv", 240, 0)
    return data, lora_bert.train(
        data, task="stars", backbone=tiny_backbone, output=place / "a", epochs=6, test_fraction=0.2,
        learning_rate=1e-2, watch=["good good good"], trunk_cache="memory",
    )  # fmt: skip


def test_it_learns_and_is_kept_by_its_own_metric(trained):
    _, result = trained
    errors = [row["mean_absolute_error"] for row in result.history]
    assert result.best_epoch == 1 + int(np.argmin(errors))
    assert errors[result.best_epoch - 1] < 0.8  # the middle, 3, is 0.9 off on average
    assert result.evaluations["test"].as_dict().keys() == {"metric", "mean_absolute_error", "rows"}
    assert isinstance(result.watched[0].after, float)
    written = json.loads((result.path / "lora_bert.json").read_text())
    assert (written["problem_type"], written["labels"]) == ("stars", ["stars"])
    assert written["settings"].keys() == {"middle"}
    assert written["metrics"]["test"].keys() == {"mean_absolute_error", "rows"}
    run = (result.path / "run.yaml").read_text()
    assert "task: stars" in run
    assert "metric: mean_absolute_error" in run
    card = (result.path / "README.md").read_text()
    assert "| rows of | count | mean absolute error |" in card
    # There is no flag for the task: no command would train this.
    assert "lora-bert train" not in card
    assert "mean absolute error" in repr(result)
    assert "mean absolute error" in result._repr_html_()
    assert (result.path / "curve.png").is_file()


def test_it_is_loaded_and_answers_with_numbers(trained):
    predictor = lora_bert.load(trained[1].path)
    assert isinstance(predictor.task, Stars)
    best, worst = predictor.predict(["good tasty fine fast good", "bad awful slow cold bad"])
    assert 0 < worst < best < 6
    with pytest.raises(ConfigError, match="min_score and otherwise are for labels"):
        predictor.predict(["good"], min_score=0.5)


def test_info_shows_its_own_figures(trained, tmp_path):
    merged = lora_bert.merge(trained[1].path, tmp_path / "m").path
    for path in (trained[1].path, merged):
        shown = CliRunner().invoke(cli, ["info", str(path)]).stdout
        assert re.search(
            r"metrics +validation: mean absolute error 0\.\d{4} on \d+ rows; test", shown
        )
        assert "problem type     stars" in shown
    problem_types.unregister("stars")
    try:  # whoever does not know the task still sees its figures
        assert "mean absolute error 0." in CliRunner().invoke(cli, ["info", str(merged)]).stdout
    finally:
        problem_types.register(Stars)


def test_an_accuracy_that_there_is_not(trained):
    assert not hasattr(trained[1], "accuracy")


def test_what_a_task_says_in_numpy_is_written(trained, tmp_path, monkeypatch):
    decode = Stars.decode
    monkeypatch.setattr(Stars, "decode", lambda self, values: list(np.array(decode(self, values))))
    both = CliRunner().invoke(cli, ["infer", "--adapter", str(trained[1].path), "--json", "good"])
    assert isinstance(json.loads(both.stdout)[0]["prediction"], float)
    predict_file(lora_bert.load(trained[1].path), trained[0], tmp_path / "out.jsonl")
    first = json.loads((tmp_path / "out.jsonl").read_text("utf-8").splitlines()[0])
    assert isinstance(first["prediction"], float)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_it_infers_from_file_to_file(suffix, trained, tmp_path):
    data, result = trained
    predictor = lora_bert.load(result.path)
    rows = predict_file(predictor, data, tmp_path / f"out{suffix}")
    assert rows == 240
    text = (tmp_path / f"out{suffix}").read_text("utf-8")
    assert text.splitlines()[0].count("prediction") == (suffix == ".csv" or 1)
    assert "prob_" not in text


def test_the_command_line_infers_and_evaluates(trained, tmp_path):
    data, result = trained
    call = CliRunner().invoke
    one = call(cli, ["infer", "--adapter", str(result.path), "good fast"])
    assert one.exit_code == 0
    stars, text = one.stdout.strip().split("\t")
    assert (0 < float(stars) < 6, text) == (True, "good fast")
    both = call(cli, ["infer", "--adapter", str(result.path), "--json", "good", "bad"])
    assert [set(row) for row in json.loads(both.stdout)] == [{"text", "prediction"}] * 2
    told = call(cli, ["evaluate", str(result.path), "--json"])
    assert json.loads(told.stdout)["rows"] == 48
    out, page = tmp_path / "out", tmp_path / "page.html"
    shown = call(cli, ["evaluate", str(result.path), "--data", str(data), "--output", str(out),
                        "--report", str(page)])  # fmt: skip
    assert shown.stdout.startswith("mean absolute error")
    assert "stand in the training rows too" in " ".join(shown.stdout.split())
    assert [file.name for file in out.iterdir()] == ["evaluation.json"]
    assert "mean absolute error" in page.read_text("utf-8")
    assert "classes" not in page.read_text("utf-8").partition("<body>")[2]


def test_the_kept_adapter_is_scored_as_evaluate_does(trained):
    _, result = trained
    found = lora_bert.evaluate(result.path)
    assert found.metric == "mean_absolute_error"
    expected = result.evaluations["test"].scores.mean_absolute_error
    assert found.scores.mean_absolute_error == pytest.approx(expected, abs=1e-3)
    assert repr(found).startswith("Evaluation(mean absolute error ")
    assert "mean absolute error" in found._repr_html_()


@pytest.mark.parametrize("options", [{"baseline": True}, {"target_accuracy": 0.9}])
def test_what_only_classes_have_is_refused(options, trained):
    with pytest.raises(ConfigError, match="is for models that say which class a text is of"):
        lora_bert.evaluate(trained[1].path, **options)


@pytest.mark.parametrize("metric", ["macro_f1", "beauty"])
def test_another_tasks_metric_is_refused(metric, trained):
    for call in (
        lambda: lora_bert.train(trained[0], task="stars", metric=metric),
        lambda: lora_bert.evaluate(trained[1].path, metric=metric),
    ):
        with pytest.raises(ConfigError, match=f"metric: '{metric}' is not one of mean_absolute_er"):
            call()


def test_a_merged_model_answers_the_same(trained, tmp_path):
    place = lora_bert.merge(trained[1].path, tmp_path / "m").path
    adapter, merged = (
        lora_bert.load(path, dtype="float32").values(["good", "bad cold"])
        for path in (trained[1].path, place)
    )
    assert merged == pytest.approx(adapter, abs=1e-4)
    assert lora_bert.verify(place).passed


def test_an_exported_model_answers_the_same(trained, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    found = lora_bert.export(trained[1].path, tmp_path / "e", format="onnx", data=trained[0])
    assert found.accuracy is None
    adapter, exported = (
        lora_bert.load(path, dtype="float32").values(["good", "bad cold"])
        for path in (trained[1].path, found.path)
    )
    assert exported == pytest.approx(adapter, abs=1e-4)


def test_settings_that_the_task_cannot_read(trained, tmp_path):
    own = shutil.copytree(trained[1].path, tmp_path / "own")
    written = json.loads((own / "lora_bert.json").read_text())
    (own / "lora_bert.json").write_text(json.dumps(written | {"settings": {}}))
    with pytest.raises(AdapterError, match=r"lora_bert\.json': it has no middle\."):
        lora_bert.load(own)


def test_a_task_that_nobody_registered(trained):
    with pytest.raises(ConfigError, match="The problem type 'starz' is not supported") as caught:
        lora_bert.train(trained[0], task="starz")
    assert caught.value.hint == "Did you mean 'stars'?"


def test_settings_that_are_no_json_are_refused_before_the_training(
    trained, tiny_backbone, tmp_path, monkeypatch
):
    monkeypatch.setattr(Stars, "settings", {"middle": {3}})
    with pytest.raises(ConfigError, match="has settings of which set is no JSON value"):
        lora_bert.train(trained[0], task="stars", backbone=tiny_backbone, output=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_task_without_labels_is_refused_before_the_training(
    trained, tiny_backbone, tmp_path, monkeypatch
):
    monkeypatch.setattr(Stars, "of", classmethod(lambda cls, *_, **__: cls([], 3.0)))
    with pytest.raises(ConfigError, match="has no labels, which name its outputs"):
        lora_bert.train(trained[0], task="stars", backbone=tiny_backbone, output=tmp_path / "a")
    assert not (tmp_path / "a").exists()
