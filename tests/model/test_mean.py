"""Heads that read the mean, against plain PEFT on models that have a layer for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lora_bert.model.forward import logits
from tests.model.test_forward import FULL, PADDED, gradients
from tests.oracle import named_parameters, peft_twin, random_adapter, their_logits, tiny_engine
from tests.tiny import MEAN

OWN = {"modernbert": {"classifier_pooling": "mean"}}


@pytest.mark.parametrize(
    ("target_modules", "layers"), [("all-linear", "all"), ("attention", "top:1")]
)
@pytest.mark.parametrize("model_type", MEAN)
def test_logits_and_gradients_equal_pefts(model_type, target_modules, layers):
    asked = {"target_modules": target_modules, "layers": layers, **OWN.get(model_type, {})}
    backbone = tiny_engine(model_type, **OWN.get(model_type, {}))
    chosen = {key: asked[key] for key in ("target_modules", "layers")}
    adapter = replace(random_adapter(backbone, **chosen), pooling="mean")
    twin = peft_twin(model_type, adapter, **asked).train()
    for batch in (PADDED, FULL):
        ours, our_gradients = gradients(backbone, adapter, batch, seed=0)
        twin.zero_grad()
        theirs = their_logits(twin, batch)
        torch.nn.functional.cross_entropy(theirs, torch.arange(len(batch.ids)) % 3).backward()
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-5)
        for name, parameter in named_parameters(twin).items():
            torch.testing.assert_close(
                our_gradients[name], parameter.grad, rtol=1e-4, atol=1e-5,
                msg=lambda text, name=name: f"{name}: {text}",
            )  # fmt: skip
        assert any(gradient.abs().max() > 1e-3 for gradient in our_gradients.values())


@pytest.mark.parametrize("model_type", MEAN)
def test_it_is_the_adapter_that_decides(model_type):
    backbone = tiny_engine(model_type)
    first = random_adapter(backbone)
    mean = replace(first, pooling="mean")
    apart = logits(backbone, PADDED.tokens, mean) - logits(backbone, PADDED.tokens, first)
    assert apart.abs().max() > 1e-2
    # A row does not see what stands beside it.
    alone = replace(PADDED, ids=PADDED.ids[1:2, :3], mask=PADDED.mask[1:2, :3])
    torch.testing.assert_close(
        logits(backbone, alone.tokens, mean)[0], logits(backbone, PADDED.tokens, mean)[1],
        rtol=1e-5, atol=1e-5,
    )  # fmt: skip
