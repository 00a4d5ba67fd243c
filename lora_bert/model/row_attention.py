"""Attention that reads rows where they stand: torch's variable-length kernel, on a GPU.

It is the flash attention (Dao 2023, arXiv:2307.08691) behind ``torch.nn.attention.varlen``, called
without that module, which imports torch's compiler. Nothing is padded, no bias is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lora_bert.model.backbone import Backbone
from lora_bert.runtime.device import has_row_kernel, tensor_on
from lora_bert.tokens.batching import Offsets

forward_kernel = torch.ops.aten._flash_attention_forward
backward_kernel = torch.ops.aten._flash_attention_backward

Kept = tuple[Tensor, ...]
"""What the way back needs: queries, keys and values, and what the kernel says of its sums."""


@dataclass(frozen=True)
class RowAttention:
    """The rows of a batch as the kernel reads them, among tokens that stand one behind the other.

    The kernel writes nothing where there is no row, and what lies there may not be a number: so
    filler stands in rows of its own, behind the others.

    Attributes:
        cu_seqlens: Where each row begins, int32 ``[rows + 1]``; the last one is the end.
        longest: Tokens of the longest row, or more.
        heads: How many there are.
    """

    cu_seqlens: Tensor
    longest: int
    heads: int

    @classmethod
    def of(cls, offsets: Offsets, heads: int, device: torch.device) -> RowAttention:
        """Those of a batch."""
        filler = np.arange(offsets.cu_seqlens[-1], offsets.tokens, offsets.longest)[1:]
        ends = [offsets.tokens] if offsets.tokens > offsets.cu_seqlens[-1] else []
        cu_seqlens = np.concatenate([offsets.cu_seqlens, filler, ends]).astype(np.int32)
        return cls(tensor_on(cu_seqlens, device), offsets.longest, heads)

    @property
    def first(self) -> Tensor:
        """The first token of each row, those of filler last, ``[rows]``."""
        return self.cu_seqlens[:-1]

    @cached_property
    def one_each(self) -> Tensor:
        """Where rows of one token begin, int32 ``[rows + 1]``."""
        return torch.arange(len(self.cu_seqlens), dtype=torch.int32, device=self.cu_seqlens.device)

    def mixed(self, qkv: Tensor, *, first_alone: bool = False) -> Tensor:
        """Queries, keys and values ``[tokens, 3 · hidden]`` -> ``[tokens, hidden]``.

        With ``first_alone`` the first token of each row asks, and no other: ``[rows, hidden]``.
        """
        query, key, value = self._by_head(qkv)
        query = query.index_select(0, self.first) if first_alone else query
        return _Attention.apply(query, key, value, self).flatten(1)  # type: ignore[no-any-return, no-untyped-call]

    def attend(self, qkv: Tensor) -> tuple[Tensor, Kept]:
        """The same without autograd, and what :meth:`attend_backward` needs of it."""
        mixed, kept = self.forward(*self._by_head(qkv))
        return mixed.flatten(1), (qkv, *kept)

    def attend_backward(self, g: Tensor, mixed: Tensor, kept: Kept) -> Tensor:
        """The gradient of what :meth:`attend` gave -> that of its input."""
        qkv, *sums = kept
        g, mixed = (part.view(len(part), self.heads, -1) for part in (g, mixed))
        return torch.stack(self.backward(g, mixed, *self._by_head(qkv), *sums), 1).flatten(1)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Kept]:
        """Of each token that asks and each head, ``[tokens, heads, head size]``: the mixed values.

        And the sums of exponentials, with what else the kernel wants back.
        """
        mixed, *kept, _ = forward_kernel(
            query, key, value, *self._rows(query, key), 0.0, False, False
        )
        return mixed, tuple(kept)

    def backward(
        self, g: Tensor, mixed: Tensor, query: Tensor, key: Tensor, value: Tensor, *kept: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of queries, keys and values."""
        sums, *state = kept
        rows = self._rows(query, key)
        return backward_kernel(g, query, key, value, mixed, sums, *rows, 0.0, False, *state)  # type: ignore[no-any-return]

    def _rows(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, int, int]:
        """Where rows of queries and of keys begin, and the most tokens of one."""
        if len(query) == len(key):
            return self.cu_seqlens, self.cu_seqlens, self.longest, self.longest
        return self.one_each, self.cu_seqlens, 1, self.longest

    def _by_head(self, qkv: Tensor) -> tuple[Tensor, ...]:
        """Views ``[tokens, heads, head size]``."""
        return qkv.view(len(qkv), 3, self.heads, -1).unbind(1)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, rows: RowAttention) -> Tensor:
        mixed, kept = rows.forward(query, key, value)
        ctx.save_for_backward(mixed, query, key, value, *kept)
        ctx.rows = rows
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return *ctx.rows.backward(gradient, *ctx.saved_tensors), None


def reads_rows(backbone: Backbone) -> bool:
    """Whether the kernel computes the attention of a backbone: its kind, precision and place."""
    config = backbone.config
    plain = config.has_plain_layers and backbone.relative is None
    fits = config.head_size % 8 == 0 and config.head_size <= 256
    here = (backbone.device, backbone.dtype)
    return plain and fits and has_row_kernel(*here) and _is_right(*here)


@cache
def _is_right(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this torch's operators compute attention as they are called here, both ways."""
    lengths, heads, size = [5, 7], 2, 16
    with torch.inference_mode(False), torch.enable_grad():  # whoever asks
        qkv = torch.linspace(-2, 2, 12 * 3 * heads * size).view(12, -1).sin().to(dtype)
        exact = qkv.float().requires_grad_()
        shaped = [part.view(-1, 3, heads, size) for part in torch.split(exact, lengths)]
        wanted = torch.cat([
            F.scaled_dot_product_attention(*part.permute(1, 2, 0, 3)).transpose(0, 1).flatten(1)
            for part in shaped
        ])  # fmt: skip
        (wanted_gradient,) = torch.autograd.grad(wanted, exact, wanted.detach())
    rows = RowAttention(torch.tensor([0, 5, 12], dtype=torch.int32, device=device), 7, heads)
    try:
        mixed, kept = rows.attend(qkv.to(device))
        gradient = rows.attend_backward(mixed, mixed, kept)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return False
    pairs = (mixed, wanted), (gradient, wanted_gradient)
    return all(torch.allclose(ours.float().cpu(), theirs, atol=0.03) for ours, theirs in pairs)
