"""The bundle: JSON keys, text, and that nothing heavy loads with it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from lora_bert.data.examples import Examples
from lora_bert.evaluation.baseline import tfidf_baseline
from lora_bert.evaluation.result import judge
from lora_bert.metrics.intervals import bootstrap
from lora_bert.tasks.single_label import SingleLabel


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 80)
    probabilities = rng.dirichlet(np.ones(3), 80)
    probabilities[np.arange(80), true] += 0.5
    return probabilities / probabilities.sum(axis=1, keepdims=True), true


def test_as_dict_is_json_and_says_what_was_scored(rows):
    probabilities, true = rows
    result = judge(SingleLabel(("a", "差", "c")), probabilities, true)
    document = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert set(document) == {
        "metric",
        "accuracy",
        "macro_f1",
        "weighted_f1",
        "log_loss",
        "rows",
        "interval",
        "macro_f1_interval",
        "calibration",
        "coverage",
        "threshold",
        "target",
        "out_of_scope",
        "overlap",
        "against",
        "baseline",
        "labels",
        "per_class",
        "confusion",
    }
    predicted = probabilities.argmax(axis=1)
    assert document["accuracy"] == np.mean(predicted == true)
    assert document["interval"] == list(bootstrap(true, predicted, "accuracy"))
    assert document["macro_f1_interval"] == list(bootstrap(true, predicted, "macro_f1"))
    assert document["labels"] == ["a", "差", "c"]
    assert document["per_class"][1]["label"] == "差"
    assert np.sum(document["confusion"]) == document["rows"] == 80
    assert document["baseline"] is None


def test_baseline_in_the_dict_and_the_text(rows):
    train = Examples(("good", "bad"), ("a", "c"), (2, 3), "train.csv")
    test = Examples(("good", "bad"), ("a", "a"), (2, 3), "test.csv")
    baseline = tfidf_baseline(
        SingleLabel(("a", "b", "c")), (train, np.array([0, 2])), (test, np.array([0, 0])),
        np.array([[1, 0, 0], [1, 0, 0]]), metric="accuracy",
    )  # fmt: skip
    result = judge(SingleLabel(("a", "b", "c")), *rows, baseline=baseline)
    document = json.loads(json.dumps(result.as_dict()))
    assert document["baseline"]["accuracy"] == 0.5
    assert document["baseline"]["interval"] == [0.0, 1.0]
    assert document["baseline"]["description"] == "TF-IDF (word 1–2-grams) + LinearSVC"
    assert "baseline     TF-IDF" in result.text()


def test_what_was_asked_for_is_in_the_dict(rows):
    probabilities, true = rows
    found = judge(SingleLabel(("a", "b", "c")), probabilities, true, metric="macro_f1",
                  target_accuracy=0.9,
                  outside=(("x", "y"), probabilities[:7]))  # fmt: skip
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert document == found.as_dict()
    assert document["metric"] == "macro_f1"
    assert document["target"]["reached"]["accuracy"] >= 0.9
    assert document["target"]["expected"].keys() == document["coverage"][0].keys()
    assert (document["out_of_scope"]["labels"], document["out_of_scope"]["rows"]) == (["x", "y"], 7)
    assert document["calibration"]["verdict"] == found.calibration.verdict


def test_text_has_summary_classes_and_confusions(rows):
    text = judge(SingleLabel(("a", "b", "c")), *rows).text(100)
    assert text.startswith("accuracy ")
    assert "\n\nclass  precision" in text
    assert "\n\nconfusion (line" in text


def test_importing_the_room_loads_nothing_heavy():
    code = (
        "import sys, lora_bert.evaluation.evaluate; "
        "print([m for m in ('torch', 'sklearn', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
