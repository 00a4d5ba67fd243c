"""Dropout by seed."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.model.dropout import derived_seed, dropout


def test_the_seed_decides_and_nothing_else():
    x = torch.ones(100, 100)
    torch.manual_seed(0)
    one = dropout(x, 0.3, 7)
    torch.rand(5)
    assert torch.equal(one, dropout(x, 0.3, 7))
    assert not torch.equal(one, dropout(x, 0.3, 8))


def test_it_drops_the_share_and_keeps_the_mean():
    found = dropout(torch.ones(400, 400), 0.25, 1)
    assert abs(float((found == 0).float().mean()) - 0.25) < 0.01
    assert abs(float(found.mean()) - 1) < 0.01
    assert torch.equal(dropout(found, 0.0, 1), found)


def test_gradients_go_where_the_values_went():
    x = torch.ones(50, requires_grad=True)
    found = dropout(x, 0.5, 3)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert torch.equal(gradient, found.detach())


@given(st.lists(st.integers(0, 2**40) | st.text(max_size=9), min_size=1, max_size=4))
def test_mixed_seeds_are_seeds(parts):
    assert 0 <= derived_seed(*parts) < 2**63
    assert derived_seed(*parts) == derived_seed(*parts)
    assert derived_seed(*parts) != derived_seed(*parts, 1)
