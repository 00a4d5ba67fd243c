"""Attention between its two projections: the one place where tokens are seen as rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.model.backbone import Backbone
from lora_bert.model.relative import Distances, biases_by_distance, distances_of
from lora_bert.tokens.batching import Offsets, attended_shape

_LONG = 48
"""Tokens from which on torch's fused attention is faster whatever the length."""

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines of rotary positions, ``[length, head size]`` each."""


@dataclass(frozen=True)
class Rows:
    """How the tokens of a batch stand in rows of one length, with padding behind the shorter ones.

    Attributes:
        count: Of rows; on a CPU more than there are where that makes fewer shapes.
        length: Of each row, padding included.
        token_of: Which token each place of the rows holds, ``[rows · length]``; padding holds the
            last token of its row, which a bias hides. None where nothing is padded.
        place_of: Which place each token has, ``[tokens]``; filler has the first. None where nothing
            is padded and there is no filler.
        end: Tokens without filler.
        padding: The places that are padding; None where there are none.
        real: True where a token stands, ``[rows, length]``; None where all do.
        first: The first token of each row, ``[count]``.
    """

    count: int
    length: int
    token_of: Tensor | None
    place_of: Tensor | None
    end: int
    padding: Tensor | None
    real: Tensor | None
    first: Tensor

    @classmethod
    def of(cls, offsets: Offsets, device: torch.device, *, exact: bool) -> Rows:
        """The rows of a batch; ``exact``: no longer than the longest."""
        count, length = attended_shape(offsets.rows, offsets.longest, exact=exact)
        # Rows that are there to make up the number are the first token, and hidden like padding.
        empty = np.zeros(count - offsets.rows, dtype=np.int64)
        starts = np.concatenate([offsets.cu_seqlens[:-1], empty])
        lengths = np.concatenate([offsets.lengths, empty])[:, None]
        real = np.arange(length) < lengths
        place_of = np.zeros(offsets.tokens, dtype=np.int64)
        place_of[: offsets.cu_seqlens[-1]] = np.flatnonzero(real)
        whole = bool(real.all())
        plain = whole and offsets.tokens == real.size

        def there(array: np.ndarray, absent: bool) -> Tensor | None:
            return None if absent else torch.from_numpy(array).to(device)

        return cls(
            count=count,
            length=length,
            token_of=there(_tokens_of(starts, lengths, length), whole),
            place_of=there(place_of, plain),
            end=int(offsets.cu_seqlens[-1]),
            padding=there(np.flatnonzero(~real), whole),
            real=there(real, whole),
            first=torch.from_numpy(starts).to(device),
        )

    def pad(self, x: Tensor) -> Tensor:
        """``[tokens, width]`` -> ``[rows · length, width]``; padding holds finite values."""
        if self.token_of is None:
            return x[: self.count * self.length]
        return x.index_select(0, self.token_of)

    def pad_with_zeros(self, x: Tensor) -> Tensor:
        """As :meth:`pad`, with zeros on padding; without gradients."""
        padded = self.pad(x)
        return padded if self.padding is None else padded.index_fill_(0, self.padding, 0)

    def unpad(self, x: Tensor) -> Tensor:
        """``[rows · length, width]`` -> ``[tokens, width]``; filler holds finite values."""
        return x if self.place_of is None else x.index_select(0, self.place_of)

    def clear_filler(self, x: Tensor) -> Tensor:
        """``x [tokens, width]`` with zeros on filler, in place."""
        x[self.end :].zero_()
        return x


def _tokens_of(starts: np.ndarray, lengths: np.ndarray, length: int) -> np.ndarray:
    """Which token each place of the padded rows holds."""
    last = np.maximum(lengths - 1, 0)
    return (starts[:, None] + np.minimum(np.arange(length), last)).ravel()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class AttentionContext:
    """Which tokens see which, and where they stand.

    Attributes:
        rows: The batch as rows.
        biases: Added to the scores, ``[rows or 1, heads or 1, length or 1, length]``: very negative
            where a query does not see a key; None for nothing. One for layers that attend to
            every token, one for those that attend within a window.
        rotations: Likewise; None without rotary positions.
        distances: What relative positions add to the scores of DeBERTa; None elsewhere.
    """

    rows: Rows
    biases: tuple[Tensor | None, Tensor | None]
    rotations: tuple[Rotation, Rotation] | None = None
    distances: Distances | None = None

    def of_first_tokens(self) -> AttentionContext:
        """The same where the first token of each row is the only query."""
        seen, local = (None if bias is None else bias[..., :1, :] for bias in self.biases)
        distances = None if self.distances is None else self.distances.of_first_tokens()
        return replace(self, biases=(seen, local), distances=distances)


def attention_context(backbone: Backbone, offsets: Offsets) -> AttentionContext:
    """What the layers of a pass share, for a batch of rows that stand at ``offsets``."""
    config, device = backbone.config, backbone.device
    rows = Rows.of(offsets, device, exact=device.type != "cpu" or backbone.dtype == torch.float32)
    length, real = rows.length, rows.real
    seen = None if real is None else _bias(real[:, None, None, :], backbone.dtype)
    if config.relative_kinds:
        return AttentionContext(rows, (seen, None), distances=distances_of(backbone, length))
    if backbone.relative is not None:
        by_distance = biases_by_distance(backbone.relative, length)
        return AttentionContext(rows, (by_distance if seen is None else by_distance + seen, None))
    if not config.rotary:
        return AttentionContext(rows, (seen, None))
    whole = rotation(backbone, length, local=False)
    if config.arrangement == "post":
        return AttentionContext(rows, (seen, None), (whole, whole))
    window = config.local_window
    at = torch.arange(length, device=device)
    near = ((at[:, None] - at[None, :]).abs() <= window)[None, None]
    near = near if real is None else near & real[:, None, None, :]
    local = _bias(near, backbone.dtype)
    return AttentionContext(rows, (seen, local), (whole, rotation(backbone, length, local=True)))


def mix(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Softmax attention; ``[rows, heads, length, head size]`` throughout."""
    if _fused_is_faster(query):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5
    return weigh(scores, value, bias)


def weigh(scores: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
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
