"""Layers by graphs: shapes and book-keeping here, graphs themselves where there is a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.model import layer_graphs as module
from lora_bert.model.forward import branch, layer_graphs, trunk
from lora_bert.model.layer_graphs import Shape
from lora_bert.tokens.batching import Offsets, chunks
from lora_bert.training.rounded_factors import GatheredFactors, RoundedFactors
from tests.model.test_row_attention import PLAIN, backbone_of, close
from tests.oracle import random_adapter, random_batch
from tests.row_kernel import as_on_a_gpu

BATCHES = ([9, 4, 30], [30, 9, 4], [17, 17, 8], [1, 2, 39])
"""As many tokens in as many rows, or nearly."""


@given(st.lists(st.integers(1, 512), min_size=1, max_size=300))
def test_a_batch_fits_into_its_shape_and_filler_stands_in_short_rows_of_its_own(lengths):
    offsets = Offsets.of(np.array(lengths))
    shape = Shape.of(offsets)
    found = np.diff(shape.ends(offsets))
    assert found[: len(lengths)].tolist() == lengths
    assert (len(found), found.sum()) == (shape.rows, shape.tokens)
    filler = found[len(lengths) :]
    assert len(filler) >= 8
    assert 1 <= filler.min() <= filler.max() <= module._LONGEST_FILLER


@pytest.mark.parametrize("by_tokens", [False, True], ids=["32 rows", "16,384 tokens"])
def test_the_batches_of_an_epoch_have_few_shapes(by_tokens):
    draw = np.random.default_rng(0)
    rows = [draw.integers(1, most, 4000 if by_tokens else 32) for most in range(4, 260)]
    if by_tokens:
        rows = [some[cut] for some in rows for cut in list(chunks(some, 16384))[:-1]]
    batches = list(map(Offsets.of, rows))
    assert len({Shape.of(offsets) for offsets in batches}) <= 20
    tokens = sum(int(offsets.cu_seqlens[-1]) for offsets in batches)
    assert sum(Shape.of(offsets).tokens for offsets in batches) < 1.3 * tokens


def found_by(graphs, backbone, adapter, factors, lengths, seed=5):
    """Outputs and the gradients of the factors, for a batch of rows."""
    batch = random_batch(lengths).tokens
    hidden = trunk(backbone, batch, adapter.depth)
    outputs = branch(
        backbone, hidden, batch.offsets, adapter, updates=factors.updates, seed=seed, graphs=graphs
    )
    gradients = torch.autograd.grad(outputs.square().sum(), factors.leaves)
    return [part.detach().float().cpu() for part in (outputs, *gradients)]


def trained(family, pooling="cls", device="cpu", dtype=torch.float32, layers="top:2"):
    backbone = backbone_of(family, dtype, device)
    adapter = random_adapter(backbone_of(family), layers="all" if family == "albert" else layers)
    adapter = replace(adapter.to(backbone.device), pooling=pooling)
    for tensor in adapter.tensors:
        tensor.requires_grad_()
    factors = GatheredFactors(backbone, adapter)
    factors.refresh()
    return backbone, adapter, factors


def check_graphs(parts, tolerance):
    """Batch by batch the same as without them, and from the second of a shape on recorded."""
    backbone, adapter, factors = parts
    graphs = layer_graphs(backbone, adapter, factors.updates, 40)
    for at, lengths in enumerate([*BATCHES, *BATCHES]):
        theirs = found_by(None, *parts, lengths)
        close(found_by(graphs, *parts, lengths), theirs, tolerance)
        if at == len(BATCHES):  # an optimizer's step
            with torch.no_grad():
                for tensor in adapter.tensors:
                    tensor.add_(0.02)
            factors.refresh()
    assert len(graphs.recordings) == 1
    assert graphs.stop()
    assert graphs(torch.zeros(0), Offsets.of(np.array(BATCHES[0]))) is None


@pytest.mark.parametrize("pooling", ["cls", "mean", "none"])
@pytest.mark.parametrize("family", ["bert", "albert"])
def test_batches_of_one_shape_are_computed_in_one_place(family, pooling, monkeypatch):
    as_on_a_gpu(monkeypatch)
    check_graphs(trained(family, pooling), 1e-5)


def test_what_cannot_be_recorded_is_computed_as_ever(monkeypatch, caplog):
    as_on_a_gpu(monkeypatch)
    parts = trained("bert")

    def fails(*_):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    monkeypatch.setattr(module.Recording, "record", fails)
    graphs = layer_graphs(parts[0], parts[1], parts[2].updates, 40)
    with caplog.at_level("INFO"):
        for _ in range(3):
            close(found_by(graphs, *parts, [9, 4]), found_by(None, *parts, [9, 4]))
    assert caplog.text.count("not recorded as CUDA graphs, which takes longer: CUDA error") == 1


def test_dropout_in_the_layers_draws_anew_and_is_not_recorded(monkeypatch):
    as_on_a_gpu(monkeypatch)
    backbone, adapter, factors = trained("bert")
    assert layer_graphs(backbone, adapter, factors.updates, 40)
    assert not layer_graphs(backbone, replace(adapter, dropout=0.1), factors.updates, 40)
    assert not layer_graphs(backbone, adapter, {}, 40)


def test_recordings_take_no_more_room_than_there_is(monkeypatch):
    as_on_a_gpu(monkeypatch)
    backbone, adapter, factors = trained("bert")
    monkeypatch.setattr(module, "_MOST_TOKENS", 200)
    graphs = layer_graphs(backbone, adapter, factors.updates, 128)
    for lengths in ([9, 4], [9, 4], [128] * 8, [128] * 8, [9, 4]):
        found_by(graphs, backbone, adapter, factors, lengths)
    assert [shape.rows for shape in graphs.recordings] == [16]


@pytest.mark.parametrize("target_modules", ["all-linear", "query,value", "attention"])
def test_gathered_factors_are_those_that_are_copied_one_by_one(target_modules):
    backbone = backbone_of("bert", torch.bfloat16)
    adapter = random_adapter(backbone_of("bert"), target_modules=target_modules)
    kinds = [kind(backbone, adapter) for kind in (RoundedFactors, GatheredFactors)]
    gradients = []
    draw = torch.Generator().manual_seed(1)
    numbers = torch.randn(sum(leaf.numel() for leaf in kinds[0].leaves), generator=draw)
    for factors in kinds:
        factors.refresh()
        factors.pass_on(numbers.clone())
        gradients.append([tensor.grad for tensor in adapter.tensors])
    for one, other in zip(*(factors.leaves for factors in kinds), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


@pytest.mark.cuda
@pytest.mark.parametrize("pooling", ["cls", "mean", "none"])
@pytest.mark.parametrize("family", PLAIN)
def test_graphs_on_a_gpu_say_what_kernels_one_by_one_say(family, pooling):
    """Products of other shapes round otherwise, to bfloat16."""
    check_graphs(trained(family, pooling, "cuda", torch.bfloat16), 0.02)
