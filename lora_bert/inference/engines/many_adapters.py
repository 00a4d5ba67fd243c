"""Adapters that share a backbone, answering at once: each row by one of them, or by all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from lora_bert.inference.engines.torch_engine import TorchEngine
from lora_bert.model.segments import logits_of_all, logits_of_segments
from lora_bert.runtime.progress_bar import track
from lora_bert.tokens.batching import TokenBatch, by_owner
from lora_bert.tokens.tokenized import TokenizedTexts, cu_seqlens

Batch = tuple[Callable[[np.ndarray], None], np.ndarray]
"""What computes rows, and their numbers."""


def answer_rows(
    engines: Sequence[TorchEngine], tokens: TokenizedTexts, owners: np.ndarray, batch_size: int
) -> list[np.ndarray]:
    """Each row by the engine with its number in ``owners``, int64 ``[rows]``.

    Returns:
        For each engine the logits of its own rows, float32 ``[its rows, outputs]``, in their order.
    """
    counts = np.bincount(owners, minlength=len(engines))
    place = np.empty(len(owners), dtype=np.int64)
    starts = np.repeat(cu_seqlens(counts)[:-1], counts)
    place[np.argsort(owners, kind="stable")] = np.arange(len(owners)) - starts
    outputs = [_empty(engine, rows) for engine, rows in zip(engines, counts, strict=True)]

    def compute(rows: np.ndarray) -> None:
        changes = np.flatnonzero(np.diff(owners[rows])) + 1
        parts = np.split(rows, changes)
        segments = [(len(part), engines[owners[part[0]]].prepared) for part in parts]
        found = logits_of_segments(TokenBatch.of(tokens, rows), segments)
        for part, logits in zip(parts, found, strict=True):
            outputs[owners[part[0]]][place[part]] = logits.cpu().numpy()

    batches: list[Batch] = []
    for some in _sharing(engines):
        rows = np.flatnonzero(np.isin(owners, some))
        if len(rows):
            cut = by_owner(tokens.lengths[rows], owners[rows], batch_size, engines[some[0]].cut)
            batches += [(compute, rows[part]) for part in cut]
    _compute(batches, engines, len(owners))
    return outputs


def answer_all(
    engines: Sequence[TorchEngine], tokens: TokenizedTexts, batch_size: int
) -> list[np.ndarray]:
    """For each engine the logits of every row, float32 ``[rows, outputs]``."""
    outputs = [_empty(engine, len(tokens)) for engine in engines]

    def computing(some: Sequence[int]) -> Callable[[np.ndarray], None]:
        def compute(rows: np.ndarray) -> None:
            prepared = [engines[number].prepared for number in some]
            found = logits_of_all(TokenBatch.of(tokens, rows), prepared)
            for number, logits in zip(some, found, strict=True):
                outputs[number][rows] = logits.cpu().numpy()

        return compute

    batches = [
        (computing(some), rows)
        for some in _sharing(engines)
        for rows in (engines[some[0]].cut(tokens.lengths, batch_size) if len(tokens) else ())
    ]
    _compute(batches, engines, len(tokens))
    return outputs


def _compute(batches: Sequence[Batch], engines: Sequence[TorchEngine], total: int) -> None:
    """Compute batches side by side; one that is alone by all cores."""
    if len(batches) == 1:
        compute, rows = batches[0]
        compute(rows)
    if len(batches) < 2:
        return
    with track(total, "predicting") as bar, engines[0].threads() as threads:
        futures = [(threads.submit(compute, rows), len(rows)) for compute, rows in batches]
        for future, count in futures:
            future.result()
            bar.update(count)


def _sharing(engines: Iterable[TorchEngine]) -> Iterator[list[int]]:
    """The numbers of engines that have all frozen weights in common, the word embeddings too."""
    sharing: dict[tuple[int, int], list[int]] = {}
    for number, engine in enumerate(engines):
        backbone = engine.prepared.backbone
        key = id(backbone.layers), id(backbone.word_embeddings)
        sharing.setdefault(key, []).append(number)
    return iter(sharing.values())


def _empty(engine: TorchEngine, rows: int) -> np.ndarray:
    return np.empty((rows, engine.outputs), dtype=np.float32)
