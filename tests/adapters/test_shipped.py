"""The adapter that ships with the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

import lora_bert

WAIMAI = Path(__file__).parents[2] / "adapters" / "waimai"


def test_answers_plain_cases():
    texts = ["送得很快，味道也好，下次还来", "等了两个小时，汤全洒了，差评"]
    found = lora_bert.load(WAIMAI).predict(texts)
    assert [answer.label for answer in found] == ["positive", "negative"]
    assert min(answer.score for answer in found) > 0.9


def test_is_the_one_that_was_written():
    said = {check.name: check.said for check in lora_bert.verify(WAIMAI).checks}
    assert "SHA-256" in said["weights"]
    assert "is kept" not in said["weights"]


def test_is_small():
    assert sum(path.stat().st_size for path in WAIMAI.iterdir()) < 5_000_000


@pytest.mark.slow
def test_scores_on_the_rows_its_training_held_out(data_dir, monkeypatch):
    monkeypatch.setenv("LORA_BERT_DATA", str(data_dir))
    found = lora_bert.evaluate(WAIMAI)
    assert found.scores.rows == 2398
    assert found.scores.accuracy >= 0.90
