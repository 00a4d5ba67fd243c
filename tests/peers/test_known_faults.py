"""What has gone wrong elsewhere, each with where it was reported, and that it does not here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, pipeline

import lora_bert
from lora_bert.adapters.loading import load_any
from lora_bert.backbones.weights import write_safetensors
from lora_bert.errors import AdapterError
from lora_bert.model.forward import logits
from lora_bert.training.trainer import Trainer
from tests.oracle import random_adapter, random_batch, tiny_engine

TEXTS = ["good tasty fast", "awful slow late", "很好吃"]
WEIGHTS = "adapter_model.safetensors"


def probabilities(path, **options):
    return torch.from_numpy(lora_bert.load(path, dtype="float32", **options).probabilities(TEXTS))


@pytest.fixture
def three(tiny_backbone, reviews, tmp_path):
    """A training on three classes, whose labels sort otherwise as numbers than as texts."""
    rows = reviews.read_text(encoding="utf-8").splitlines()[1:]
    names = ["zebra", "10", "9"]
    lines = [f"{names[at % 3]},{row.split(',')[1]}" for at, row in enumerate(rows)]
    data = tmp_path / "three.csv"
    data.write_text("label,review\n" + "\n".join(lines) + "\n", encoding="utf-8")
    place = tmp_path / "three"
    return lora_bert.train(data, backbone=str(tiny_backbone), output=place, epochs=1)


def test_the_head_is_saved_and_is_what_answers(adapter):
    """peft#310, peft#577, peft#876, transformers#26160: head lost, or random after reload."""
    saved = load_file(adapter / WEIGHTS)
    for part in ("classifier.weight", "classifier.bias", "bert.pooler.dense.weight"):
        assert f"base_model.model.{part}" in saved
    assert torch.equal(probabilities(adapter), probabilities(adapter))
    torch.manual_seed(7)
    assert torch.equal(probabilities(adapter), probabilities(adapter))


def test_a_head_that_was_not_saved_is_an_error(adapter, tmp_path):
    """peft#876: a classifier that is missing is filled at random, silently."""
    own = Path(shutil.copytree(adapter, tmp_path / "own"))
    kept = {name: one for name, one in load_file(own / WEIGHTS).items() if "classifier" not in name}
    save_file(kept, own / WEIGHTS)
    with pytest.raises(AdapterError, match="filling it at random"):
        lora_bert.load(own)


def test_label_names_and_their_order_come_through(three, tiny_backbone, tmp_path):
    """peft#1486, unsloth-zoo#1087: train, save, load, merge, plain transformers."""
    order = ("10", "9", "zebra")
    assert three.labels == lora_bert.load(three.path).labels == order
    lora_bert.merge(three.path, tmp_path / "merged")
    assert lora_bert.load(tmp_path / "merged").labels == order
    ours = probabilities(three.path)
    classify = pipeline("text-classification", model=str(tmp_path / "merged"), top_k=None)
    for text, row in zip(TEXTS, ours, strict=True):
        theirs = {entry["label"]: entry["score"] for entry in classify([text])[0]}
        assert theirs == pytest.approx(dict(zip(order, row.tolist(), strict=True)), abs=1e-4)


def test_the_number_of_labels_is_the_adapters(three):
    """peft#554: the base model's num_labels decides, and shapes do not fit."""
    assert probabilities(three.path).shape == (3, 3)
    assert load_file(three.path / WEIGHTS)["base_model.model.classifier.weight"].shape[0] == 3


def test_all_linear_never_wraps_the_head(adapter):
    """peft#2027: all-linear adapts the classifier too, and saves it twice."""
    names = [name for name in load_file(adapter / WEIGHTS) if "lora_" in name]
    assert names
    assert not [name for name in names if "classifier" in name or "pooler" in name]


def test_adapters_with_and_without_a_pooler_side_by_side(adapter, tiny_backbone, tmp_path):
    """peft#1574: modules_to_save of the one break the other."""
    model = AutoModelForSequenceClassification.from_pretrained(tiny_backbone, num_labels=2)
    settings = LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"])
    get_peft_model(model, settings).save_pretrained(tmp_path / "plain")
    before = probabilities(adapter)
    assert probabilities(tmp_path / "plain", backbone=str(tiny_backbone)).shape == (3, 2)
    assert torch.equal(probabilities(adapter), before)


def test_the_head_that_answers_is_that_of_the_adapter_asked():
    """peft#1676, peft#1960: after switching adapters another one's head answers."""
    backbone = tiny_engine("bert")
    one, other = (random_adapter(backbone, labels=count, seed=count) for count in (2, 5))
    batch = random_batch([4, 4]).tokens
    first = logits(backbone, batch, one)
    for _ in range(2):
        assert logits(backbone, batch, other).shape == (2, 5)
        assert torch.equal(logits(backbone, batch, one), first)


