"""What an engine is, and how many texts are put through one: sorted, side by side, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol

import numpy as np

from lora_bert.runtime.progress_bar import track
from lora_bert.runtime.threads import Workers
from lora_bert.tokens.batching import by_length, levelled
from lora_bert.tokens.tokenized import TokenizedTexts, flat_index

Compute = Callable[[TokenizedTexts, np.ndarray], np.ndarray]
"""Texts and the numbers of some of them -> their logits, float32 ``[rows, outputs]``.

Where the head reads tokens: ``[tokens, outputs]``, the rows' tokens one row behind the other."""

Batch = tuple[Callable[[np.ndarray], None], np.ndarray]
"""What computes rows, and their numbers."""

TEXTS_AT_ONCE = 8192
"""Texts that are sorted by length together."""

MOST_THREADS = 8
"""More would wait for Python's interpreter, which lets only one of them run."""


class ComputeOn(Protocol):
    """A :data:`Compute` of an exported model; of a branch with what its trunk gave of the rows."""

    def __call__(
        self, texts: TokenizedTexts, rows: np.ndarray, hidden: np.ndarray | None = None
    ) -> np.ndarray:
        """The logits of some texts."""


class Engine(Protocol):
    """Computes the logits of batches, in whatever way."""

    @property
    def name(self) -> str:
        """As ``--engine`` calls it."""

    @property
    def outputs(self) -> int:
        """How many the head has."""

    @property
    def of_tokens(self) -> bool:
        """Whether the head reads each token by itself."""

    def cut(self, lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
        """The numbers of rows of these lengths in the batches it is fastest with.

        Which of the rules of :mod:`lora_bert.tokens.batching` that is, the engine knows.
        """

    def logits(self, texts: TokenizedTexts, rows: np.ndarray) -> np.ndarray:
        """The logits of one batch, as :data:`Compute` has them, by all cores."""

    def side_by_side(self, texts: int | None) -> tuple[Compute, Workers]:
        """What computes the batches of so many texts (None: not known) on threads, and the threads.

        They share the cores: together they are faster than one batch after the other.
        """


def shares() -> tuple[int, int]:
    """How many batches to compute side by side on a CPU, and with how many cores each.

    One core a batch: cores that share a product wait for each other after each of them.
    """
    cores = cores_allowed()
    threads = min(cores, MOST_THREADS)
    return threads, cores // threads


def cores_allowed() -> int:
    """The cores this process may use; ``$OMP_NUM_THREADS`` lowers it."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(int(given), cores or 1) if given.isdecimal() and int(given) else cores or 1


def answer(engine: Engine, encodings: TokenizedTexts, batch_size: int) -> np.ndarray:
    """Logits ``[texts, outputs]``, or ``[tokens, outputs]``, in the order of ``encodings``."""
    if len(encodings) > batch_size:
        (logits,) = answers(engine, [encodings], batch_size, total=len(encodings))
        return logits
    if not len(encodings):
        return np.empty((0, engine.outputs), dtype=np.float32)
    # One batch: no threads to start, nothing to put in order.
    return engine.logits(encodings, np.arange(len(encodings)))


def answers(
    engine: Engine, parts: Iterable[TokenizedTexts], batch_size: int, total: int | None = None
) -> Iterator[np.ndarray]:
    """As :func:`answer` for each part, in order; the next part is made while one is computed.

    ``total`` is the number of texts in all, if that is known.
    """
    waiting: deque[tuple[np.ndarray, list[Future[int]], bool]] = deque()
    compute, threads = engine.side_by_side(total)
    with track(total, "predicting") as bar, threads:

        def finished() -> Iterator[np.ndarray]:
            logits, batches, whole = waiting.popleft()
            for batch in batches:
                bar.update(batch.result())
            if whole:
                yield logits

        for part in parts:
            logits = empty_logits(engine, part)
            # What waits of a part of many texts would take as much memory as their logits.
            for start in range(0, max(1, len(part)), TEXTS_AT_ONCE):
                batches = _start(engine, compute, threads, part, start, batch_size, logits)
                waiting.append((logits, batches, start + TEXTS_AT_ONCE >= len(part)))
                if len(waiting) > 1:
                    yield from finished()
        while waiting:
            yield from finished()


def empty_logits(engine: Engine, encodings: TokenizedTexts) -> np.ndarray:
    """Room for what :func:`answer` gives, of no content yet."""
    size = len(encodings.ids) if engine.of_tokens else len(encodings)
    return np.empty((size, engine.outputs), dtype=np.float32)


def compute_batches(batches: Sequence[Batch], threads: Workers, total: int) -> None:
    """Compute batches side by side, ``total`` texts; one that is alone by all cores."""
    if len(batches) == 1:
        compute, rows = batches[0]
        compute(rows)
    if len(batches) < 2:
        return
    with track(total, "predicting") as bar, threads:
        futures = [(threads.submit(compute, rows), len(rows)) for compute, rows in batches]
        for future, count in futures:
            future.result()
            bar.update(count)


def logits_at(engine: Engine, encodings: TokenizedTexts, rows: np.ndarray) -> np.ndarray:
    """Where the logits of some texts stand in that room, int64."""
    if not engine.of_tokens:
        return rows
    return flat_index(encodings.starts[rows], encodings.lengths[rows])


def _start(
    engine: Engine, compute: Compute, threads: Workers, part: TokenizedTexts, start: int,
    batch_size: int, logits: np.ndarray,
) -> list[Future[int]]:  # fmt: skip
    """Have the texts of a part from ``start`` on computed, :data:`TEXTS_AT_ONCE` of them.

    Each batch writes its own rows of the logits.
    """

    def fill(rows: np.ndarray) -> int:
        logits[logits_at(engine, part, rows)] = compute(part, rows)
        return len(rows)

    lengths = part.lengths[start : start + TEXTS_AT_ONCE]
    batches = engine.cut(lengths, batch_size)
    if engine.cut is by_length:
        batches = levelled(batches, lengths, threads.count)
    return [threads.submit(fill, start + rows) for rows in batches]
