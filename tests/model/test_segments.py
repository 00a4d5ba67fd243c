"""Several adapters in one forward pass, of every family: each answers as it does alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_bert.backbones.config import Pooling
from lora_bert.model.forward import logits
from lora_bert.model.new_adapter import head_only
from lora_bert.model.segments import PreparedAdapter, logits_of_all, logits_of_segments
from lora_bert.tokens.batching import TokenBatch
from lora_bert.tokens.tokenized import TokenizedTexts
from tests.oracle import random_adapter, tiny_engine
from tests.tiny import FAMILIES, MEAN, SPLIT

LENGTHS = [17, 3, 9, 2, 12, 5, 40, 7]


@cache
def adapters_of(family: str) -> list[PreparedAdapter]:
    """Ranks, target modules, depths, poolings and label counts that differ."""
    backbone = tiny_engine(family)
    split = family in SPLIT
    poolings: tuple[Pooling, ...] = ("cls", "mean", "none") if family in MEAN else ("cls", "none")
    made = [
        random_adapter(backbone, labels=2 + seed % 4, rank=rank, seed=seed, target_modules=targets,
                       layers=layers if split else "all")
        for seed, (rank, targets, layers) in enumerate([
            (1, "all-linear", "top:1"), (8, "attention", "top:2"), (3, "all-linear", "all"),
            (2, "attention", "top:3"), (5, "all-linear", "top:2"),
        ])
    ]  # fmt: skip
    for seed in (5, 6):
        fresh = head_only(backbone, seed, generator=torch.Generator().manual_seed(seed))
        made.append(fresh)
    chosen = [poolings[number % len(poolings)] for number in range(len(made))]
    return [
        PreparedAdapter.of(backbone, replace(adapter, pooling=pooling))
        for adapter, pooling in zip(made, chosen, strict=True)
    ]


def tokens_of(lengths: list[int], seed: int = 0) -> TokenizedTexts:
    draw = np.random.default_rng(seed)
    return TokenizedTexts.of([draw.integers(5, 60, length).tolist() for length in lengths], 1)


def alone(adapter: PreparedAdapter, tokens: TokenizedTexts, rows: list[int]) -> torch.Tensor:
    return logits(adapter.backbone, TokenBatch.of(tokens, rows), adapter.adapter)


def check_mixed(adapters: list[PreparedAdapter], counts: list[int], tokens: TokenizedTexts) -> None:
    segments = [(count, each) for count, each in zip(counts, adapters, strict=True) if count]
    rows = list(range(sum(counts)))
    found, begin = logits_of_segments(TokenBatch.of(tokens, rows), segments), 0
    for (count, each), ours in zip(segments, found, strict=True):
        expected = alone(each, tokens, rows[begin : begin + count])
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
        begin += count


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_many_adapters_are_answered_as_alone(family):
    adapters = adapters_of(family)
    check_mixed(adapters, [1, 2, 0, 1, 3, 0, 1], tokens_of(LENGTHS))
    check_mixed(adapters, [0, 0, 8, 0, 0, 0, 0], tokens_of(LENGTHS))
    check_mixed(adapters, [0, 1, 0, 0, 0, 1, 6], tokens_of(LENGTHS))


@pytest.mark.parametrize("family", FAMILIES)
def test_many_adapters_answer_the_same_rows_as_alone(family):
    adapters, tokens = adapters_of(family), tokens_of(LENGTHS[:4])
    rows = [2, 0, 3, 1]
    for some in (adapters, adapters[5:], adapters[:1], [adapters[2], adapters[6], adapters[0]]):
        found = logits_of_all(TokenBatch.of(tokens, rows), some)
        for each, ours in zip(some, found, strict=True):
            expected = alone(each, tokens, rows)
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=40)
@given(
    st.lists(st.integers(2, 60), min_size=1, max_size=14), st.integers(0, 999),
    st.sampled_from(["bert", "modernbert", "mpnet"]), st.data(),
)  # fmt: skip
def test_any_mixture_of_rows(lengths, seed, family, data):
    adapters = adapters_of(family)
    owners = [data.draw(st.integers(0, len(adapters) - 1)) for _ in lengths]
    counts = np.bincount(owners, minlength=len(adapters)).tolist()
    check_mixed(adapters, counts, tokens_of(lengths, seed))


def test_answers_depend_on_the_adapter():
    adapters, tokens = adapters_of("bert"), tokens_of(LENGTHS)
    same = [replace(each, adapter=replace(each.adapter, head=adapters[0].adapter.head))
            for each in (adapters[0], adapters[1], adapters[3])]  # fmt: skip
    found = logits_of_segments(TokenBatch.of(tokens, range(6)), [(2, each) for each in same])
    other = logits_of_segments(TokenBatch.of(tokens, range(6)), [(2, same[0])] * 3)
    torch.testing.assert_close(found[0], other[0])
    assert (found[1] - other[1]).abs().max() > 1e-3
    assert (found[2] - other[2]).abs().max() > 1e-3


def test_layers_below_every_branch_run_once(monkeypatch):
    """Of adapters with one depth the trunk, of those that change none the whole backbone."""
    from lora_bert.model import segments

    computed = []
    run = segments.run_layer

    def counted(backbone, layer, hidden, context, first_alone=False):
        computed.append(context.attention.layout.end)
        return run(backbone, layer, hidden, context, first_alone)

    monkeypatch.setattr(segments, "run_layer", counted)
    adapters, tokens = adapters_of("bert"), tokens_of([8, 8])
    batch = TokenBatch.of(tokens, [0, 1])
    top = [replace(adapters[0], adapter=replace(adapters[0].adapter, pooling="cls"))] * 5
    logits_of_all(batch, top)
    assert computed == [16, 16, 16, 80]
    computed.clear()
    heads = [replace(each, adapter=replace(each.adapter, pooling="cls")) for each in adapters[5:]]
    monkeypatch.setattr(segments, "pooled", lambda *_, **__: torch.zeros(2, 32))
    logits_of_all(batch, heads * 4)
    assert computed == [16, 16, 16]
