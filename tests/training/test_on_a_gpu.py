"""Training as a GPU does it: with a stand-in of its kernel, and on a GPU where there is one."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

import lora_bert
from lora_bert.model import layer_graphs
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.training import gradients
from lora_bert.training.tokenize_rows import Tokens
from tests.model.test_row_attention import backbone_of
from tests.oracle import random_adapter
from tests.row_kernel import as_on_a_gpu
from tests.tiny import write_backbone
from tests.training.test_loop import run

OPTIONS = [
    {}, {"layers": "all", "dropout": 0.1}, {"batch_tokens": 90}, {"pooling": "mean"},
    {"gradient_accumulation": 3},
]  # fmt: skip


@pytest.fixture
def train(tmp_path, reviews, monkeypatch):
    """Trains a tiny adapter into a directory of its own, with an empty cache.

    The head drops nothing, where a GPU would draw other elements, and starts at random: a fitted
    one on such a backbone makes much of the last bits.
    """
    backbone = write_backbone(tmp_path / "tiny-bert", hidden_dropout_prob=0.0)

    def trained(name, **options):
        monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / f"{name}-cache"))
        return lora_bert.train(
            reviews, backbone=str(backbone), output=str(tmp_path / name), epochs=3, seed=1,
            batch_size=8, **{"learning_rate": 0.002, "head_start": "random", **options},
        )  # fmt: skip

    return trained


def losses(result):
    return [epoch["train_loss"] for epoch in result.history]


def answers(result, **options):
    texts = ["good tasty", "awful", "slow 3", "很好", "x" * 90, *map(str, range(60))]
    return lora_bert.load(result.path, dtype="float32", **options).probabilities(texts)


@pytest.mark.parametrize("options", OPTIONS)
def test_row_by_row_the_same_is_learned(options, train, monkeypatch):
    exact = partial(train, dtype="float32", **options)
    theirs = exact("blocks")
    before = answers(theirs)
    as_on_a_gpu(monkeypatch)
    ours = exact("rows")
    assert losses(ours)[-1] < losses(ours)[0]
    assert losses(ours) == pytest.approx(losses(theirs), rel=5e-3)
    np.testing.assert_allclose(answers(ours), before, atol=5e-3)
    np.testing.assert_allclose(answers(theirs), before, atol=1e-5)


def test_memory_that_runs_out_takes_the_recordings_first(train, monkeypatch, caplog):
    """And changes nothing else: slices are halved where there is nothing to give back."""
    as_on_a_gpu(monkeypatch)
    whole = train("whole", dtype="float32")
    loss, steps = gradients.Gradients._loss, []

    def once_too_little(self, rows, hidden, updates, seed, graphs):
        steps.append(graphs is not None and bool(graphs.recordings))
        if steps[-1] and steps[-2:] != [True, True]:
            raise MemoryError
        return loss(self, rows, hidden, updates, seed, graphs)

    monkeypatch.setattr(gradients.Gradients, "_loss", once_too_little)
    less = train("less", dtype="float32")
    assert steps.count(True) == 1
    assert losses(less) == pytest.approx(losses(whole), rel=5e-3)
    assert "half as large" not in caplog.text


@pytest.mark.cuda
def test_by_graphs_a_gpu_learns_what_it_learns_kernel_by_kernel(train, monkeypatch):
    """At a rate at which what bfloat16 rounds does not grow."""
    recordings, made = [], layer_graphs.Recording.record
    monkeypatch.setattr(
        layer_graphs.Recording, "record", lambda *given: recordings.append(made(*given))
    )
    ours = train("graphs", device="cuda", learning_rate=1e-4)
    assert recordings
    monkeypatch.setattr(gradients, "layer_graphs", lambda *_: None)
    assert losses(ours) == pytest.approx(
        losses(train("kernels", device="cuda", learning_rate=1e-4)), rel=0.1
    )


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_gpu_learns_as_a_cpu_does(options, dtype, train):
    theirs = train("cpu", device="cpu", dtype="float32", **options)
    ours = train("gpu", device="cuda", dtype=dtype, **options)
    # A tiny backbone makes much of what bfloat16 rounds, on a CPU too; dropout draws others there.
    if dtype == "float32" and not options.get("dropout"):
        assert losses(ours) == pytest.approx(losses(theirs), rel=1e-2)
    here, there = (answers(ours, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(there, here, atol=1e-3)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpus_memory_that_runs_out_halves_the_slices_and_nothing_else(dtype):
    rows, length = 1024, 128
    ids = np.random.default_rng(0).integers(5, 60, (rows, length)).tolist()
    tokens = Tokens(TokenizedTexts.of(ids, pad_id=1), np.arange(rows) % 2)
    backbone = backbone_of("bert", dtype, "cuda")

    def trained():
        """The fit, and how far it has moved the adapter."""
        adapter = random_adapter(backbone_of("bert"), labels=2).to(backbone.device)
        given = {"adapter": adapter, "backbone": backbone, "epochs": 1, "batch_size": rows}
        found, kept, start = run(tokens, **given)
        pairs = zip(kept.tensors, start.tensors, strict=True)
        return found, torch.cat([(one.detach() - other).ravel() for one, other in pairs])

    torch.cuda.reset_peak_memory_stats()
    whole, expected = trained()
    needed, device = torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties(0)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(needed / 3 / device.total_memory)
    try:
        halved, moved = trained()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert (whole.progress.cuts, halved.progress.cuts > 1) == (1, True)
    one, other = (fit.history[0]["train_loss"] for fit in (halved, whole))
    assert one == pytest.approx(other, rel=1e-3)
    assert torch.cosine_similarity(moved, expected, 0) > 0.95
