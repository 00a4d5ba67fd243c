"""The loop learns, repeats exactly, keeps the best epoch, and leaves the rest alone."""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lora_bert.config import TrainConfig
from lora_bert.errors import DivergedError, UnavailableError
from lora_bert.model.forward import logits
from lora_bert.runtime.threads import workers
from lora_bert.tasks.single_label import SingleLabel
from lora_bert.tokens.batching import TokenBatch, slice_count
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.training import gradients
from lora_bert.training import trainer as trainer_module
from lora_bert.training.checkpoints import Checkpoints
from lora_bert.training.gradients import Gradients
from lora_bert.training.learner import BranchLearner, Validation
from lora_bert.training.tokenize_rows import Tokens
from lora_bert.training.trainer import Trainer, linear_schedule
from lora_bert.training.trunk_states import TrunkBatches
from tests.oracle import random_adapter, rows_of, tiny_engine


def rows(count=32, classes=2):
    """Rows whose class is their first token's: learnt in a few epochs. All of one length."""
    generator = torch.Generator().manual_seed(0)
    targets = [number % classes for number in range(count)]
    noise = torch.randint(30, 60, (count, 4), generator=generator).tolist()
    ids = [[0, 5 + target, *tail, 2] for target, tail in zip(targets, noise, strict=True)]
    return Tokens(TokenizedTexts.of(ids, pad_id=1), np.asarray(targets))


def scripted(values, metric="accuracy"):
    """A validation that gives these values, an epoch each."""
    left = iter(values)

    def validate(_adapter):
        figures = {"accuracy": 0.5, "macro_f1": 0.5, "log_loss": 0.7, "validation_loss": 0.7}
        value = next(left)
        if isinstance(value, BaseException):
            raise value
        return figures | {metric: value}

    return validate


def run(tokens=None, validate=None, *, adapter=None, backbone=None, epochs=3, threads=1, **options):
    """A training on a tiny BERT; the fit, the adapter that is kept, and its start.

    ``validate`` gives the figures of an adapter; without it the last epoch is the best.
    """
    backbone = backbone or tiny_engine("bert")
    adapter = adapter or random_adapter(backbone, labels=2)
    start = adapter.copy()
    torch.manual_seed(0)
    options = {"batch_size": 8, "learning_rate": 3e-3, "seed": 1} | options
    with workers(threads, device=backbone.device) as made:
        config, tokens = TrainConfig(**options, epochs=epochs), tokens or rows()
        counts = np.bincount(tokens.targets, minlength=2)
        weights = tuple(len(tokens) / (2 * np.maximum(counts, 1)))
        task = SingleLabel(("a", "b"), weights if config.class_weights == "balanced" else None)
        hidden = TrunkBatches(backbone, tokens.encodings, adapter.depth)
        learner = BranchLearner(
            Gradients(
                backbone, adapter, hidden, tokens.lengths, tokens.targets, task, made,
                seed=config.seed, checkpointing=config.gradient_checkpointing,
            ),
            {}, {}, 1,
        )  # fmt: skip
        figures = validate or scripted([0.5 + number / 100 for number in range(epochs)])
        found = Trainer(learner, tokens, task, config).fit(
            lambda: Validation(figures(adapter), np.zeros((1, 2))),
            Checkpoints(Path("none"), {}, minutes=0, steps=None),
        )
    return found, adapter, start


def same(one, other):
    return all(map(torch.equal, one.tensors, other.tensors))


def distance(one, other):
    pairs = zip(one.tensors, other.tensors, strict=True)
    return max(float((a.detach() - b.detach()).abs().max()) for a, b in pairs)


def test_it_learns():
    tokens = rows()
    found, adapter, _ = run(tokens, epochs=8, learning_rate=1e-2)
    losses = [row["train_loss"] for row in found.history]
    assert losses[-1] < 0.1 < losses[0]
    batch = TokenBatch.of(tokens.encodings, range(len(tokens)))
    scores = logits(tiny_engine("bert"), batch, adapter)
    assert scores.argmax(1).tolist() == list(tokens.targets)


def test_nothing_frozen_moves():
    backbone, untouched = tiny_engine("bert"), tiny_engine("bert")
    run(backbone=backbone, epochs=2)
    assert torch.equal(backbone.word_embeddings, untouched.word_embeddings)
    assert torch.equal(backbone.position_embeddings, untouched.position_embeddings)
    for name, linear in backbone.linears.items():
        assert torch.equal(linear.weight, untouched.linears[name].weight)
        assert torch.equal(linear.bias, untouched.linears[name].bias)
    for name, tensor in backbone.pretrained_head.items():
        assert torch.equal(tensor, untouched.pretrained_head[name])


