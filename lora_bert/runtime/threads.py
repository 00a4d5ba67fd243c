"""Python threads that compute side by side, each with its share of the processor's cores.

Torch splits single operations over the cores and waits for all of them each time; small operations
gain nothing, and half of a batch on each core is faster than the whole batch on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from lora_bert.runtime.memory import keep_freed_memory

Item = TypeVar("Item")
Found = TypeVar("Found")


class Workers:
    """``count`` threads with ``cores`` cores each; with one of them, the caller's own thread."""

    def __init__(self, count: int, cores: int) -> None:
        self.count, self.cores = count, cores
        self._pool: ThreadPoolExecutor | None = None
        if count > 1:
            self._pool = ThreadPoolExecutor(
                count, "lora-bert", initializer=lambda: torch.set_num_threads(cores)
            )

    def map(self, function: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[Found]:
        """``function`` of each item, in the order of the items, whoever is done first."""
        if self._pool is None:
            return map(function, items)
        return self._pool.map(function, items)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


@contextmanager
def computing_with(cores: int) -> Iterator[None]:
    """In the block torch computes with so many cores on the caller's thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def workers(
    most: int, *, device: torch.device, exactly: tuple[int, int] | None = None
) -> Iterator[Workers]:
    """Threads for the cores that torch may use, at most ``most``; one where a GPU computes.

    Args:
        most: How many are worth having.
        device: Where they compute.
        exactly: How many there must be, and cores for each, whatever the machine has.
    """
    cores = torch.get_num_threads()
    keep_freed_memory()
    count = max(1, min(most, cores)) if device.type == "cpu" else 1
    made = Workers(*(exactly or (count, cores // count)))
    try:
        # Here as in the threads: idle members of a larger team would wait busily, on their cores.
        with computing_with(made.cores):
            yield made
    finally:
        made.close()
