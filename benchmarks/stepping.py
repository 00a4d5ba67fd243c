"""Timing our training steps; how a step is made is :class:`benchmarks.ours.Stepper`'s business."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.batches import plan
from benchmarks.data import Workload, read_rows, rows_of_one_length, text_encoder
from benchmarks.ours import Stepper

_CALM = 0.02
"""Seconds after which torch's idle threads no longer wait busily."""


def rate(workload: dict[str, Any]) -> dict[str, Any]:
    """Examples per second of training steps without trunk cache, over the batches of everyone."""
    work = Workload(**workload)
    ids, targets = _tokens(work)
    stepper = Stepper(work, ids, targets)
    schedule = plan([len(row) for row in ids], work.batch_size)
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        for batch in schedule.batches:
            stepper.step(batch)
        settle(work.device)
        seconds = time.perf_counter() - started
    return {
        "rate": schedule.rows / seconds,
        "tokens_per_second": schedule.useful / seconds,
        "padding": schedule.padding,
        "dtype": str(stepper.dtype).removeprefix("torch."),
    }


def synthetic_rate(
    workload: dict[str, Any], tokens: int, batch: int, rank: int, steps: int
) -> dict[str, Any]:
    """Tokens per second on rows that all have ``tokens`` tokens."""
    work = Workload(**{**workload, "rank": rank, "batch_size": batch})
    stepper = Stepper(work, *rows_of_one_length(tokens, batch))
    rows = list(range(batch))
    for _ in range(2):
        stepper.step(rows)
    settle(work.device)
    started = time.perf_counter()
    for _ in range(steps):
        stepper.step(rows)
    settle(work.device)
    seconds = time.perf_counter() - started
    return {
        "tokens_per_second": steps * batch * tokens / seconds,
        "seconds": seconds / steps,
        "hidden": stepper.hidden,
        "inner": stepper.inner,
        "layers": stepper.layers,
    }


def roof(workload: dict[str, Any]) -> dict[str, Any]:
    """What share of a training step its useful FLOPs would take at the rate of plain products.

    After every step the model's own four products are timed at that batch's (padded) token count.
    """
    import torch

    from benchmarks.roof import product_rate, step_flops

    work = Workload(**workload)
    ids, targets = _tokens(work)
    lengths = [len(row) for row in ids]
    cores = torch.get_num_threads()
    stepper = Stepper(work, ids, targets)
    hidden, inner = stepper.hidden, stepper.inner
    flops = ideal = seconds = 0.0
    batches = plan(lengths, work.batch_size).batches
    for batch in batches:
        stepper.step(batch)
    for batch in batches:
        started = time.perf_counter()
        stepper.step(batch)
        settle(work.device)
        taken = time.perf_counter() - started
        padded = len(batch) * max(lengths[row] for row in batch)
        with all_cores(cores):
            found = product_rate(padded, hidden, inner, dtype=stepper.dtype, device=work.device)
        rows = [lengths[row] for row in batch]
        useful = step_flops(rows, hidden, inner, stepper.layers, work.rank)
        flops, ideal, seconds = flops + useful, ideal + useful / found, seconds + taken
    return {
        "share": ideal / seconds,
        "useful_flops_per_second": flops / seconds,
        "product_flops_per_second": flops / ideal,
        "dtype": str(stepper.dtype).removeprefix("torch."),
    }


@contextmanager
def all_cores(cores: int) -> Iterator[None]:
    """Torch with every core, in a process whose own threads have one core each."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        time.sleep(_CALM)


def settle(device: str) -> None:
    """Wait until the device has done what it was told."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def _tokens(work: Workload) -> tuple[list[list[int]], list[int]]:
    rows = read_rows(work.train)
    numbers = {label: at for at, label in enumerate(sorted({label for _, label in rows}))}
    encode, _ = text_encoder(work.backbone, work.max_length)
    return encode([text for text, _ in rows]), [numbers[label] for _, label in rows]
