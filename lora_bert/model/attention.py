"""Attention between its two projections: the one place where tokens are seen as rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.model.backbone import Backbone
from lora_bert.model.block_layout import BlockLayout, HeadLayout
from lora_bert.model.cpu_attention import BlockAttention
from lora_bert.model.relative import Distances, biases_by_distance, distances_of
from lora_bert.model.row_attention import RowAttention, reads_rows
from lora_bert.runtime.device import has_amx
from lora_bert.tokens.batching import Offsets

_LONG = 48
"""Tokens from which on torch's fused attention is faster whatever the length."""

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines of rotary positions, ``[length, head size]`` each."""


@dataclass(frozen=True)
class AttentionContext:
    """Which tokens see which, and where they stand.

    Attributes:
        layout: The batch in blocks.
        head_count: Attention heads.
        biases: Added to the scores, ``[blocks or 1, heads or 1, length or 1, length]``: very
            negative where a query does not see a key; None for nothing. One for layers that attend
            to every token, one for those that attend within a window.
        rotations: Likewise; None without rotary positions.
        distances: What relative positions add to the scores of DeBERTa; None elsewhere.
    """

    layout: BlockLayout
    head_count: int
    biases: tuple[Tensor | None, Tensor | None]
    rotations: tuple[Rotation, Rotation] | None = None
    distances: Distances | None = None

    @property
    def first(self) -> Tensor:
        """The first token of each row, ``[rows]`` or up to three more."""
        return self.layout.first

    @cached_property
    def by_hand(self) -> BlockAttention:
        """What trains on a CPU, and answers where :meth:`answers_by_hand` says so."""
        return BlockAttention(HeadLayout.of(self.layout, self.head_count), self.biases[0])

    def answers_by_hand(self, qkv: Tensor) -> bool:
        """Whether attention in parts is faster than in one without gradients, too."""
        plain = self.rotations is None and self.distances is None and not qkv.requires_grad
        return plain and qkv.device.type == "cpu" and qkv.dtype == torch.bfloat16 and not has_amx()

    def of_first_tokens(self) -> AttentionContext:
        """The same where first tokens, as many for every block, are the only queries."""
        at = self.layout.query_places[:, None, :, None]

        def part(bias: Tensor | None) -> Tensor | None:
            if bias is None or bias.shape[2] == 1:
                return bias
            whole = bias.expand(len(at), -1, -1, -1)
            return whole.gather(2, at.expand(-1, whole.shape[1], -1, whole.shape[3]))

        seen, local = map(part, self.biases)
        distances = None if self.distances is None else self.distances.of_first_tokens()
        return replace(self, biases=(seen, local), distances=distances)


def attention_context(backbone: Backbone, offsets: Offsets) -> AttentionContext | RowAttention:
    """What the layers of a pass share, for a batch of rows that stand at ``offsets``."""
    config, device = backbone.config, backbone.device
    if reads_rows(backbone):
        return RowAttention.of(offsets, backbone.heads, device)
    # Where positions are no more than differences of places, a row may begin anywhere in a block.
    together = device.type == "cpu" and config.has_plain_layers
    layout = BlockLayout.of(offsets, device, together=together)
    context = partial(AttentionContext, layout, backbone.heads)
    length, visible = layout.length, layout.seen()
    seen = None if visible is None else _bias(visible, backbone.dtype)
    if config.relative_kinds:
        return context((seen, None), distances=distances_of(backbone, length))
    if backbone.relative is not None:
        by_distance = biases_by_distance(backbone.relative, length)
        return context((by_distance if seen is None else by_distance + seen, None))
    if not config.rotary:
        return context((seen, None))
    whole = rotation(backbone, length, local=False)
    if config.arrangement == "post":
        return context((seen, None), (whole, whole))
    window = config.local_window
    at = torch.arange(length, device=device)
    near = ((at[:, None] - at[None, :]).abs() <= window)[None, None]
    near = near if visible is None else near & visible
    local = _bias(near, backbone.dtype)
    return context((seen, local), (whole, rotation(backbone, length, local=True)))


def softmax_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Softmax attention; ``[rows, heads, length, head size]`` throughout."""
    if _fused_is_faster(query):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5
    return weighted(scores, value, bias)


def weighted(scores: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """The values, weighed by the softmax of ``scores [rows, heads, length, length]``."""
    scores = scores if bias is None else scores + bias
    return torch.softmax(scores, -1, dtype=torch.float32).to(value.dtype) @ value


def rotation(backbone: Backbone, length: int, *, local: bool) -> Rotation:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864) of ``length`` tokens."""
    size, base = backbone.config.head_size, backbone.config.rotary_base(local=local)
    steps = torch.arange(0, size, 2, dtype=torch.float32, device=backbone.device)
    angles = torch.arange(length, device=backbone.device)[:, None] / base ** (steps / size)
    if backbone.config.rotary == "halves":
        angles = torch.cat((angles, angles), dim=-1)
    else:
        angles = angles.repeat_interleave(2, dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, angles: Rotation, kind: str) -> Tensor:
    """``x [rows, heads, length, head size]`` turned by the angles of its places."""
    wide, (cosines, sines) = x.float(), (part[: x.shape[2]] for part in angles)
    if kind == "halves":
        first, second = wide.chunk(2, dim=-1)
        turned = torch.cat((-second, first), dim=-1)
    else:
        turned = torch.stack((-wide[..., 1::2], wide[..., ::2]), dim=-1).flatten(-2)
    return (wide * cosines + turned * sines).to(x.dtype)


def _bias(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """What hides all but ``seen`` when it is added to scores."""
    bias = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return bias.masked_fill_(~seen, torch.finfo(dtype).min)


def _fused_is_faster(query: Tensor) -> bool:
    """Whether torch's fused attention is faster than its parts, one after the other.

    In bfloat16 on a CPU its backward pass is slow, and so are short lengths that do not fill the
    processor's vectors; and it prepares more than a single query is worth.
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return True
    length = query.shape[2]
    return not query.requires_grad and (length % 16 == 0 or length >= _LONG)
