"""Adapters that share a backbone, answering at once: each row by one of them, or by all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from lora_bert.inference.engines.engine import Batch, compute_batches, empty_logits, logits_at
from lora_bert.inference.engines.torch_engine import TorchEngine
from lora_bert.model.segments import logits_of_all, logits_of_segments
from lora_bert.tokens.batching import TokenBatch, by_length, by_owner, levelled
from lora_bert.tokens.tokenized import TokenizedTexts, cu_seqlens


def answer_rows(
    engines: Sequence[TorchEngine], tokens: Sequence[TokenizedTexts], batch_size: int
) -> list[np.ndarray]:
    """Each engine its own texts, those of several in one batch.

    Returns:
        What :func:`.answer` gives, for each engine.
    """
    joined = TokenizedTexts.joined(each.plain for each in tokens)
    counts = [len(each) for each in tokens]
    owners, firsts = np.repeat(np.arange(len(engines)), counts), cu_seqlens(counts)
    outputs = _rooms(engines, tokens)

    def compute(rows: np.ndarray) -> None:
        parts = np.split(rows, np.flatnonzero(np.diff(owners[rows])) + 1)
        numbers = [int(owners[part[0]]) for part in parts]
        segments = [(len(part), engines[number].prepared)
                    for number, part in zip(numbers, parts, strict=True)]  # fmt: skip
        found = logits_of_segments(TokenBatch.of(joined, rows), segments)
        for number, part, logits in zip(numbers, parts, found, strict=True):
            at = logits_at(engines[number], tokens[number], part - firsts[number])
            outputs[number][at] = logits.cpu().numpy()

    threads, batches = engines[0].threads(), list[Batch]()
    for some in _sharing(engines):
        rows = np.flatnonzero(np.isin(owners, some))
        if len(rows):
            lengths, cut = joined.lengths[rows], engines[some[0]].cut
            parts = by_owner(lengths, owners[rows], batch_size, cut)
            if cut is by_length:
                parts = levelled(parts, lengths, threads.count)
            batches += [(compute, rows[part]) for part in parts]
    compute_batches(batches, threads, len(owners))
    return outputs


def answer_all(
    engines: Sequence[TorchEngine], tokens: TokenizedTexts, batch_size: int
) -> list[np.ndarray]:
    """Every engine the same texts; as :func:`answer_rows`."""
    outputs = _rooms(engines, [tokens] * len(engines))

    def computing(some: Sequence[int]) -> Callable[[np.ndarray], None]:
        def compute(rows: np.ndarray) -> None:
            prepared = [engines[number].prepared for number in some]
            found = logits_of_all(TokenBatch.of(tokens, rows), prepared)
            for number, logits in zip(some, found, strict=True):
                at = logits_at(engines[number], tokens, rows)
                outputs[number][at] = logits.cpu().numpy()

        return compute

    threads, batches = engines[0].threads(), list[Batch]()
    for some in _sharing(engines) if len(tokens) else ():
        cut = engines[some[0]].cut
        parts = cut(tokens.lengths, batch_size)
        if cut is by_length:
            parts = levelled(parts, tokens.lengths, threads.count)
        batches += [(computing(some), rows) for rows in parts]
    compute_batches(batches, threads, len(tokens))
    return outputs


def _sharing(engines: Iterable[TorchEngine]) -> Iterator[list[int]]:
    """The numbers of engines that have all frozen weights in common, the embeddings' too."""
    sharing: dict[tuple[int, int, int], list[int]] = {}
    for number, engine in enumerate(engines):
        backbone = engine.prepared.backbone
        key = id(backbone.layers), id(backbone.word_embeddings), id(backbone.projection)
        sharing.setdefault(key, []).append(number)
    return iter(sharing.values())


def _rooms(engines: Sequence[TorchEngine], tokens: Sequence[TokenizedTexts]) -> list[np.ndarray]:
    return [empty_logits(*each) for each in zip(engines, tokens, strict=True)]
