"""AdamW without torch's compiler is torch's AdamW."""

from __future__ import annotations

import copy

import pytest
import torch

from lora_bert.training.adamw import AdamW


def steps(kind, count, state=None):
    """The parameters and the state after some steps, and what hooks on them saw."""
    generator = torch.Generator().manual_seed(7)
    parameters = [torch.randn(5, 3, generator=generator).requires_grad_() for _ in range(2)]
    optimizer = kind(parameters[:1], lr=0.1, weight_decay=0.01, fused=True)
    optimizer.add_param_group({"params": parameters[1:], "lr": 0.2})
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    if state:
        optimizer.load_state_dict(copy.deepcopy(state))
    seen = []
    optimizer.register_step_post_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    for _ in range(count):
        optimizer.zero_grad()
        sum((parameter**2).sum() for parameter in parameters).backward()
        optimizer.step()
        schedule.step()
    return parameters, optimizer.state_dict(), seen


@pytest.mark.parametrize("begun", [False, True])
def test_every_step_is_that_of_torchs(begun):
    state = steps(torch.optim.AdamW, 2)[1] if begun else None
    theirs, their_state, seen = steps(torch.optim.AdamW, 3, state)
    ours, our_state, our_seen = steps(AdamW, 3, state)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    torch.testing.assert_close(our_state, their_state, rtol=0, atol=0)
    assert our_seen == seen == [True] * 3


def test_gradients_are_removed():
    parameter = torch.ones(2, requires_grad=True)
    parameter.grad = torch.ones(2)
    AdamW([parameter]).zero_grad()
    assert parameter.grad is None