def test_resume_goes_on_with_optimizer_schedule_and_order(
    tiny_backbone, reviews, tmp_path, monkeypatch
):
    """transformers#24252, transformers#36201: a resumed run trains otherwise than a whole one."""
    train_step = Trainer.step

    def stopped(self, group):
        train_step(self, group)
        if self.progress.step == 8:
            raise KeyboardInterrupt

    def train(name, **options):
        return lora_bert.train(reviews, backbone=str(tiny_backbone), output=tmp_path / name,
                               epochs=2, batch_size=8, dropout=0.1, **options)  # fmt: skip

    whole = train("whole")
    monkeypatch.setattr(Trainer, "step", stopped)
    assert train("out").interrupted
    monkeypatch.undo()
    assert train("out", resume=True).resumed_at == 8
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (whole.path / WEIGHTS).read_bytes()


def test_evaluation_needs_no_label_names(adapter, reviews):
    """peft#1120: without label_names there are no metrics."""
    found = lora_bert.evaluate(adapter, reviews)
    assert found.scores.rows == 60
    assert 0 <= found.scores.accuracy <= 1


def test_gradient_checkpointing_trains(tiny_backbone, reviews, tmp_path):
    """transformers#42489: with checkpointing the adapter gets no gradient, silently."""

    def train(name, **options):
        lora_bert.train(reviews, backbone=str(tiny_backbone), output=tmp_path / name, epochs=1,
                        dtype="float32", layers="all", head_start="random", **options)  # fmt: skip
        return load_file(tmp_path / name / WEIGHTS)

    plain, checkpointed = train("plain"), train("checkpointed", gradient_checkpointing=True)
    for name, tensor in checkpointed.items():
        if "lora_B" in name:  # they begin at zero
            assert tensor.abs().max() > 0, name
        assert torch.allclose(tensor, plain[name], atol=1e-4), name


def test_local_paths_need_no_network(adapter, tiny_backbone, monkeypatch):
    """transformers#31700: a local directory is asked for on the hub. Sockets are shut here."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert lora_bert.load(adapter, backbone=str(tiny_backbone)).predict(["good"])


def test_unknown_keys_of_a_newer_peft_are_no_error(adapter, tmp_path):
    """peft#2275: a key that this version does not know ends in a TypeError."""
    own = Path(shutil.copytree(adapter, tmp_path / "own"))
    path = own / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "from_the_future": {"x": 1}}))
    assert torch.equal(probabilities(own), probabilities(adapter))


def test_memory_is_flat_over_many_rows(adapter):
    """transformers#20887: predictions are gathered until memory is full. Parts are let go here.

    A million rows are measured in benchmarks/growth.py.
    """
    taken = []

    def parts():
        for number in range(30):
            taken.append(number)
            yield TEXTS * 20

    for number, found in enumerate(lora_bert.load(adapter).stream(parts())):
        assert found.shape == (60, 2)
        assert len(taken) <= number + 3  # no more is read than is being computed


def test_shared_tensors_are_saved(tmp_path):
    """safetensors#202: weights that share their memory cannot be saved."""
    tensor = torch.arange(16.0).view(4, 4)
    write_safetensors(tmp_path / "m", {"a": tensor, "tied": tensor, "part": tensor[:2]})
    found = load_file(tmp_path / "m")
    assert torch.equal(found["tied"], tensor)
    assert torch.equal(found["part"], tensor[:2])


def test_the_head_is_float32_on_a_bfloat16_backbone(tiny_backbone, reviews, tmp_path):
    """Seen with peft 0.21: pooler and classifier stay in bfloat16 if the backbone is."""
    lora_bert.train(reviews, backbone=str(tiny_backbone), output=tmp_path / "a", epochs=1,
                    dtype="bfloat16")  # fmt: skip
    saved = load_file(tmp_path / "a" / WEIGHTS)
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    loaded = load_any(tmp_path / "a", dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in loaded.adapter.tensors} == {torch.float32}


def test_plain_peft_opens_what_we_save(adapter, tiny_backbone):
    """The other way round of all of these."""
    base = AutoModelForSequenceClassification.from_pretrained(tiny_backbone, num_labels=2)
    model = PeftModel.from_pretrained(base, str(adapter)).eval()
    loaded = load_any(adapter)
    encodings = loaded.tokenizer.encode(TEXTS)
    padded = encodings.pad(range(3), int(encodings.lengths.max()))
    ids, mask = torch.tensor(padded.ids), torch.tensor(padded.mask)
    with torch.no_grad():
        theirs = model(input_ids=ids, attention_mask=mask.long()).logits.softmax(-1)
    assert torch.allclose(theirs, probabilities(adapter), atol=1e-5)
