"""Small backbones and adapters made after what people reported, where they are here."""

from __future__ import annotations

from pathlib import Path

import pytest

import lora_bert
from lora_bert.errors import BackboneError, DataError
from tests.conftest import real


@pytest.fixture(scope="module")
def reports() -> Path:
    return real("LORA_BERT_FIELD_REPORTS", "field_reports")


@pytest.fixture(autouse=True)
def own_notes(monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    "name", ["bb_added_tokens", "bb_deberta_spm_only", "bb_st_old", "bb_multilabel_classifier"]
)
def test_trained_on_and_opened(name, reports, tmp_path):
    out = tmp_path / "a"
    data = str(reports / "small.csv")
    lora_bert.train(data, backbone=str(reports / name), output=out, epochs=1)
    assert lora_bert.load(out).predict(["really good value"])
    assert lora_bert.verify(out).passed
    lora_bert.merge(out, tmp_path / "m")
    assert lora_bert.load(tmp_path / "m").manifest.problem_type == "single_label_classification"


def test_a_text_with_an_added_token(reports, tmp_path):
    data = str(reports / "with_added_token.csv")
    with pytest.raises(DataError, match=r"with_added_token\.csv', line \d+: the text holds '<ORD"):
        lora_bert.train(
            data, backbone=str(reports / "bb_added_tokens"), output=tmp_path / "a", epochs=1
        )


def test_a_multi_label_classifier_gives_each_label_a_yes_or_a_no(reports):
    (answer,) = lora_bert.load(reports / "bb_multilabel_classifier").predict(["good day"])
    assert list(answer.scores) == ["toxic", "insult", "spam"]
    assert answer.labels == tuple(name for name, share in answer.scores.items() if share >= 0.5)


def test_refused_by_name(reports, tmp_path):
    data = str(reports / "small.csv")
    with pytest.raises(BackboneError, match="has no 'model_type'") as caught:
        lora_bert.train(data, backbone=str(reports / "bb_no_model_type"), output=tmp_path / "a")
    assert '"model_type": "bert"' in caught.value.hint
    with pytest.raises(BackboneError, match="is an adapter, trained on the backbone 'bb/tiny_res"):
        lora_bert.train(
            data, backbone=str(reports / "peft_embeddings_saved"), output=tmp_path / "a"
        )


def test_pefts_adapter_with_embeddings(reports):
    found = lora_bert.load(
        reports / "peft_embeddings_saved", backbone=str(reports / "bb_tiny_resized"),
        labels=["negative", "positive"],
    )  # fmt: skip
    assert found.predict(["<ORDER> never again", "really good value"])
