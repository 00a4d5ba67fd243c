"""The layer with a backward pass of its own against the same layer under autograd."""

from __future__ import annotations

import pytest
import torch

from lora_bert.backbones.families.registry import encoder_config
from lora_bert.model import attention, cpu_attention, layer
from lora_bert.model.builder import build_backbone
from lora_bert.model.forward import branch, trunk
from tests.oracle import NO_DROPOUT, random_adapter, random_batch, tiny_engine
from tests.tiny import tiny_classifier

BATCH = random_batch([9, 4, 1, 7])


def gradients(backbone, adapter, batch=BATCH):
    """Logits, and the gradient of each of the adapter's tensors and of the hidden states."""
    hidden = trunk(backbone, batch.tokens, adapter.depth).requires_grad_()
    moved = adapter.copy()
    for tensor in moved.tensors:
        tensor.requires_grad_()
    scores = branch(backbone, hidden, batch.tokens.offsets, moved)
    return scores, torch.autograd.grad(scores.square().sum(), [hidden, *moved.tensors])


def autograd(monkeypatch):
    """From here on, layers leave their backward pass to autograd."""
    monkeypatch.setattr(layer, "_by_hand", lambda *_: False)


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu", "silu"])
@pytest.mark.parametrize("targets", ["all-linear", "attention", "value", "intermediate.dense"])
def test_outputs_and_gradients_are_autograds(act, targets, monkeypatch):
    backbone = tiny_engine("bert", hidden_act=act)
    adapter = random_adapter(backbone, target_modules=targets)
    ours, our_gradients = gradients(backbone, adapter)
    autograd(monkeypatch)
    theirs, their_gradients = gradients(backbone, adapter)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for one, other in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max() + 1))


def test_an_activation_without_a_derivative_of_ours_is_left_to_autograd():
    backbone = tiny_engine("bert", hidden_act="tanh")
    scores, found = gradients(backbone, random_adapter(backbone))
    assert scores.isfinite().all()
    assert all(gradient.abs().sum() > 0 for gradient in found)


@pytest.mark.parametrize("lengths", [[9, 4, 1, 7], [40, 35, 3], [60, 20, 30, 33]])
@pytest.mark.parametrize("at_once", [2**18, 200, 1])
def test_bfloat16_is_near_float32(at_once, lengths, monkeypatch):
    """In blocks of 32, 48 and 64 places, which two rows may share."""
    monkeypatch.setattr(cpu_attention, "_SCORES", at_once)  # of all rows, of some, of one at a time
    model = tiny_classifier("bert", **NO_DROPOUT["bert"])
    exact, rough = (
        build_backbone(model.state_dict(), encoder_config(model.config.to_dict()), dtype=dtype)
        for dtype in (torch.float32, torch.bfloat16)
    )
    adapter = random_adapter(exact)
    batch = random_batch(lengths)
    pairs = zip(
        gradients(exact, adapter, batch)[1], gradients(rough, adapter, batch)[1], strict=True
    )
    for one, other in pairs:
        assert torch.cosine_similarity(one.ravel(), other.float().ravel(), 0) > 0.98
    monkeypatch.setattr(attention, "has_amx", lambda: False)
    with torch.inference_mode():
        answers = branch(rough, trunk(rough, batch.tokens, 0), batch.tokens.offsets, adapter)
    torch.testing.assert_close(answers, gradients(rough, adapter, batch)[0], rtol=0.1, atol=0.1)