def test_everything_trained_moves():
    _, adapter, start = run(epochs=1)
    for one, other in zip(adapter.tensors, start.tensors, strict=True):
        assert not torch.equal(one.detach(), other)


def test_same_seed_same_bits_other_seed_others():
    one, other, third = (run(seed=seed)[1] for seed in (1, 1, 2))
    assert same(one, other)
    assert not same(one, third)


def test_slices_on_several_threads_give_the_same_gradients_and_the_same_bits_again():
    one, other = (run(threads=1, dropout=0.1)[1] for _ in range(2))
    assert same(one, other)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        halves, again = (run(threads=2)[1] for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert same(halves, again)
    assert distance(run(threads=1)[1], halves) < 1e-3


def test_long_batches_are_computed_in_slices_and_nothing_else_changes(monkeypatch):
    seen = []
    whole = gradients.Gradients._loss

    def watched(self, part, *rest):
        seen.append(len(part))
        return whole(self, part, *rest)

    monkeypatch.setattr(gradients.Gradients, "_loss", watched)
    one = run(epochs=1)[1]
    assert seen == [8] * 4
    seen.clear()
    most = {"most": 3 * 7}  # rows have seven tokens
    monkeypatch.setattr(gradients, "slice_count", partial(slice_count, **most))
    assert distance(one, run(epochs=1)[1]) < 1e-5
    assert [sorted(seen[at : at + 3]) for at in range(0, 12, 3)] == [[2, 3, 3]] * 4


def test_accumulating_changes_the_memory_and_nothing_else(monkeypatch):
    # The same sixteen rows in a step, as one batch or as two halves of it.
    def in_order(lengths, *, batch_size, **_):
        return np.split(np.arange(len(lengths)), range(batch_size, len(lengths), batch_size))

    monkeypatch.setattr(trainer_module, "epoch_batches", in_order)
    for weights in ("none", "balanced"):
        kept = [
            run(
                rows(48, classes=2), batch_size=size, gradient_accumulation=steps,
                class_weights=weights, epochs=2,
            )
            for size, steps in ((16, 1), (8, 2))
        ]  # fmt: skip
        (one, whole, start), (other, halves, _) = kept
        assert distance(whole, halves) < 1e-4
        assert distance(whole, start) > 1e-2
        for row, other_row in zip(one.history, other.history, strict=True):
            assert row["train_loss"] == pytest.approx(other_row["train_loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("accuracy", [0.5, 0.9, 0.7, 0.8], 2),
        ("accuracy", [0.9, 0.9, 0.9, 0.9], 1),
        ("macro_f1", [0.1, 0.2, 0.3, 0.4], 4),
        ("log_loss", [0.7, 0.3, 0.5, 0.9], 2),
        ("log_loss", [0.2, 0.3, 0.4, 0.5], 1),
    ],
)
def test_the_best_epoch_is_kept_not_the_last(metric, values, best):
    seen = []
    script = scripted(values, metric)

    def validate(adapter):
        seen.append(adapter.copy())
        return script(adapter)

    found, adapter, _ = run(validate=validate, metric=metric, epochs=4)
    assert found.best_epoch == best
    assert same(adapter, seen[best - 1])
    assert [row[metric] for row in found.history] == values
    assert [row["epoch"] for row in found.history] == [1, 2, 3, 4]


def test_of_equal_epochs_the_surer_one_is_kept():
    """On few rows accuracy is soon 100 %, long before the answers are sure."""
    losses = iter([0.6, 0.3, 0.2, 0.25])

    def validate(_adapter):
        figures = {"accuracy": 1.0, "macro_f1": 1.0, "log_loss": 0.5}
        return figures | {"validation_loss": next(losses)}

    assert run(validate=validate, epochs=4)[0].best_epoch == 3


@pytest.mark.parametrize(
    ("patience", "ran", "best"), [(1, 3, 2), (2, 6, 4), (3, 7, 4), (4, 8, 8), (None, 8, 8)]
)
def test_early_stopping_waits_for_so_many_epochs(patience, ran, best):
    values = [0.5, 0.6, 0.6, 0.7, 0.6, 0.7, 0.6, 0.9]
    found, _, _ = run(validate=scripted(values), early_stopping=patience, epochs=8)
    assert len(found.history) == ran
    assert found.best_epoch == best


@pytest.mark.parametrize(("patience", "ran"), [(1, 2), (2, 3), (3, 4), (None, 5)])
def test_an_equal_metric_with_a_lower_loss_is_no_improvement_to_wait_for(patience, ran):
    """As the Trainer's callback counts; of the epochs that ran the surer one is still kept."""
    losses = iter([0.6, 0.3, 0.2, 0.25, 0.24])

    def validate(_adapter):
        figures = {"accuracy": 1.0, "macro_f1": 1.0, "log_loss": 0.5}
        return figures | {"validation_loss": next(losses)}

    found, _, _ = run(validate=validate, early_stopping=patience, epochs=5)
    assert len(found.history) == ran
    assert found.best_epoch == min(3, ran)


@pytest.mark.parametrize(("patience", "ran"), [(1, 4), (2, 5), (3, 6)])
def test_early_stopping_waits_on_the_loss_where_that_is_the_metric(patience, ran):
    script = scripted([0.6, 0.3, 0.2, 0.2, 0.25, 0.1], "log_loss")
    found, _, _ = run(validate=script, metric="log_loss", early_stopping=patience, epochs=6)
    assert len(found.history) == ran


def test_ctrl_c_keeps_the_best_so_far(caplog):
    seen, script = [], scripted([0.8, 0.6, KeyboardInterrupt()])

    def validate(adapter):
        seen.append(adapter.copy())
        return script(adapter)

    found, adapter, _ = run(validate=validate, epochs=5)
    assert found.stopped
    assert found.best_epoch == 1
    assert len(found.history) == 2
    assert same(adapter, seen[0])
    assert not same(adapter, seen[-1])
    assert "keeping the adapter of epoch 1" in caplog.text


def test_ctrl_c_in_the_first_epoch_keeps_what_there_is(monkeypatch):
    stopped = iter([None, None, KeyboardInterrupt()])
    inner = SingleLabel.loss

    def loss(*arguments):
        if error := next(stopped):
            raise error
        return inner(*arguments)

    monkeypatch.setattr(SingleLabel, "loss", loss)
    found, adapter, start = run()
    assert found.stopped
    assert found.best_epoch == 0
    assert found.history == []
    assert same(adapter, adapter.copy())
    assert not same(adapter, start)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("x: can't allocate memory: 5 B")])
