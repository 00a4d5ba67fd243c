"""Several adapters in one forward pass: rows of each in one batch, or all of them on one text.

A *segment* is the rows of a batch that one adapter answers; segments stand one behind the other.
Frozen products are computed over all tokens at once, LoRA by segment, and each head reads its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lora_bert.model.adapter import Adapter
from lora_bert.model.attention import AttentionContext, attention_context
from lora_bert.model.backbone import Backbone, Layer
from lora_bert.model.embeddings import embed
from lora_bert.model.forward import branch_start, lora_updates, pooled, trunk
from lora_bert.model.heads import classify, mean_normed, mean_of_rows
from lora_bert.model.layer import ForwardContext, LoraUpdates, run_layer
from lora_bert.model.row_attention import RowAttention
from lora_bert.model.segment_update import Segments, SegmentUpdate
from lora_bert.runtime.device import tensor_on
from lora_bert.tokens.batching import LONG_ROW, SLICE_TOKENS, Offsets, TokenBatch
from lora_bert.tokens.tokenized import cu_seqlens, flat_index


@dataclass(frozen=True)
class PreparedAdapter:
    """An adapter as it answers.

    Attributes:
        backbone: What it stands on; adapters that answer together share its layers.
        adapter: Head and pooling; what it was made of.
        updates: What it changes, in the precision of the backbone.
    """

    backbone: Backbone
    adapter: Adapter
    updates: LoraUpdates

    @classmethod
    def of(cls, backbone: Backbone, adapter: Adapter) -> PreparedAdapter:
        """The adapter, prepared."""
        with torch.no_grad():
            return cls(backbone, adapter, lora_updates(backbone, adapter))

    @property
    def start(self) -> int:
        """The lowest layer of its branch."""
        return branch_start(self.backbone, self.adapter)

    def classify(self, read: Tensor) -> Tensor:
        """What the head makes of what it reads, ``[rows, hidden]`` -> ``[rows, outputs]``."""
        return classify(self.backbone, read, self.adapter.head, None)


Segment = tuple[int, PreparedAdapter]
"""How many rows, and who answers them."""


def logits_of_segments(batch: TokenBatch, segments: Sequence[Segment]) -> list[Tensor]:
    """The logits of each segment's rows, float32 ``[rows, outputs]``, without gradients.

    Where its head reads every token, they are ``[tokens, outputs]``, as :func:`branch` has them.

    The segments have all rows of the batch, in order; there is at least one.
    """
    backbone, start = segments[0][1].backbone, min(each.start for _, each in segments)
    with torch.inference_mode():
        hidden = trunk(backbone, batch, start)
        read = read_by_segment(hidden, batch.offsets, segments, start)
        return [each.classify(part) for part, (_, each) in zip(read, segments, strict=True)]


def logits_of_all(batch: TokenBatch, adapters: Sequence[PreparedAdapter]) -> list[Tensor]:
    """The logits of each adapter for every row of the batch, as :func:`logits_of_segments`.

    Layers below an adapter's branch are computed once for all of them, and so is the whole
    backbone for those that change none.
    """
    backbone, offsets = adapters[0].backbone, batch.offsets
    found: dict[int, Tensor] = {}
    with torch.inference_mode():
        hidden, at = embed(backbone, batch), 0
        attention = attention_context(backbone, offsets)
        for start in sorted({each.start for each in adapters}):
            for layer in backbone.layers[at:start]:
                hidden = run_layer(backbone, layer, hidden, ForwardContext(attention))
            at = start
            for numbers in _together(adapters, start, offsets.tokens, backbone.device.type):
                firsts = [some[0] for some in numbers]
                rows = np.tile(np.arange(offsets.rows), len(firsts))
                wide, places = _rows_of(hidden, offsets, rows)
                segments = [(offsets.rows, adapters[number]) for number in firsts]
                read = read_by_segment(wide, places, segments, start)
                for some, part in zip(numbers, read, strict=True):
                    found |= {number: adapters[number].classify(part) for number in some}
    return [found[number] for number in range(len(adapters))]


def read_by_segment(
    hidden: Tensor, offsets: Offsets, segments: Sequence[Segment], start: int
) -> list[Tensor]:
    """Hidden states from below layer ``start`` -> what each head reads, float32 ``[rows, hidden]``.

    Of a head that reads every token, the rows are tokens. ``start`` is below no adapter's branch;
    an adapter's rows run frozen up to its own.
    """
    backbone = segments[0][1].backbone
    if backbone.config.relative_kinds or len(segments) == 1:
        # What an adapter changes in queries and keys, it changes in those of relative positions,
        # which belong to no row.
        return [
            pooled(backbone, *_rows_of(hidden, offsets, rows), adapter.adapter, start=start,
                   updates=adapter.updates)
            for rows, adapter in _numbered(segments)
        ]  # fmt: skip
    attention, last = attention_context(backbone, offsets), len(backbone.layers) - 1
    bounds = cu_seqlens([rows for rows, _ in segments])
    at = Segments(offsets.cu_seqlens[bounds].tolist())
    for layer in backbone.layers[start:last]:
        context = ForwardContext(attention, segments=_updates(layer, segments, at))
        hidden = run_layer(backbone, layer, hidden, context)
    poolings = [adapter.adapter.pooling for _, adapter in segments]
    if len(set(poolings)) == 1:
        return _last_layer(hidden, offsets, segments, attention)
    read: dict[int, Tensor] = {}
    for pooling in set(poolings):
        chosen = [number for number, each in enumerate(poolings) if each == pooling]
        numbered = list(_numbered(segments))
        rows = np.concatenate([numbered[number][0] for number in chosen])
        some, places = _rows_of(hidden, offsets, rows)
        there = attention_context(backbone, places)
        parts = _last_layer(some, places, [segments[number] for number in chosen], there)
        read |= dict(zip(chosen, parts, strict=True))
    return [read[number] for number in range(len(segments))]


def _last_layer(
    hidden: Tensor, offsets: Offsets, segments: Sequence[Segment],
    attention: AttentionContext | RowAttention,
) -> list[Tensor]:  # fmt: skip
    """From below the last layer to what heads read that read the same; see :func:`pooled`."""
    backbone, adapter = segments[0][1].backbone, segments[0][1].adapter
    rows = cu_seqlens([rows for rows, _ in segments])
    layer, reads_first = backbone.layers[-1], adapter.pooling == "cls"
    updates = _updates(layer, segments, Segments(offsets.cu_seqlens[rows].tolist()))
    if reads_first:
        # Behind its attention the layer computes a token a row.
        kept, behind = layer.fused["attention_input"].name, Segments(rows.tolist())
        updates |= {
            name: replace(update, segments=behind)
            for name, update in updates.items()
            if name != kept
        }
    context = ForwardContext(attention, segments=updates)
    hidden = run_layer(backbone, layer, hidden, context, reads_first)
    if backbone.final_norm is not None:
        hidden = backbone.final_norm(hidden)
    counts = [count for count, _ in segments]
    if reads_first:
        read = hidden[: offsets.rows].float()
    elif adapter.pooling == "mean":
        read = mean_normed(backbone, mean_of_rows(hidden, offsets))
    else:
        ends = offsets.cu_seqlens[rows]
        read, counts = hidden[: int(ends[-1])].float(), np.diff(ends).tolist()
    return list(torch.split(read, counts))


def _updates(layer: Layer, segments: Sequence[Segment], at: Segments) -> dict[str, SegmentUpdate]:
    """What the adapters change in a layer, by the name of the fused linear."""
    found = {}
    for name in (fused.name for fused in layer.fused.values()):
        updates = [adapter.updates.get(name) for _, adapter in segments]
        if any(updates):
            found[name] = SegmentUpdate(at, updates)
    return found


def _together(
    adapters: Sequence[PreparedAdapter], start: int, tokens: int, device: str
) -> Iterator[list[list[int]]]:
    """Which adapters whose branch begins at ``start`` are computed at once: lists of numbers.

    Those in one list change no layer and read the same, so one segment is enough for them. More
    tokens at once than are fast take memory, and nothing else.
    """
    changed, frozen = list[list[int]](), dict[str, list[int]]()
    for number, each in enumerate(adapters):
        if each.start == start and each.updates:
            changed.append([number])
        elif each.start == start:
            frozen.setdefault(each.adapter.pooling, []).append(number)
    most = SLICE_TOKENS if device == "cpu" else 32 * LONG_ROW
    lists, step = [*changed, *frozen.values()], max(1, most // tokens)
    return (lists[at : at + step] for at in range(0, len(lists), step))


def _numbered(segments: Sequence[Segment]) -> Iterator[tuple[np.ndarray, PreparedAdapter]]:
    """The numbers of each segment's rows."""
    ends = cu_seqlens([rows for rows, _ in segments])
    for begin, end, (_, adapter) in zip(ends, ends[1:], segments, strict=False):
        yield np.arange(begin, end), adapter


def _rows_of(hidden: Tensor, offsets: Offsets, rows: np.ndarray) -> tuple[Tensor, Offsets]:
    """The hidden states of some rows, which may be there several times, and where they stand."""
    if np.array_equal(rows, np.arange(offsets.rows)):
        return hidden, offsets
    lengths = offsets.lengths[rows]
    chosen, index = Offsets.of(lengths), flat_index(offsets.cu_seqlens[rows], lengths)
    filler = np.zeros(chosen.tokens - len(index), dtype=np.int64)
    return hidden.index_select(0, tensor_on(np.append(index, filler), hidden.device)), chosen
