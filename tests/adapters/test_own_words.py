"""Adapters with which PEFT saved the word embeddings, as it does after a resize."""

from __future__ import annotations

import logging
from pathlib import Path

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import lora_bert
from lora_bert.adapters.loading import load_any
from lora_bert.errors import AdapterError
from tests.tiny import VOCABULARY

TEXTS = ["good food", "<ORDER> is late", "bad"]
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def saved(tiny_backbone, tmp_path):
    """A resized backbone and an adapter on it; its answers by PEFT itself."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_backbone)
    tokenizer.add_tokens(["<ORDER>", "<PHONE>"])
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        tiny_backbone, num_labels=2
    )
    model.resize_token_embeddings(len(tokenizer))
    base = tmp_path / "resized"
    model.base_model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    config = peft.LoraConfig(
        task_type="SEQ_CLS", target_modules=["query"], r=4, init_lora_weights=False,
        modules_to_save=["pooler", "classifier"],
    )  # fmt: skip
    wrapped = peft.get_peft_model(model, config).eval()
    place = tmp_path / "adapter"
    wrapped.save_pretrained(place, save_embedding_layers=True)
    tokenizer.save_pretrained(place)
    with torch.no_grad():
        batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
        expected = wrapped(**batch).logits.softmax(-1).numpy()
    return base, place, expected


def answers(place: Path, base: Path):
    found = lora_bert.load(place, backbone=str(base), labels=["a", "b"], dtype="float32")
    return found.probabilities(TEXTS)


def test_they_are_those_of_the_backbone(saved, caplog):
    base, place, expected = saved
    names = load_file(place / WEIGHTS)
    assert any("word_embeddings" in name for name in names)
    assert abs(answers(place, base) - expected).max() < 1e-5
    assert "word embeddings of its own" not in caplog.text


def test_a_backbone_that_was_not_resized(saved, tiny_backbone, caplog, tmp_path):
    """What the adapter was trained with is what it brings along."""
    _, place, expected = saved
    caplog.set_level(logging.INFO, "lora_bert")
    assert abs(answers(place, tiny_backbone) - expected).max() < 1e-5
    assert f"word embeddings of its own, {len(VOCABULARY) + 2} rows" in caplog.text
    lora_bert.merge(place, tmp_path / "m", backbone=str(tiny_backbone), labels="a,b")
    merged = lora_bert.load(tmp_path / "m", dtype="float32")
    assert abs(merged.probabilities(TEXTS) - expected).max() < 1e-5
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "m")
    assert theirs.config.vocab_size == len(VOCABULARY) + 2


def test_the_shared_backbone_stays_as_it_is(saved, tiny_backbone, adapter):
    before = lora_bert.load(adapter, backbone=str(tiny_backbone)).probabilities(["good"])
    answers(saved[1], tiny_backbone)
    after = lora_bert.load(adapter, backbone=str(tiny_backbone)).probabilities(["good"])
    assert (before == after).all()


def spoil(place: Path, change) -> None:
    tensors = load_file(place / WEIGHTS)
    change(tensors)
    save_file(tensors, place / WEIGHTS, metadata={"format": "pt"})


def test_embeddings_of_another_width(saved):
    base, place, _ = saved
    name = next(name for name in load_file(place / WEIGHTS) if "word_embeddings" in name)
    spoil(place, lambda tensors: tensors.update({name: torch.zeros(5, 7)}))
    with pytest.raises(AdapterError, match=r"word embeddings, \[5, 7\], do not fit"):
        load_any(place, backbone=str(base))


@pytest.mark.parametrize(
    "name",
    ["bert.embeddings.position_embeddings.weight", "bert.encoder.layer.0.output.dense.weight",
     "bert.embeddings.word_embeddings.lora_embedding_A"],
)  # fmt: skip
def test_other_parts_of_the_backbone_are_named(name, saved):
    base, place, _ = saved
    spoil(place, lambda tensors: tensors.update({f"base_model.model.{name}": torch.zeros(4, 32)}))
    with pytest.raises(AdapterError, match=f"changes '{name}', a part of the backbone") as caught:
        load_any(place, backbone=str(base))
    assert "merge_and_unload" in caught.value.hint


@pytest.mark.parametrize("resized", [False, True])
def test_word_embeddings_that_were_trained(resized, tiny_backbone, tmp_path):
    """``modules_to_save`` names them: PEFT saves them once, or three times after a resize."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_backbone)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        tiny_backbone, num_labels=2
    )
    if resized:
        tokenizer.add_tokens(["<ORDER>"])
        model.resize_token_embeddings(len(tokenizer))
    config = peft.LoraConfig(
        task_type="SEQ_CLS", target_modules=["query"], r=4, init_lora_weights=False,
        modules_to_save=["pooler", "classifier", "word_embeddings"],
    )  # fmt: skip
    wrapped = peft.get_peft_model(model, config).eval()
    with torch.no_grad():
        for name, tensor in wrapped.named_parameters():
            if tensor.requires_grad and "embeddings" in name:
                tensor.add_(torch.randn_like(tensor) * 0.3)
        place = tmp_path / "adapter"
        wrapped.save_pretrained(place)
        tokenizer.save_pretrained(place)
        batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
        expected = wrapped(**batch).logits.softmax(-1).numpy()
    assert abs(answers(place, tiny_backbone) - expected).max() < 1e-5
