"""Rows out of the cache are what the trunk makes of them, whatever stood beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lora_bert.cache.trunk_cache import trunk_cache
from lora_bert.model.forward import branch, trunk
from lora_bert.tokens.batching import TokenBatch
from lora_bert.tokens.tokenized import TokenizedTexts
from tests.cache.conftest import LENGTHS, engine, some_rows
from tests.oracle import random_adapter, rows_of
from tests.tiny import SPLIT

DEPTHS = (1, 2, 3)
LAYERS = {1: "top:3", 2: "top:2", 3: "top:1"}


def cached(backbone, parts, depth=2, **options):
    return trunk_cache(backbone, "some backbone", parts, depth, **{"place": "memory"} | options)


def direct(backbone, rows, numbers, depth):
    batch = TokenBatch.of(rows, numbers)
    return trunk(backbone, batch, depth), batch.offsets


@pytest.mark.parametrize("family", SPLIT)
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_branch_gives_the_same_logits(family, depth):
    backbone = engine(family)
    adapter = random_adapter(backbone, layers=LAYERS[depth])
    assert adapter.depth == depth
    rows = some_rows(types=family == "bert")
    part = cached(backbone, [rows], depth).parts[0]
    for numbers in np.array_split(np.arange(len(rows)), 4):
        expected = branch(backbone, *direct(backbone, rows, numbers, depth), adapter)
        found = branch(backbone, *part.hidden(numbers), adapter)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", SPLIT)
def test_gradients_are_those_without_a_cache(family):
    backbone = engine(family)
    adapter = random_adapter(backbone, layers="top:2")
    rows, numbers = some_rows(), [2, 3, 5, 9, 16]
    for tensor in adapter.tensors:
        tensor.requires_grad_()
    found = []
    for hidden in (cached(backbone, [rows]).parts[0].hidden(numbers),
                   direct(backbone, rows, numbers, 2)):  # fmt: skip
        scores = branch(backbone, *hidden, adapter, seed=1)
        loss = torch.nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 0, 1]))
        found.append(torch.autograd.grad(loss, adapter.tensors))
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm()


def test_rows_stand_one_behind_the_other_and_filler_is_zero():
    rows = some_rows()
    part = cached(engine(), [rows]).parts[0]
    hidden, offsets = part.hidden([0, 5, 1])
    assert offsets.lengths.tolist() == [3, 40, 9]
    assert hidden.shape == (offsets.tokens, 32) == (64, 32)
    assert hidden[:52].abs().sum(-1).min() > 0
    assert not hidden[52:].any()


@pytest.mark.parametrize("family", SPLIT)
@pytest.mark.parametrize(("dtype", "step"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-6)])
def test_a_row_is_the_same_in_any_company(family, dtype, step):
    backbone = engine(family, dtype)
    rows = some_rows()
    together = cached(backbone, [rows]).parts[0]
    for number, ids in enumerate(rows_of(rows)):
        alone = cached(backbone, [TokenizedTexts.of([ids], 1)]).parts[0]
        one, other = alone.hidden([0])[0], together.hidden([number])[0]
        torch.testing.assert_close(one, other, rtol=step, atol=step)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_number_of_cores_does_not_change_a_bit(dtype):
    backbone, rows = engine("bert", dtype), some_rows()
    everything = range(len(rows))
    cores = torch.get_num_threads()
    found = []
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        try:
            found.append(cached(backbone, [rows]).parts[0].hidden(everything)[0])
            assert torch.get_num_threads() == number
        finally:
            torch.set_num_threads(cores)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_parts_have_numbers_of_their_own_and_share_what_they_share():
    backbone = engine()
    train, validation = some_rows(), some_rows(LENGTHS[:7], seed=1)
    both = TokenizedTexts.joined([train, validation])
    cache = cached(backbone, [train, validation, both])
    assert [len(part.starts) for part in cache.parts] == [19, 7, 26]
    assert cache.size == (1 + int(both.lengths.sum())) * 32 * 4
    for at in range(7):
        found = cache.parts[1].hidden([at])[0]
        assert torch.equal(found, cache.parts[2].hidden([19 + at])[0])
        assert not torch.equal(found, cache.parts[0].hidden([at])[0])


def test_nothing_is_kept_where_there_is_nothing_to_keep(caplog):
    backbone, rows = engine(), some_rows()
    assert cached(backbone, [rows], 0) is None
    assert cached(backbone, [rows], place="off") is None
    assert cached(backbone, [TokenizedTexts.of([], 1)]) is None
    assert caplog.text == ""


def test_texts_as_long_as_there_are_positions():
    for family, longest in {"bert": 130, "roberta": 128, "modernbert": 130}.items():
        backbone = engine(family)
        rows = some_rows([longest, longest - 1, 5])
        part = cached(backbone, [rows]).parts[0]
        (ours, _), (expected, _) = part.hidden([0]), direct(backbone, rows, [0], 2)
        torch.testing.assert_close(ours[:longest], expected[:longest])


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("place", ["memory", "disk", "auto"])
def test_on_a_gpu_rows_are_kept_in_its_memory(place, dtype):
    backbone, rows = engine(dtype=dtype, device="cuda"), some_rows()
    part = cached(backbone, [rows], place=place).parts[0]
    assert part.data.device.type == "cuda"
    hidden, offsets = part.hidden([1, 2])
    assert hidden.device.type == "cuda"
    expected, _ = direct(backbone, rows, [1, 2], 2)
    end, step = offsets.cu_seqlens[-1], 1e-4 if dtype == torch.float32 else 2**-6
    torch.testing.assert_close(hidden[:end], expected[:end], rtol=step, atol=step)
    assert not hidden[end:].any()


@pytest.mark.cuda
def test_on_a_gpu_without_room_the_rows_stay_on_disk():
    backbone, rows = engine(device="cuda"), some_rows()
    size = cached(backbone, [rows]).size
    part = cached(backbone, [rows], place="disk", limit_bytes=size).parts[0]
    assert part.data.device.type == "cuda"
    found = cached(backbone, [rows], limit_bytes=size - 1).parts[0]
    assert found.data.device.type == "cpu"
    assert torch.equal(found.hidden([3])[0], part.hidden([3])[0])
