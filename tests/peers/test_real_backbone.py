"""The whole way on the backbone that ships: train, merge, and plain transformers agrees."""

from __future__ import annotations

import json

import pytest

import lora_bert
from tests.oracle import elsewhere

TEXTS = ["很好吃，送得也快！", "太慢了，饭都凉了。。。", "The delivery was fast 👍", "差评", ""]
PIPELINE = """
import json, sys
sys.modules["peft"] = sys.modules["lora_bert"] = None
from transformers import pipeline
classify = pipeline("text-classification", sys.argv[1], truncation=True)
print(json.dumps({"found": classify(json.loads(sys.argv[2]), top_k=None)}))
"""


@pytest.mark.slow
def test_embedded_backbone_on_takeaway_mini(tmp_path):
    result = lora_bert.train(
        output=tmp_path / "adapter", epochs=1, layers="top:4", max_length=64, clean=True
    )
    assert result.labels == ("negative", "positive")
    assert result.size < 5_000_000
    merged = lora_bert.merge(tmp_path / "adapter", tmp_path / "merged")
    assert merged.difference < 1e-4
    ours = lora_bert.load(tmp_path / "adapter").predict(TEXTS)
    theirs = elsewhere(PIPELINE, str(tmp_path / "merged"), json.dumps(TEXTS))["found"]
    for answer, scores in zip(ours, theirs, strict=True):
        for entry in scores:
            assert entry["score"] == pytest.approx(answer.scores[entry["label"]], abs=1e-4)
