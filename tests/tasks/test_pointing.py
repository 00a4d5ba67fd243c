"""Where the head of question answering starts: fitted to windows that have right tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lora_bert
from lora_bert.model.forward import logits
from lora_bert.tasks import pointing
from lora_bert.tasks.answer_targets import UNKNOWN
from lora_bert.tasks.question_answering import QuestionAnswering
from lora_bert.tokens.batching import TokenBatch
from lora_bert.training import fit, head_start
from tests.tasks.answers import rows, write_rows


class Killed(BaseException):
    """Stands for kill -9."""


def windows(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features ``[tokens, 8]`` and targets; the first two say what begins and ends, if anything."""
    features, targets = [], []
    for number in range(count):
        length = int(random.integers(20, 120))
        own = random.normal(size=(length, 8)).astype(np.float32)
        start, last = sorted(random.integers(5, length - 1, 2).tolist()) if number % 3 else (0, 0)
        own[start, 0] += 6
        own[last, 1] += 6
        features.append(own)
        targets.append([length, 4, length - 1, start, last, 1, start, last])
    return np.concatenate(features), np.array(targets, dtype=np.int32)


@pytest.mark.parametrize("length", [5, 60])
def test_one_window_is_enough_and_one_that_is_all_answer(length):
    features = np.random.default_rng(0).normal(size=(length, 8)).astype(np.float32)
    targets = np.array([[length, 1, length - 1, 1, length - 2, 1, 1, 2]], dtype=np.int32)
    with np.errstate(all="raise"):
        weight, bias = pointing.pointing_layer(features, targets, seed=0)
    assert np.isfinite(weight).all()
    assert np.isfinite(bias).all()


def test_what_is_fitted_is_the_loss_of_the_task(monkeypatch):
    monkeypatch.setattr(pointing, "_OTHERS", 1000)
    random = np.random.default_rng(0)
    features, targets = windows(30, random)
    tokens, *rest = pointing._choices(targets, random)
    choices = pointing._Choices(features[tokens], *rest)
    solution = np.append(random.normal(size=(2, 8)), np.zeros((2, 1)), axis=1)
    weight = torch.tensor(solution[:, :-1], dtype=torch.float32, requires_grad=True)
    theirs = QuestionAnswering().loss(
        torch.from_numpy(features) @ weight.T, torch.from_numpy(targets)
    )
    theirs.backward()
    loss, slope = choices.loss(solution)
    assert loss == pytest.approx(float(theirs.detach()) / 30, rel=1e-5)
    np.testing.assert_allclose(slope[:, :-1], weight.grad / 30, atol=1e-6)
    some = np.array([3, 7, 29])
    parts = [choices.at(np.array([at])).loss(solution)[0] for at in some]
    assert choices.at(some).loss(solution)[0] == pytest.approx(np.mean(parts))


def test_few_tokens_stand_for_the_others(monkeypatch):
    random = np.random.default_rng(1)
    features, targets = windows(400, random)
    whole, _ = QuestionAnswering().probe(features, targets, seed=0)
    monkeypatch.setattr(pointing, "_OTHERS", 16)
    weight, bias = QuestionAnswering().probe(features, targets, seed=0)
    again, _ = QuestionAnswering().probe(features, targets, seed=0)
    np.testing.assert_array_equal(weight, again)
    assert (weight.shape, weight.dtype, bias.dtype) == ((2, 8), np.float32, np.float32)
    np.testing.assert_allclose(weight, whole, atol=0.25 * np.abs(whole).max())
    fresh, answers = windows(200, random)
    outputs = torch.from_numpy(fresh @ weight.T + bias)
    task = QuestionAnswering()
    assert task.validation_loss(outputs, answers) < 0.2 * task.chance_loss(answers)
    answers[0, [3, 4]] = UNKNOWN
    assert QuestionAnswering().probe(fresh, answers, seed=0)[0].shape == (2, 8)


def test_epoch_zero_answers_as_the_probe_does(reader, tmp_path, monkeypatch):
    """All layers run with LoRA factors that change nothing yet, and the head as it was fitted."""
    seen = {}
    inner = head_start.fitted_head

    def watched(context, *rest):
        seen.update(context=context, fitted=inner(context, *rest))
        raise Killed

    monkeypatch.setattr(fit, "fitted_head", watched)
    with pytest.raises(Killed):
        lora_bert.train(
            write_rows(tmp_path / "a.jsonl", rows(40)), backbone=reader.parent / "backbone",
            output=tmp_path / "a", dtype="float32", doc_stride=8, head_start="probe",
        )  # fmt: skip
    context, fitted = seen["context"], seen["fitted"]
    tokens = context.tokens["train"]
    order = head_start._longest_first(tokens, np.arange(len(tokens.targets)))
    batch = TokenBatch.of(tokens.encodings, order)
    with torch.inference_mode():
        found = logits(context.backbone, batch, fitted.adapter)
    assert len(found) > len(order)  # some contexts have several windows
    torch.testing.assert_close(found, fitted.outputs, atol=1e-5, rtol=0)


def test_it_starts_fitted_where_that_is_asked_for(reader, foods, tmp_path, caplog):
    caplog.set_level("INFO")
    options = {"backbone": reader.parent / "backbone", "epochs": 1, "dtype": "float32"}
    found = lora_bert.train(foods, output=tmp_path / "a", head_start="probe", **options)
    assert found.head_start == "probe"
    assert "The head is fitted on the frozen backbone before any step: validation F1" in caplog.text
