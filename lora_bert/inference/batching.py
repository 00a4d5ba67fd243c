"""Rows -> padded batches: rows of like length together, padded to the batch's longest only."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lora_bert.backbones.tokenizer import Encoding
from lora_bert.model.encoder import Batch


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Row numbers in batches, the longest first (memory runs out at once or never)."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def shuffled_by_length(
    lengths: Sequence[int], batch_size: int, generator: torch.Generator
) -> list[list[int]]:
    """Row numbers in batches of like length, in random order, another one each call.

    The rows are shuffled, cut into pools of fifty batches, sorted within the pool, and the batches
    shuffled again: an epoch stays random while little is padding.
    """
    order = torch.randperm(len(lengths), generator=generator).tolist()
    pool = 50 * batch_size
    batches = []
    for start in range(0, len(order), pool):
        rows = sorted(order[start : start + pool], key=lambda row: -lengths[row])
        batches += [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    return [batches[at] for at in torch.randperm(len(batches), generator=generator).tolist()]


def collate(encodings: Sequence[Encoding], pad_id: int, *, takes_types: bool) -> Batch:
    """Encodings -> one :class:`Batch`, padded on the right with ``pad_id``."""
    lengths = torch.tensor([len(encoding.ids) for encoding in encodings])
    longest = int(lengths.max())
    mask = torch.arange(longest)[None] < lengths[:, None]
    ids = torch.full(mask.shape, pad_id)
    ids[mask] = torch.tensor([token for encoding in encodings for token in encoding.ids])
    if not takes_types or not any(any(encoding.types) for encoding in encodings):
        return Batch(ids, mask)
    types = torch.zeros_like(ids)
    types[mask] = torch.tensor([kind for encoding in encodings for kind in encoding.types])
    return Batch(ids, mask, types)
