"""Where the head starts: fitted on the frozen backbone, or at random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

import lora_bert
from lora_bert.model.forward import logits
from lora_bert.tasks.logistic import folds
from lora_bert.tasks.single_label import SingleLabel
from lora_bert.tokens.batching import TokenBatch
from lora_bert.training import all_rows, fit, head_start
from lora_bert.training.trainer import Trainer
from tests.tiny import FAMILIES, MEAN, write_backbone
from tests.training.trained import Killed, saved


@pytest.fixture
def fits(monkeypatch):
    """How many rows a head was fitted on, each time."""
    seen, probe = [], SingleLabel.probe

    def noted(self, features, targets, *, seed):
        assert len(features) == len(targets)
        seen.append(len(features))
        return probe(self, features, targets, seed=seed)

    monkeypatch.setattr(SingleLabel, "probe", noted)
    return seen


@pytest.mark.parametrize(
    ("family", "extra"),
    [(family, {}) for family in FAMILIES]
    + [("modernbert", {"classifier_pooling": "mean", "classifier_bias": True})],
)
@pytest.mark.parametrize("pooling", ["auto", "mean"])
def test_epoch_zero_answers_as_the_probe_does(family, extra, pooling, train, tmp_path, monkeypatch):
    """All layers run with LoRA factors that change nothing yet, and the head as it was fitted."""
    seen = {}
    inner, probe = head_start.fitted_head, SingleLabel.probe

    def watched(context, *rest):
        seen.update(context=context, adapter=inner(context, *rest).adapter)
        raise Killed

    def noted(self, features, targets, *, seed):
        weight, bias = probe(self, features, targets, seed=seed)
        seen.update(answers=features @ weight.T + bias, targets=targets)
        return weight, bias

    monkeypatch.setattr(fit, "fitted_head", watched)
    monkeypatch.setattr(SingleLabel, "probe", noted)
    if pooling == "mean" and family not in MEAN:
        pytest.skip("its models cannot compute the mean")
    backbone = write_backbone(tmp_path / "backbone", family, **extra)
    with pytest.raises(Killed):
        train(backbone=str(backbone), pooling=pooling)
    context, adapter = seen["context"], seen["adapter"]
    rows = context.tokens["train"]
    order = np.argsort(-rows.lengths, kind="stable")
    assert np.array_equal(rows.targets[order], seen["targets"])
    found = logits(context.backbone, TokenBatch.of(rows.encodings, order), adapter)
    expected = torch.from_numpy(seen["answers"])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    assert float(expected.std()) > 0.1


def test_the_log_the_card_and_the_settings_say_where_it_started(train, caplog):
    caplog.set_level("INFO")
    fitted = train("fitted")
    assert caplog.text.count("The head is fitted on the frozen backbone before any step: ") == 1
    assert fitted.head_start == "probe"
    assert "The head was fitted on the frozen backbone before the first step" in (
        (fitted.path / "README.md").read_text()
    )
    assert "--head-start" not in (fitted.path / "README.md").read_text()
    assert yaml.safe_load((fitted.path / "run.yaml").read_text())["head_start"] == "probe"
    caplog.clear()
    random = train("random", head_start="random")
    assert "fitted" not in caplog.text
    assert "fitted" not in (random.path / "README.md").read_text()
    assert "--head-start random" in (random.path / "README.md").read_text()
    assert random.as_dict()["head_start"] == "random"
    assert saved(random) != saved(fitted)


def test_auto_starts_at_random_where_validation_rows_find_that_better(train, monkeypatch, caplog):
    caplog.set_level("INFO")
    random = train("random", head_start="random")
    monkeypatch.setattr(
        SingleLabel, "probe",
        lambda self, features, targets, *, seed: (
            np.full((2, features.shape[1]), 9, np.float32), np.array([99, 0], np.float32)
        ),
    )  # fmt: skip
    found = train("auto")
    assert "The head starts at random: fitted on the frozen backbone it guesses" in caplog.text
    assert found.head_start == "random"
    assert yaml.safe_load((found.path / "run.yaml").read_text())["head_start"] == "random"
    assert saved(found) == saved(random)
    assert train("probe", head_start="probe").head_start == "probe"


def test_few_validation_rows_are_not_taken_for_all_classes(train, monkeypatch, tmp_path):
    """Their own few classes would be guessed more easily than those of the training rows."""
    some, few = tmp_path / "train.csv", tmp_path / "few.csv"
    rows = [f"text {row} of {name},{name}\n" for name in "abcdefghij" for row in range(4)]
    some.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    few.write_text("text,label\nof a,a\nof b,b\n", encoding="utf-8")

    def probe(self, features, targets, *, seed):
        bias = np.zeros(10, np.float32)
        bias[:2] = 0.5
        return np.zeros((10, features.shape[1]), np.float32), bias

    monkeypatch.setattr(SingleLabel, "probe", probe)
    found = train(data=None, train=some, validation=few)
    assert found.head_start == "probe"


def test_features_that_are_no_numbers_start_at_random(train, monkeypatch):
    random = train("random", head_start="random")
    monkeypatch.setattr(
        head_start,
        "_read",
        lambda context, adapter, trunk, part, rows: head_start.Read(
            torch.full((len(rows), 32), torch.nan), np.ones(len(rows), np.int64)
        ),
    )
    found = train("nan")
    assert found.head_start == "random"
    assert saved(found) == saved(random)


def test_the_head_alone_is_fitted_without_an_epoch(train, caplog):
    caplog.set_level("INFO")
    result = train(method="head-only", epochs=None)
    assert result.accuracy >= 0.9
    assert (result.best_epoch, result.steps, list(result.history)) == (0, 0, [])
    assert (
        "The head was fitted on the frozen backbone. In the end"
        in (result.path / "README.md").read_text()
    )
    assert yaml.safe_load((result.path / "run.yaml").read_text())["epochs"] is None
    again = train("again", method="head-only", epochs=None)
    assert saved(again) == saved(result)
    learned = train("learned", method="head-only", epochs=None, head_start="random")
    assert len(learned.history) > 3


def test_no_epoch_is_kept_that_is_worse_than_the_start(train, caplog):
    caplog.set_level("INFO")
    result = train(learning_rate=0.9, max_grad_norm=0)
    start = load_file(train("head", method="head-only", epochs=None).path
                      / "adapter_model.safetensors")  # fmt: skip
    assert result.best_epoch == 0
    assert "No epoch was better than the fitted head, which is kept." in caplog.text
    kept = load_file(result.path / "adapter_model.safetensors")
    for name in start:
        torch.testing.assert_close(kept[name], start[name])


@pytest.mark.parametrize("few", [0, 200])
def test_before_the_first_step_it_is_as_sure_of_its_rows_as_of_others(few, train, monkeypatch):
    """Of validation rows or, where few were held out, of rows left out of the fit."""
    seen = {}
    monkeypatch.setattr(all_rows, "_FEW", few)
    inner, steps = fit.soften, Trainer.step

    def noted(context, learner, fitted, start):
        name = context.backbone.config.layout.head.output
        before = learner.parameters[f"{name}.weight"].detach().clone()
        seen.update(context=context, learner=learner, fitted=fitted, start=start, before=before)
        seen.update(sure=learner.outputs("train"))
        inner(context, learner, fitted, start)
        seen.update(less=learner.outputs("train"))
        seen.update(share=learner.parameters[f"{name}.weight"].detach() / before)

    monkeypatch.setattr(fit, "soften", noted)
    monkeypatch.setattr(Trainer, "step", steps)
    # A tenth of the labels are wrong: validation rows are answered worse than the training's.
    draw = np.random.default_rng(0)
    texts = [f"{' '.join(draw.choice(['good', 'tasty', 'fast'], 3))} {at}" for at in range(100)]
    texts += [f"{' '.join(draw.choice(['bad', 'slow', 'cold'], 3))} {at}" for at in range(100)]
    labels = np.repeat(["yes", "no"], 100)
    labels[::7] = "no"
    train(data=list(zip(texts, labels.tolist(), strict=True)))
    task, targets = seen["context"].task, seen["context"].tokens["train"].targets
    wanted = seen["start"]["validation_loss"]
    if few:
        features, others = seen["fitted"].features, []
        for part in range(4):
            own = folds(seen["fitted"].targets, 4, seed=42) == part
            weight, bias = task.probe(features[~own], seen["fitted"].targets[~own], seed=42)
            said = torch.from_numpy(features[own] @ weight.T + bias)
            others.append(task.validation_loss(said, seen["fitted"].targets[own]))
        wanted = np.mean(others)
    assert task.validation_loss(seen["sure"], targets) < wanted
    assert task.validation_loss(seen["less"], targets) == pytest.approx(wanted, rel=0.05)
    assert 0 < float(seen["share"].min()) < 1
    torch.testing.assert_close(seen["share"], seen["share"][:1, :1].expand_as(seen["share"]))


def test_last_bits_of_what_validation_rows_say_change_none(train, monkeypatch):
    """They depend on the batches, which are others where several processes train."""
    inner, found = fit.soften, []

    def noted(context, learner, fitted, start):
        weight = learner.parameters[f"{context.backbone.config.layout.head.output}.weight"]
        sure, loss = weight.detach().clone(), context.task.validation_loss
        wanted = 1.5 * loss(fitted.outputs, fitted.targets)
        for change in (0.0, 1e-5):
            weight.data.copy_(sure)
            figures = {"validation_loss": wanted * (1 + change)}
            inner(context, learner, fitted, start | figures)
            found.append(weight.detach().clone())
        assert not torch.equal(found[0], sure)

    monkeypatch.setattr(fit, "soften", noted)
    train()
    assert torch.equal(*found)


@pytest.mark.parametrize("moment", ["probe", "step"])
def test_killed_before_its_first_step_is_done_it_ends_in_the_same_bits(
    moment, train, monkeypatch, tmp_path
):
    whole = train("whole", watch=("good",))

    def killed(*_, **__):
        raise Killed

    target = (fit, "kept_start") if moment == "probe" else (Trainer, "step")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(*target, killed)
        train()
    assert not list((tmp_path / "out.checkpoints").glob("step-*"))
    found = train(resume=True, watch=("good",))
    assert saved(found) == saved(whole)
    assert found.watched[0].before.scores == whole.watched[0].before.scores


def test_what_was_begun_goes_on_without_fitting_again(train, fits, monkeypatch):
    whole = train("whole", save_every_steps=1, watch=("good",))
    inner = Trainer.step

    def third(self, group):
        if self.progress.step == 2:
            raise Killed
        inner(self, group)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Trainer, "step", third)
        train(save_every_steps=1)
    fits.clear()
    found = train(save_every_steps=1, resume=True)
    assert 48 not in fits
    assert found.resumed_at == 2
    assert found.head_start == "probe"
    assert saved(found) == saved(whole)


def test_a_head_that_is_kept_is_fitted_to_the_held_out_rows_too(train, fits, reviews, caplog):
    caplog.set_level("INFO")
    result = train(method="head-only", epochs=None)
    assert fits == [48, 60]
    assert result.evaluations["validation"].scores.rows == 12
    assert "learned once more, from the validation rows too" in caplog.text
    card = (result.path / "README.md").read_text()
    assert "all was learned once more, from the validation rows too" in card
    caplog.clear()
    lora_bert.evaluate(result.path)
    assert "learned from the validation rows too" in caplog.text
    caplog.clear()
    lora_bert.evaluate(result.path, data=reviews, part="validation")
    assert "learned from the validation rows too" in caplog.text
    caplog.clear()
    found = lora_bert.evaluate(result.path, data=reviews)
    assert found.overlap.rows == 60
    assert "learned from the validation rows too" not in caplog.text
    assert "this score is too good" in caplog.text


def test_so_is_one_that_no_epoch_has_bettered(train, fits):
    result = train(learning_rate=0.9, max_grad_norm=0)
    assert (result.best_epoch, fits) == (0, [48, 36, 36, 36, 36, 60])


def test_rows_named_for_validation_are_never_fitted_on(train, fits, reviews, tmp_path):
    lines = reviews.read_text().splitlines(keepends=True)
    train_file, held_out = tmp_path / "train.csv", tmp_path / "held_out.csv"
    train_file.write_text("".join(lines[:41]))
    held_out.write_text("".join(lines[:1] + lines[41:]))
    options = {"data": None, "train": str(train_file), "validation": str(held_out)}
    result = train(method="head-only", epochs=None, **options)
    assert fits == [40]
    assert "once more" not in (result.path / "README.md").read_text()


def test_of_many_rows_the_held_out_ones_are_left_alone(train, fits, monkeypatch):
    monkeypatch.setattr(head_start, "MOST_ROWS", 55)
    assert train(learning_rate=0.9, max_grad_norm=0).best_epoch == 0
    assert fits == [48]


def test_what_was_at_its_end_is_fitted_to_all_as_well(train, monkeypatch):
    options = {"learning_rate": 0.9, "max_grad_norm": 0, "save_every_steps": 1}
    whole = train("whole", **options)

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(fit, "fit_to_all", killed)
        train(**options)
    found = train(resume=True, **options)
    assert found.resumed_at == whole.steps
    assert saved(found) == saved(whole)


def test_many_rows_are_drawn(train, monkeypatch):
    seen = []
    probe = SingleLabel.probe
    monkeypatch.setattr(head_start, "MOST_ROWS", 20)
    monkeypatch.setattr(
        SingleLabel, "probe",
        lambda self, features, targets, *, seed: (
            seen.append(features.shape), probe(self, features, targets, seed=seed)
        )[1],
    )  # fmt: skip
    first, again = train("first"), train("again")
    assert [shape for shape in seen if shape[0] < 48] == [(20, 32)] * 2
    assert saved(first) == saved(again)


def test_cores_change_no_bit(train, monkeypatch):
    before, results = torch.get_num_threads(), []
    try:
        for cores in (1, 2):
            torch.set_num_threads(cores)
            results.append(saved(train(f"{cores}", method="head-only", epochs=None)))
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]