def test_memory_that_runs_out_halves_the_slices_and_nothing_else(error, monkeypatch, caplog):
    whole, expected, _ = run(epochs=2)
    inner, seen = gradients.Gradients._loss, []

    def little(self, part, *rest):
        if len(part) > 3:
            raise error
        seen.append(len(part))
        return inner(self, part, *rest)

    monkeypatch.setattr(gradients.Gradients, "_loss", little)
    found, adapter, _ = run(epochs=2)
    assert max(seen) <= 3
    assert distance(adapter, expected) < 1e-5
    for row, other in zip(found.history, whole.history, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
    # Said as often as it was halved, at the first step; later ones remember.
    assert caplog.text.count("Memory ran out at step 1:") == 2
    assert caplog.text.count("Memory ran out") == 2
    assert found.progress.cuts == 4


def test_memory_that_runs_out_in_the_last_moment_adds_nothing_twice(monkeypatch):
    _, expected, _ = run(epochs=1)
    inner, calls = torch.autograd.backward, iter(range(99))

    def backward(*given, **options):
        inner(*given, **options)
        if next(calls) == 0:
            raise MemoryError

    monkeypatch.setattr(torch.autograd, "backward", backward)
    assert distance(run(epochs=1)[1], expected) < 1e-5


def test_memory_that_is_not_enough_for_one_row(monkeypatch):
    def none(*_):
        raise MemoryError

    monkeypatch.setattr(gradients.Gradients, "_loss", none)
    with pytest.raises(UnavailableError, match="for the gradient of a single text") as caught:
        run()
    assert "--max-length" in caught.value.hint


def test_divergence_in_the_first_epoch_is_an_error(monkeypatch):
    inner = SingleLabel.loss
    monkeypatch.setattr(SingleLabel, "loss", lambda *found: inner(*found) * math.nan)
    with pytest.raises(DivergedError, match="loss is nan at step 1 of 12") as caught:
        run()
    assert "--learning-rate" in caught.value.hint


def test_a_rate_that_is_far_too_high():
    with pytest.raises(DivergedError):
        run(learning_rate=1e30, max_grad_norm=0.0)


def test_divergence_later_keeps_the_best(monkeypatch, caplog):
    inner, calls = SingleLabel.loss, iter(range(99))

    def loss(*arguments):
        found = inner(*arguments)
        return found * math.inf if next(calls) == 9 else found

    monkeypatch.setattr(SingleLabel, "loss", loss)
    found, adapter, _ = run(validate=scripted([0.5, 0.8, 0.9]))
    assert found.best_epoch == 2
    assert found.stopped is None
    assert "The adapter of epoch 2 is kept" in caplog.text
    assert all(tensor.isfinite().all() for tensor in adapter.tensors)


def test_a_validation_that_finds_no_numbers_is_divergence_too(caplog):
    broken = DivergedError("Training diverged: no numbers.")
    found, _, _ = run(validate=scripted([0.5, broken]))
    assert found.best_epoch == 1
    assert "no numbers. The adapter of epoch 1 is kept" in caplog.text
    with pytest.raises(DivergedError, match="no numbers"):
        run(validate=scripted([broken]))


def spoilt(monkeypatch, value, *, at, name="classifier.weight"):
    """Of step ``at`` the gradient of one tensor has one element that is ``value``."""
    inner = gradients.Gradients.__call__

    def called(self, batches, weight, step, cuts=1):
        summed = inner(self, batches, weight, step, cuts)
        if step >= at:
            self.adapter.named_tensors[name].grad.view(-1)[-1] = value
        return summed

    monkeypatch.setattr(gradients.Gradients, "__call__", called)


LORA = "bert.encoder.layer.1.attention.self.query"


@pytest.mark.parametrize("clipped", [0.0, 1.0])
@pytest.mark.parametrize(
    ("value", "said"),
    [(math.inf, "inf"), (-math.inf, "inf"), (math.nan, "nan"), (3e38, "too large for float32")],
)
@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("classifier.weight", "classifier.weight"),
        (f"{LORA}.lora_A", f"{LORA}.lora_A.weight"),
        (f"{LORA}.lora_B", f"{LORA}.lora_B.weight"),
    ],
)
def test_a_gradient_that_is_not_finite_is_an_error(
    name, file_name, value, said, clipped, monkeypatch
):
    """The loss stays finite, and clipping to an infinite norm leaves nothing of any gradient."""
    spoilt(monkeypatch, value, at=2, name=name)
    with pytest.raises(DivergedError) as caught:
        run(max_grad_norm=clipped)
    sentence = f"Training diverged: the gradient of '{file_name}' is {said} at step 2 of 12."
    assert str(caught.value) == sentence
    assert caught.value.hint == "Lower --learning-rate."


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation": 2, "class_weights": "balanced"}])
def test_a_gradient_that_is_not_finite_later_keeps_the_best(options, monkeypatch, caplog):
    steps = 4 if not options else 2
    _, expected, _ = run(epochs=3, validate=scripted([0.5, 0.8, 0.7]), **options)
    spoilt(monkeypatch, math.inf, at=2 * steps + 1)
    found, adapter, _ = run(validate=scripted([0.5, 0.8]), **options)
    assert (found.best_epoch, found.stopped) == (2, None)
    assert f"'classifier.weight' is inf at step {2 * steps + 1} of {3 * steps}." in caplog.text
    assert "The adapter of epoch 2 is kept" in caplog.text
    assert same(adapter, adapter)
    assert same(adapter, expected)


