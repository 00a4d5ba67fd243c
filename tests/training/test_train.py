"""``train``: from a file to an adapter, the same each time, and words for what cannot work."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import lora_bert
from lora_bert.errors import ConfigError, DataError, DivergedError, OutputError
from lora_bert.training import fit
from lora_bert.training.learner import BranchLearner
from tests.tiny import FAMILIES, write_backbone

LEARNS = {"epochs": 12, "batch_size": 8, "learning_rate": 0.003, "dtype": "float32"}


@pytest.fixture
def train(tiny_backbone, reviews, tmp_path):
    """Train on the reviews into a new directory."""
    made = iter(range(99))

    def call(data=reviews, **options):
        usual = {"backbone": str(tiny_backbone), "epochs": 1, "head_start": "random"}
        return lora_bert.train(data, **usual | {"output": tmp_path / f"{next(made)}"} | options)

    return call


def weights(result):
    return load_file(result.path / "adapter_model.safetensors")


def test_it_learns_the_tiny_data(train, reviews):
    result = train(**LEARNS)
    assert result.accuracy >= 0.9
    losses = [row["train_loss"] for row in result.history]
    assert losses[-1] < 0.5 * losses[0]
    assert lora_bert.evaluate(result.path, reviews).scores.accuracy >= 0.9
    answers = lora_bert.load(result.path).predict(["good tasty fast", "awful slow late"])
    assert [answer.label for answer in answers] == ["positive", "negative"]


def test_scores_are_told_by_the_metric_that_was_asked_for(train):
    result = train(epochs=1, metric="macro_f1")
    assert result.as_dict()["validation"]["metric"] == "macro_f1"
    assert result.evaluations["validation"].summary().startswith("macro-F1 ")


def test_result(train, tiny_backbone):
    result = train(epochs=2)
    saved = weights(result)
    assert result.labels == ("negative", "positive")
    assert len(result.history) == 2
    assert result.best_epoch in (1, 2)
    assert result.trainable == sum(tensor.numel() for tensor in saved.values())
    assert result.size == sum(path.stat().st_size for path in result.path.iterdir())
    frozen = load_file(tiny_backbone / "model.safetensors")
    encoder = sum(part.numel() for name, part in frozen.items() if "pooler" not in name)
    assert result.total == encoder + result.trainable
    json.dumps(result.as_dict())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_same_seed_same_bytes_other_seed_others(train, dtype):
    one, other, third = (
        train(dtype=dtype, dropout=0.1, seed=seed, epochs=2).path for seed in (3, 3, 4)
    )
    for path in one.iterdir():
        if path.suffix != ".png":
            assert (other / path.name).read_bytes() == path.read_bytes(), path.name
    name = "adapter_model.safetensors"
    assert (third / name).read_bytes() != (one / name).read_bytes()


def test_nothing_outside_decides(train):
    one = train()
    torch.manual_seed(99)
    np.random.seed(99)
    other = train()
    assert all(torch.equal(part, weights(other)[name]) for name, part in weights(one).items())


def test_the_kept_epochs_figures_are_the_adapters(train, reviews):
    result = train(**LEARNS | {"epochs": 4, "metric": "log_loss", "dtype": "float32"})
    best = min(row["log_loss"] for row in result.history)
    assert result.history[result.best_epoch - 1]["log_loss"] == best
    assert result.evaluations["validation"].scores.log_loss == pytest.approx(best, abs=1e-6)
    scored = lora_bert.evaluate(result.path, reviews, part="validation", dtype="float32")
    assert scored.scores.log_loss == pytest.approx(best, abs=1e-6)


def test_a_test_part_is_scored_once_at_the_end(train):
    result = train(test_fraction=0.2)
    assert set(result.evaluations) == {"validation", "test"}
    said = json.loads((result.path / "lora_bert.json").read_text())
    assert set(said["metrics"]) == {"validation", "test"}
    assert said["data"]["rows"]["test"] == 12


def test_ctrl_c_still_writes_an_adapter(train, monkeypatch):
    inner = fit.validate
    calls = iter(range(99))

    def stop_in_the_third_epoch(*arguments):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return inner(*arguments)

    monkeypatch.setattr(fit, "validate", stop_in_the_third_epoch)
    result = train(epochs=9)
    assert result.interrupted
    assert len(result.history) == 2
    assert result.best_epoch in (1, 2)
    assert lora_bert.load(result.path).predict(["good"])


@pytest.mark.parametrize("batch_size", [8, 64])
def test_divergence_leaves_nothing_behind(batch_size, train, tmp_path):
    # With one batch an epoch the loss is fine, and the step after it breaks the weights.
    with pytest.raises(DivergedError) as caught:
        train(weight_decay=1e300, batch_size=batch_size, output=tmp_path / "gone")
    assert caught.value.hint == "Lower learning_rate."
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("model_type", ["roberta", "modernbert"])
def test_maximum_length_is_the_backbones(model_type, train, tmp_path):
    # RoBERTa's positions start behind its padding id: 130 of them are for 128 tokens.
    backbone = str(write_backbone(tmp_path / "b", model_type))
    longest = 128 if model_type == "roberta" else 130
    said = json.loads((train(backbone=backbone).path / "lora_bert.json").read_text())
    assert said["max_length"] == longest
    assert train(backbone=backbone, max_length=longest)
    with pytest.raises(ConfigError, match=f"positions for {longest} tokens"):
        train(backbone=backbone, max_length=longest + 1)


def test_texts_as_long_as_can_be(train, tmp_path):
    rows = [f"{number % 2},{'good bad ' * 100}" for number in range(20)]
    (tmp_path / "long.csv").write_text("\n".join(["label,text", *rows]))
    for model_type in FAMILIES:
        backbone = write_backbone(tmp_path / model_type, model_type)
        assert train(tmp_path / "long.csv", backbone=str(backbone))


def test_cut_texts_and_unknown_tokens_are_said(train, tmp_path, caplog):
    rows = [f"{number % 2},{'zebra ☃ good ' * 3}" for number in range(20)]
    (tmp_path / "odd.csv").write_text("\n".join(["label,text", *rows]), encoding="utf-8")
    train(tmp_path / "odd.csv", max_length=8)
    assert "100.0 % of the training texts are longer than 8 tokens" in caplog.text
    assert "% of the tokens are unknown to the backbone 'tiny-bert'" in caplog.text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rank": 0}, "rank=0"),
        ({"method": "head-only", "rank": 4}, "^rank says how layers are adapted"),
        ({"method": "head-only", "layers": "top:1"}, "^layers says how layers are adapted"),
        ({"method": "head-only", "alpha": 4}, "^alpha says how layers are adapted"),
        ({"target_modules": "qwery"}, "'qwery' matches no linear layer"),
        ({"layers": "top:9"}, "the backbone has 4 layers"),
        ({"learning_rate": 0}, "^learning_rate: 0 is too small"),
        ({"epochs": 0}, "^epochs: 0 is too small"),
        ({"max_length": 131}, "positions for 130"),
        ({"metric": "recall"}, "^metric: 'recall' is not one of"),
        ({"learnin_rate": 1}, "Unknown option 'learnin_rate'"),
    ],
)
def test_mistakes_are_found_before_the_data_are_read(options, sentence, train, tmp_path):
    with pytest.raises(ConfigError, match=sentence):
        train(tmp_path / "not-even-here.csv", **options)


def test_the_head_alone_on_the_frozen_backbone(train, reviews, tmp_path, tiny_backbone):
    result = train(method="head-only", **LEARNS | {"epochs": 30, "learning_rate": 0.03})
    assert result.accuracy >= 0.8
    names = {name.removeprefix("base_model.model.") for name in weights(result)}
    assert names == {
        f"{part}.{kind}" for part in ("bert.pooler.dense", "classifier")
        for kind in ("weight", "bias")
    }  # fmt: skip
    assert "the head alone" in (result.path / "README.md").read_text()
    merged = lora_bert.merge(result.path, tmp_path / "merged")
    assert merged.difference < 1e-4
    encoder, before = (
        load_file(place / "model.safetensors") for place in (tmp_path / "merged", tiny_backbone)
    )
    for name, tensor in before.items():
        if "pooler" not in name:
            assert torch.equal(encoder[f"bert.{name}"], tensor)


def test_texts_that_are_watched(train, tmp_path):
    texts = ("good tasty fast", "awful slow late")
    result = train(watch=texts, **LEARNS)
    assert [one.text for one in result.watched] == list(texts)
    assert [one.after.label for one in result.watched] == ["positive", "negative"]
    after = lora_bert.load(result.path, dtype="float32").predict(texts)
    for one, answer in zip(result.watched, after, strict=True):
        assert one.after.scores == pytest.approx(answer.scores, abs=1e-5)
        assert one.before.score < one.after.score
    again = train(watch=texts[:1], **LEARNS | {"epochs": 1})
    assert again.watched[0].before.score == pytest.approx(result.watched[0].before.score, abs=1e-5)
    assert not train().watched


def test_texts_that_are_watched_are_not_kept(train):
    place = train(watch=("a text of mine",), epochs=1).path
    for path in place.glob("*"):
        assert b"a text of mine" not in path.read_bytes(), path


def test_a_label_that_training_never_saw(train, tmp_path):
    (tmp_path / "train.csv").write_text("label,text\n" + "a,good\nb,bad\n" * 6)
    (tmp_path / "validation.csv").write_text("label,text\na,good\nc,bad\n")
    with pytest.raises(DataError, match="'c'"):
        train(tmp_path)


def test_output_that_is_taken(train, tmp_path, adapter):
    result = train(output=tmp_path / "mine")
    before = weights(result)
    with pytest.raises(OutputError, match="not empty"):
        train(output=tmp_path / "mine", seed=9)
    assert all(torch.equal(part, before[name]) for name, part in weights(result).items())
    again = train(output=tmp_path / "mine", seed=9, overwrite=True)
    assert not all(torch.equal(part, before[name]) for name, part in weights(again).items())


def test_the_cards_command_names_a_precision_that_is_not_the_usual_one(train, monkeypatch):
    monkeypatch.setattr("lora_bert.runtime.device._bfloat16_is_fast", lambda _: True)
    exact, usual = (train(dtype=dtype).path / "README.md" for dtype in ("float32", "auto"))
    assert "--dtype float32" in exact.read_text()
    assert "--dtype" not in usual.read_text()


def scaled_backbone(directory, model_type, pattern, factor):
    """A tiny backbone of which the tensors with ``pattern`` in their name are scaled."""
    path = write_backbone(directory, model_type)
    tensors = load_file(path / "model.safetensors")
    scaled = {name: part * factor for name, part in tensors.items() if pattern in name}
    assert scaled
    save_file(tensors | scaled, path / "model.safetensors", metadata={"format": "pt"})
    return str(path)


@pytest.mark.parametrize("options", [{}, {"max_grad_norm": 0}, {"gradient_accumulation": 3}])
@pytest.mark.parametrize(
    ("model_type", "factor", "tensor"),
    [
        ("distilbert", 1e5, "distilbert.transformer.layer.2.attention"),
        ("electra", 1e10, "electra.encoder.layer.2.attention"),
    ],
)
def test_gradients_that_overflow_are_no_training(
    model_type, factor, tensor, options, train, tmp_path
):
    """The loss is finite; every update would be zero, and the adapter as fresh as it began."""
    backbone = scaled_backbone(tmp_path / "scaled", model_type, "orm", factor)
    with pytest.raises(DivergedError) as caught:
        train(backbone=backbone, output=tmp_path / "gone", **LEARNS | options)
    assert f"Training diverged: the gradient of '{tensor}" in str(caught.value)
    assert "at step 1 of " in str(caught.value)
    assert "not the learning_rate" in caught.value.hint
    assert not list(tmp_path.glob("gone*"))


def test_layers_that_no_gradient_reaches_are_said(train, tmp_path, caplog):
    """A pooler whose tanh is saturated passes nothing on: only the head behind it learns."""
    backbone = scaled_backbone(tmp_path / "scaled", "bert", "pooler.dense.weight", 1e10)
    train(backbone=backbone, **LEARNS)
    assert caplog.text.count("Epoch 1 moved the head alone: no gradient reached the layers.") == 1
    caplog.clear()
    train(backbone=backbone, method="head-only", **LEARNS)
    assert "moved the head alone" not in caplog.text


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"learning_rate": 1e-8}, "Raise --learning-rate: 1e-08 is too small."),
        ({"max_grad_norm": 1e-12}, "--max-grad-norm 1e-12 leaves nothing of the gradients"),
    ],
)
def test_layers_that_hardly_move_are_not_blamed_on_the_backbone(options, remedy, train, caplog):
    train(**LEARNS | options)
    assert remedy in caplog.text
    assert "badly scaled" not in caplog.text
    assert "Train longer" not in caplog.text


def test_a_loss_that_begins_far_above_guessing_is_said(train, tmp_path, caplog):
    backbone = scaled_backbone(tmp_path / "scaled", "electra", "orm", 1e4)
    train(backbone=backbone, dtype="float32")
    assert "The loss begins at " in caplog.text
    assert "where guessing has 0.693: weights of the backbone are probably badly" in caplog.text


def test_numbers_that_break_while_the_result_is_scored_leave_no_checkpoint(
    train, tmp_path, monkeypatch
):
    """From a checkpoint it would only end the same way."""
    inner = BranchLearner.outputs

    def broken(self, part):
        return inner(self, part) * (torch.nan if part == "test" else 1)

    monkeypatch.setattr(BranchLearner, "outputs", broken)
    with pytest.raises(DivergedError):
        train(output=tmp_path / "gone", save_every_steps=1, test_fraction=0.2)
    assert not list(tmp_path.glob("gone*"))
