"""Products in eight bits are near the plain ones, and refused where they would not be fast."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from lora_bert.backbones.families.registry import encoder_config
from lora_bert.errors import UnavailableError
from lora_bert.model import int8_linear as room
from lora_bert.model.activation import ACTIVATIONS
from lora_bert.model.builder import build_backbone
from lora_bert.model.forward import logits, merged_updates
from lora_bert.runtime.device import multiplies_int8
from tests.oracle import NO_DROPOUT, random_adapter, random_batch, tiny_engine
from tests.tiny import tiny_classifier

CPU = torch.device("cpu")
fast = pytest.mark.skipif(
    not (multiplies_int8(CPU) and room._can_multiply()), reason="no products of eight bits here"
)


@fast
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 7, 300])
@pytest.mark.parametrize("name", [None, *ACTIVATIONS])
def test_it_is_nearly_the_linear_layer(dtype, rows, name):
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, 48, generator=generator) for size in (rows, 40))
    residual, bias = torch.randn(rows, 40, generator=generator), weight[:, 0]
    act = ACTIVATIONS[name] if name else None
    product = room.Int8Linear(weight.to(dtype), bias.to(dtype))
    plain = F.linear(x, weight, bias)
    for below, expected in ((None, plain), (residual.to(dtype), plain + residual)):
        found = product(x.to(dtype), below, act)
        assert found.dtype == dtype
        right = act(expected) if act else expected
        assert (found - right).norm() < 0.03 * right.norm()


@fast
@pytest.mark.parametrize("numbers", [[0.0] * 4, [3.0] * 4, [-2.0, -1.0, -0.5, -0.1]])
def test_inputs_of_one_sign_and_zeros_keep_their_zero(numbers):
    x = torch.tensor([numbers])
    quantised, scale, zero_point = room._quantised(x)
    assert 0 <= zero_point <= 255
    torch.testing.assert_close((quantised.float() - zero_point) * scale, x, atol=0.01, rtol=0)
    assert room.Int8Linear(torch.zeros(3, 4))(x).tolist() == [[0.0] * 3]


@fast
def test_an_adapter_answers_nearly_the_same_beside_its_backbone_and_merged():
    plain = tiny_engine("bert")
    adapter, batch = random_adapter(plain), random_batch([17, 3, 9, 1, 12]).tokens
    eight = eight_bits()
    assert (eight.precision, plain.precision) == ("int8", "float32")
    expected = logits(plain, batch, adapter)
    for updates in (None, merged_updates(eight, adapter)):
        found = logits(eight, batch, adapter, updates)
        assert (found - expected).abs().max() < 0.1 * expected.std() + 0.02
        assert not torch.equal(found, expected)


def eight_bits():
    model = tiny_classifier("bert", **NO_DROPOUT["bert"])
    config = encoder_config(model.config.to_dict())
    return build_backbone(model.state_dict(), config, dtype=torch.int8)


def test_it_is_refused_where_it_is_not_fast(monkeypatch):
    with pytest.raises(UnavailableError, match="multiplied on CPUs, not on cuda"):
        room.check_int8(torch.device("cuda"))
    monkeypatch.setattr(room, "multiplies_int8", lambda device: False)
    with pytest.raises(UnavailableError, match=r"no products of eight bits \(VNNI\)"):
        eight_bits()


def test_operators_that_fail_or_compute_something_else_are_not_used(monkeypatch):
    room._can_multiply.cache_clear()
    monkeypatch.setattr(room.Int8Linear, "__call__", lambda self, x, *_, **__: torch.zeros_like(x))
    assert not room._can_multiply()
    room._can_multiply.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("ends", [(-3.0, 3.0), (-1.5, 253.5), (-2.5, 0.0), (0.0, 7.0), (0.0, 0.0)])
def test_the_ends_of_the_range_stay_what_they_are(ends, dtype):
    x = torch.tensor([ends], dtype=dtype)
    q, scale, zero_point = room._quantised(x)
    again = scale * (q.float() - zero_point)
    assert (again - x.float()).abs().max() <= scale


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20))
def test_nothing_is_rounded_by_more_than_a_step(numbers):
    x = torch.tensor([numbers])
    q, scale, zero_point = room._quantised(x)
    assert (scale * (q.float() - zero_point) - x).abs().max() <= 1.01 * scale


@fast
def test_what_is_no_number_stays_none():
    product = room.Int8Linear(torch.eye(32))
    x = torch.ones(4, 32)
    x[2, 3] = torch.nan
    assert product(x).isnan().all()