def test_a_first_gradient_that_is_not_finite_is_not_blamed_on_the_rate(monkeypatch):
    spoilt(monkeypatch, math.nan, at=1)
    with pytest.raises(DivergedError) as caught:
        run()
    assert "not the --learning-rate" in caught.value.hint
    assert "Lower" not in caught.value.hint


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "log_loss"])
def test_a_figure_that_is_no_number_is_divergence_too(metric, value, caplog):
    found, _, _ = run(validate=scripted([0.5, value], metric), metric=metric)
    assert found.best_epoch == 1
    assert f"the {metric} of the validation rows is {value}." in caplog.text
    with pytest.raises(DivergedError, match=f"the {metric} of the validation rows"):
        run(validate=scripted([value], metric), metric=metric)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"learning_rate": 1e-12}, "Raise --learning-rate: 1e-12 is too small."),
        ({"max_grad_norm": 1e-25, "weight_decay": 0.0}, "--max-grad-norm 1e-25 leaves nothing"),
    ],
)
def test_an_epoch_in_which_nothing_moves_is_said_once(options, said, caplog):
    run(**options)
    assert caplog.text.count("learned nothing: no weight moved by more than") == 1
    assert "Epoch 1 learned nothing: no weight moved by more than" in caplog.text
    assert said in caplog.text


