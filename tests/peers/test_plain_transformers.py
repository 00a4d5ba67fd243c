"""A merged model in a process that has neither peft nor lora-bert: plain ``transformers``."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lora_bert
from tests.oracle import elsewhere
from tests.tiny import FAMILIES

TEXTS = ["good tasty 7", "很好吃！", "bad, awful... slow slow late cold", "太慢了 3", "good " * 300]
PIPELINE = """
import json, sys
sys.modules["peft"] = sys.modules["lora_bert"] = None
from transformers import pipeline
found = {}
models, texts = json.loads(sys.argv[1])
for name, model in models.items():
    classify = pipeline("text-classification", model, truncation=True)
    found[name] = [classify(texts, top_k=None), classify(texts, batch_size=2)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def theirs(trained):
    models = {family: str(place / "merged") for family, place in trained.items()}
    return elsewhere(PIPELINE, json.dumps([models, TEXTS]))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_pipeline_gives_our_labels_and_probabilities(model_type, trained, theirs):
    every, best = theirs[model_type]
    ours = lora_bert.load(trained[model_type] / "adapter", dtype="float32").predict(TEXTS)
    for answer, scores, likeliest in zip(ours, every, best, strict=True):
        found = {entry["label"]: entry["score"] for entry in scores}
        assert found.keys() == {"negative", "positive"}
        for label, probability in answer.scores.items():
            assert found[label] == pytest.approx(probability, abs=1e-5)
        assert likeliest["label"] == answer.label
        assert likeliest["score"] == pytest.approx(answer.score, abs=1e-5)
    spread = np.ptp([answer.scores["positive"] for answer in ours])
    assert spread > 3e-4


def test_the_card_says_how(trained):
    card = (trained["bert"] / "merged" / "README.md").read_text()
    assert 'pipeline("text-classification", model="THIS_DIRECTORY", truncation=True)' in card
