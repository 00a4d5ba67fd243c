"""Packed weights multiply as plain ones do."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lora_bert.model import packed_linear as product
from lora_bert.model.activation import ACTIVATIONS
from lora_bert.model.packed_linear import PackedLinear


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 7, 300])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_linear_layer(dtype, rows, bias):
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, 48, generator=generator).to(dtype) for size in (rows, 40))
    shift = torch.randn(40, generator=generator).to(dtype) if bias else None
    product = PackedLinear(weight, shift)
    found = product(x)
    assert found.shape == (rows, 40)
    torch.testing.assert_close(found, F.linear(x, weight, shift))
    residual = torch.randn(rows, 40, generator=generator).to(dtype)
    before = residual.clone()
    rough = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(product(x, residual), F.linear(x, weight, shift) + residual, **rough)
    assert torch.equal(residual, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_applied_at_the_end(name, dtype):
    generator = torch.Generator().manual_seed(0)
    x, weight, residual = (
        torch.randn(shape, generator=generator).to(dtype) for shape in ((9, 48), (40, 48), (9, 40))
    )
    act, product = ACTIVATIONS[name], PackedLinear(weight, weight[:, 0])
    plain = F.linear(x, weight, weight[:, 0])
    rough = {"rtol": 2e-2, "atol": 5e-2} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(product(x, activation=act), act(plain), **rough)
    torch.testing.assert_close(product(x, residual, act), act(plain + residual), **rough)


def test_without_the_packing_operators_it_is_the_linear_layer_too(monkeypatch):
    monkeypatch.setattr(product, "_can_pack", lambda: False)
    x, weight = torch.ones(2, 32).bfloat16(), torch.ones(8, 32).bfloat16()
    made = PackedLinear(weight)
    assert made.packed is None
    assert made(x).tolist() == [[32.0] * 8] * 2


def test_operators_that_fail_or_compute_something_else_are_not_used(monkeypatch):
    def absent(*_, **__):
        raise AttributeError("no such operator")

    product._can_pack.cache_clear()
    for multiply in (absent, lambda x, *_, **__: torch.zeros_like(x)):
        monkeypatch.setattr(product, "_multiply", multiply)
        assert not product._can_pack()
        product._can_pack.cache_clear()