def test_gradients_that_are_all_zero_are_said(monkeypatch, caplog):
    """Weight decay moves the weights even so."""
    inner = SingleLabel.loss
    monkeypatch.setattr(
        SingleLabel, "loss", lambda *given: inner(*given).detach() + 0 * given[1].sum()
    )
    run()
    assert "Epoch 1 learned nothing: every gradient was zero." in caplog.text


def test_what_is_learned_needs_no_gradients_any_more(monkeypatch, caplog):
    inner = SingleLabel.loss
    monkeypatch.setattr(SingleLabel, "loss", lambda *given: 0 * inner(*given))
    run()
    assert "learned nothing" not in caplog.text


@pytest.mark.parametrize("rate", [1e-7, 1e-3])
def test_an_epoch_in_which_something_moves_says_nothing(rate, caplog):
    run(learning_rate=rate)
    assert not caplog.messages


def test_balanced_weights_move_it_towards_the_rare_class():
    tokens = rows(40)
    rare = [at for at, target in enumerate(tokens.targets) if target == 1][:3]
    common = [at for at, target in enumerate(tokens.targets) if target == 0]
    chosen = common + rare
    # The first token says nothing here: only the classes' shares can be learnt.
    ids = rows_of(tokens.encodings)
    blank = [[0, 9, *ids[at][2:]] for at in chosen]
    few = Tokens(TokenizedTexts.of(blank, pad_id=1), tokens.targets[chosen])
    batch = TokenBatch.of(few.encodings, range(len(few)))
    shares = {}
    for weights in ("none", "balanced"):
        _, adapter, _ = run(few, class_weights=weights, epochs=12, learning_rate=3e-4)
        scores = logits(tiny_engine("bert"), batch, adapter)
        shares[weights] = float(torch.softmax(scores, -1)[:, 1].mean())
    assert shares["none"] < 0.3
    assert shares["balanced"] > shares["none"] + 0.2


@pytest.mark.parametrize("options", [{"gradient_checkpointing": True}, {"layers": "top:1"}])
def test_other_ways_to_train_learn_too(options):
    backbone = tiny_engine("bert")
    adapter = random_adapter(backbone, labels=2, layers=options.pop("layers", "all"))
    found, _, _ = run(adapter=adapter, backbone=backbone, epochs=8, learning_rate=1e-2, **options)
    losses = [row["train_loss"] for row in found.history]
    assert losses[-1] < 0.5 * losses[0]


def test_checkpointing_trains_to_the_same_adapter():
    one, other = (run(gradient_checkpointing=flag, dropout=0.2)[1] for flag in (False, True))
    assert distance(one, other) < 1e-5


def test_gradients_are_clipped(monkeypatch):
    seen, clip = [], torch.nn.utils.clip_grad_norm_

    def spy(parameters, norm):
        before = clip(parameters, norm)
        seen.append(float(torch.nn.utils.get_total_norm([each.grad for each in parameters])))
        return before

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
    run(max_grad_norm=0.01, epochs=1)
    assert len(seen) == 4
    assert max(seen) <= 0.01 * 1.001
    run(max_grad_norm=0.0, epochs=1)
    assert len(seen) == 4


def test_the_rate_rises_then_falls_to_nothing():
    factor = linear_schedule(4, 20)
    values = [factor(step) for step in range(21)]
    assert values[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert values[4:] == sorted(values[4:], reverse=True)
    assert values[20] == 0
    assert linear_schedule(0, 10)(0) == 1
    assert linear_schedule(10, 10)(10) == 0


def test_each_epoch_says_a_line(caplog):
    caplog.set_level(logging.INFO)
    run(validate=scripted([0.5, 0.75]), epochs=2)
    lines = [line for line in caplog.messages if line.startswith("epoch")]
    assert len(lines) == 2
    assert "epoch 2/2" in lines[1]
    assert "75.00 %" in lines[1]
    assert "best so far" in lines[1]
