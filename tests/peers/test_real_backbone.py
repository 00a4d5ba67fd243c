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
    ours = lora_bert.load(tmp_path / "adapter", dtype="float32").predict(TEXTS)
    theirs = elsewhere(PIPELINE, str(tmp_path / "merged"), json.dumps(TEXTS))["found"]
    for answer, scores in zip(ours, theirs, strict=True):
        for entry in scores:
            assert entry["score"] == pytest.approx(answer.scores[entry["label"]], abs=1e-4)


@pytest.mark.slow
def test_english_backbone_on_intents(minilm, data_dir, tmp_path):
    result = lora_bert.train(
        train=data_dir / "banking77" / "train.csv",
        backbone=str(minilm),
        limit=1500,
        epochs=4,
        output=tmp_path / "adapter",
    )
    assert len(result.labels) == 77
    # By chance it would be 1.3 %.
    assert result.accuracy > 0.6
    merged = lora_bert.merge(tmp_path / "adapter", tmp_path / "merged")
    assert merged.difference < 1e-4


def test_chinese_on_an_english_backbone_is_warned_of(minilm, tmp_path, caplog):
    rows = [
        f"{label},味道{n}很{word}" for n in range(20) for label, word in (("0", "差"), ("1", "好"))
    ]
    (tmp_path / "zh.csv").write_text("label,text\n" + "\n".join(rows), encoding="utf-8")
    lora_bert.train(
        tmp_path / "zh.csv", backbone=str(minilm), epochs=1, output=tmp_path / "adapter"
    )
    assert any("% of the tokens are unknown" in message for message in caplog.messages)
