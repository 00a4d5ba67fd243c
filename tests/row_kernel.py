"""What torch's variable-length attention computes on a GPU, row after row, in plain operations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from lora_bert.model import layer_graphs, packed_linear, row_attention
from lora_bert.training import gradients
from lora_bert.training.rounded_factors import GatheredFactors


class PlayedAgain(layer_graphs.Recording):
    """A recording that is computed anew each time, in the same places."""

    def record(self, stream: None, pool: None) -> None:
        self._compute_forward()
        self._gradient = torch.zeros_like(self._output)
        self._compute_backward()
        output, gradients = self._output, self._gradients

        def forward() -> None:
            self._compute_forward()
            self._output = output.copy_(self._output)

        def backward() -> None:
            self._compute_backward()
            for place, gradient in zip(gradients, self._gradients, strict=True):
                place.copy_(gradient)
            self._gradients = gradients

        self._forward, self._backward = forward, backward


def as_on_a_gpu(patch: pytest.MonkeyPatch) -> None:
    """From here on a CPU computes as a GPU does: row by row, with nothing of oneDNN's.

    In training by the shapes of graphs, and with the factors put together as there.
    """
    patch.setattr(layer_graphs, "Recording", PlayedAgain)
    patch.setattr(gradients, "RoundedFactors", GatheredFactors)
    patch.setattr(row_attention, "has_row_kernel", lambda device, dtype: True)
    patch.setattr(row_attention, "_is_right", row_attention._is_right.__wrapped__)
    patch.setattr(row_attention, "forward_kernel", forward)
    patch.setattr(row_attention, "backward_kernel", backward)
    patch.setattr(packed_linear, "_can_pack", lambda: False)
    patch.setattr(packed_linear, "_narrow_first", lambda x: True)


def forward(
    query: Tensor, key: Tensor, value: Tensor, queries: Tensor, keys: Tensor,
    most_queries: int, most_keys: int, dropout: float, causal: bool, debug: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    """``aten::_flash_attention_forward``; what belongs to no row is not a number."""
    assert (dropout, causal, debug) == (0, False, False)
    mixed = torch.full(query.shape, torch.nan, dtype=query.dtype)
    sums = torch.full((query.shape[1], len(query)), torch.nan)
    for asking, asked in _rows(query, key, queries, keys, most_queries, most_keys):
        scores = _scores(query[asking], key[asked])
        sums[:, asking] = scores.logsumexp(-1)
        shares = torch.softmax(scores, -1).to(query.dtype)
        mixed[asking] = (shares @ value[asked].transpose(0, 1)).transpose(0, 1)
    return mixed, sums, torch.zeros(2), torch.zeros(()), torch.zeros(0)


def backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, mixed: Tensor, sums: Tensor,
    queries: Tensor, keys: Tensor, most_queries: int, most_keys: int, dropout: float, causal: bool,
    state: Tensor, unused: Tensor,
) -> tuple[Tensor, ...]:  # fmt: skip
    """``aten::_flash_attention_backward``."""
    assert (dropout, causal, state.shape, unused.shape) == (0, False, (2,), ())
    found = [torch.full(part.shape, torch.nan, dtype=part.dtype) for part in (query, key, value)]
    for asking, asked in _rows(query, key, queries, keys, most_queries, most_keys):
        q, k, v, g, out = (
            part.transpose(0, 1).float()
            for part in (query[asking], key[asked], value[asked], gradient[asking], mixed[asking])
        )
        shares = (_scores(query[asking], key[asked]) - sums[:, asking, None]).exp()
        g_scores = shares * (g @ v.mT - (g * out).sum(-1, keepdim=True)) * q.shape[-1] ** -0.5
        parts = g_scores @ k, g_scores.mT @ q, shares.mT @ g
        for whole, rows, part in zip(found, (asking, asked, asked), parts, strict=True):
            whole[rows] = part.transpose(0, 1).to(whole.dtype)
    return tuple(found)


def _scores(query: Tensor, key: Tensor) -> Tensor:
    """``[heads, queries, keys]``, float32."""
    query, key = query.transpose(0, 1).float(), key.transpose(0, 1).float()
    return query @ key.mT * query.shape[-1] ** -0.5


def _rows(
    query: Tensor, key: Tensor, queries: Tensor, keys: Tensor, most_queries: int, most_keys: int
) -> Iterator[tuple[slice, slice]]:
    """Each row's queries and keys; with what the kernel asks of its arguments."""
    assert query.stride(-1) == key.stride(-1) == 1
    assert queries.dtype == keys.dtype == torch.int32
    assert len(queries) == len(keys)
    assert (queries[0], queries[-1], keys[0], keys[-1]) == (0, len(query), 0, len(key))
    assert queries.diff().min() >= 1
    # Of the rows that a graph is filled up with only the most is known.
    assert queries.diff().max() <= most_queries
    assert keys.diff().max() <= most_keys
    ends = zip(queries.tolist(), keys.tolist(), strict=True)
    before = next(ends)
    for end in ends:
        yield slice(before[0], end[0]), slice(before[1], end[1])
        before = end
