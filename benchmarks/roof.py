"""Useful FLOP/s in training against the rate of plain matrix products in the same minute."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.data import prepare
from benchmarks.measure import Contender, alternate
from benchmarks.options import Options
from benchmarks.ratios import median, values
from benchmarks.record import Goal, Record, Table, new_record, number

SUMMARY = "useful FLOP/s of training steps against the rate of plain matrix products"
NOTES = """\
After each training step the model's own four products (q/k/v in one, attention's output, the two of
the feed-forward layers) are timed on all cores at that batch's token count, padding included; their
mean rate, weighted by FLOPs, is the roof of that step. Useful FLOPs are those of the rows without
padding: frozen products forward and towards their inputs, low-rank products, attention.
"""
ROUNDS = 5
ROWS = 960
LEAST = (0.65, 0.25)
"""Of the roof, without AMX and with it, where what is not a product weighs more."""


def measure(options: Options) -> Record:
    """Train without cache; after each step time the model's four products."""
    rows = options.rows_or(ROWS)
    workload = prepare(options, rows=rows)
    record = new_record("roof", options, rows=rows, source=workload.source)
    ours = Contender("lora-bert", "benchmarks.stepping:roof", {"workload": workload.as_json()})
    alternate([ours], options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{100 * raw['share']:.0f} % of the roof")  # fmt: skip
    return record


def tables(record: Record) -> list[Table]:
    """The rates and their ratio."""
    lines = [
        ("training, useful GFLOP/s", "useful_flops_per_second", 1e-9),
        ("plain products, GFLOP/s", "product_flops_per_second", 1e-9),
        ("share of the roof, %", "share", 100.0),
    ]
    rows = []
    for title, key, scale in lines:
        found = [scale * value for value in values(record.figures, "lora-bert", key)]
        if found:
            middle = scale * median(record.figures, "lora-bert", key)
            rows.append([title, number(middle), f"{number(min(found))}-{number(max(found))}"])
    title = "Training steps, all-linear LoRA, all layers, no cache"
    return [Table(title, ["", "median", "range"], rows)]


def goals(record: Record) -> list[Goal]:
    """A share of the roof."""
    least = record.least(*LEAST)
    what, against = "useful (unpadded) FLOP/s in training, no cache", "GEMM rate of the same run"
    found = values(record.figures, "lora-bert", "share")
    if not found:
        return [Goal(what, against, f"{least:.0%}", "not measured", None)]
    middle = median(record.figures, "lora-bert", "share")
    shown = f"{middle:.0%} ({min(found):.0%}-{max(found):.0%})"
    return [Goal(what, against, f"{least:.0%}", shown, middle >= least)]


def step_flops(lengths: Sequence[int], hidden: int, inner: int, layers: int, rank: int) -> float:
    """FLOPs that a training step of all-linear LoRA needs for these rows, padding left out.

    A multiplication and an addition are two. Counted: the frozen products forward and towards their
    input (not their weights' gradients, nor the input gradient of the lowest q, k and v, below
    which nothing is trained); the low-rank products forward (2) and backward (4); attention's two
    products forward and four backward. Not counted: the head, norms, softmax, activations.
    """
    tokens, squares = sum(lengths), sum(length * length for length in lengths)
    linears = [(hidden, hidden)] * 4 + [(hidden, inner), (inner, hidden)]
    frozen = sum(4 * wide * out for wide, out in linears)
    low_rank = sum(6 * rank * (wide + out) for wide, out in linears)
    unneeded = 3 * 2 * hidden * hidden
    attention = 12 * hidden * squares
    return tokens * (layers * (frozen + low_rank) - unneeded) + layers * attention


def product_rate(tokens: int, hidden: int, inner: int, *, dtype: Any, device: str) -> float:
    """FLOP/s of ``F.linear`` at the model's four shapes: their mean, weighted by FLOPs.

    The shapes are q, k and v in one, attention's output, and the two of the feed-forward layers.
    """
    import torch
    from torch.nn.functional import linear

    weighted = total = 0.0
    for wide, out in ((hidden, 3 * hidden), (hidden, hidden), (hidden, inner), (inner, hidden)):
        x = torch.randn(tokens, wide, dtype=dtype, device=device)
        weight = torch.randn(out, wide, dtype=dtype, device=device)
        flops = 2.0 * tokens * wide * out
        times = 10 if device == "cpu" else 50
        linear(x, weight)
        linear(x, weight)
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(times):
            linear(x, weight)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - started) / times
        weighted += flops * (flops / seconds)
        total += flops
    return weighted / total
