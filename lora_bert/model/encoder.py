"""The encoder as functions: token ids -> hidden states -> hidden states one layer further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.backbones.encodings import Padded
from lora_bert.errors import BackboneError
from lora_bert.model.activation import Activation, activation
from lora_bert.model.backbone import Backbone, Layer, Norm
from lora_bert.model.by_hand import SLOTS, Shape, layer_by_hand
from lora_bert.model.dropout import mixed
from lora_bert.model.lora import Change, Stack, adapted

Changes = Mapping[str, Change]
"""What an adapter changes, by the name of the stack."""

_LONG = 48
"""Tokens from which on torch's fused attention is faster whatever the length."""


@dataclass(frozen=True)
class Batch:
    """Padded token tensors.

    Attributes:
        ids: Token ids, ``[rows, length]``, int64.
        mask: True where a token stands, False on padding, ``[rows, length]``.
        types: Token-type ids, ``[rows, length]``, or None for all zeros.
    """

    ids: Tensor
    mask: Tensor
    types: Tensor | None = None

    @classmethod
    def of(cls, padded: Padded, device: torch.device) -> Batch:
        """Padded token arrays as tensors on a device."""
        types = None if padded.types is None else torch.from_numpy(padded.types).to(device)
        ids, mask = torch.from_numpy(padded.ids), torch.from_numpy(padded.mask)
        return cls(ids.to(device), mask.to(device), types)


@dataclass(frozen=True)
class Pass:
    """What the layers of one forward pass share.

    Attributes:
        changes: What the adapter changes, by the name of the stack.
        rate: Dropout on the LoRA path; 0 outside training.
        seed: What decides which elements it drops.
        masks: Which keys a query sees, ``[rows, 1, length or 1, length]``, bool; None where it sees
            them all. One for global layers, one for local ones.
        rotary: Cosines and sines, ``[length, head size]`` each, likewise; None without rotary
            positions.
    """

    changes: Changes
    rate: float
    seed: int
    masks: tuple[Tensor | None, Tensor | None]
    rotary: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]] | None

    def linear(
        self, x: Tensor, stack: Stack, onto: Tensor | None = None, act: Activation | None = None
    ) -> Tensor:
        """``act`` of the linear layers with whatever the adapter changes in them, plus ``onto``."""
        seed = mixed(self.seed, stack.name) if self.rate else 0
        change = self.changes.get(stack.name)
        return adapted(x, stack, change, onto, act, rate=self.rate, seed=seed)


def normalise(x: Tensor, norm: Norm) -> Tensor:
    """Layer norm over the last dimension."""
    return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)


def embed(backbone: Backbone, batch: Batch) -> Tensor:
    """Token ids -> hidden states below the first layer, ``[rows, length, hidden]``."""
    hidden = F.embedding(batch.ids, backbone.words)
    if backbone.positions is not None:
        hidden = hidden + F.embedding(_positions(backbone, batch), backbone.positions)
    if backbone.types is not None:
        kinds = torch.zeros_like(batch.ids) if batch.types is None else batch.types
        hidden = hidden + F.embedding(kinds, backbone.types)
    return normalise(hidden, backbone.embedding_norm)


def new_pass(
    backbone: Backbone, mask: Tensor, changes: Changes, rate: float = 0.0, seed: int = 0
) -> Pass:
    """Prepare masks and rotary tables, once for all layers, for tokens ``mask [rows, length]``."""
    seen = None if bool(mask.all()) else mask[:, None, None, :]
    if backbone.family.arrangement == "post":
        return Pass(changes, rate, seed, (seen, None), None)
    length = mask.shape[1]
    window = int(backbone.family.get(backbone.config, "local_attention")) // 2
    at = torch.arange(length, device=mask.device)
    near = ((at[:, None] - at[None, :]).abs() <= window)[None, None]
    local = near if seen is None else near & seen
    rotary = (_rotary(backbone, length, local=False), _rotary(backbone, length, local=True))
    return Pass(changes, rate, seed, (seen, local), rotary)


def run_layer(backbone: Backbone, layer: Layer, hidden: Tensor, shared: Pass) -> Tensor:
    """One transformer layer: ``[rows, length, hidden]`` -> the same shape."""
    act = _activation(backbone)
    stacks, norms = layer.stacks, layer.norms
    if _by_hand(backbone, hidden, shared):
        return _layer_by_hand(backbone, layer, hidden, shared)
    if backbone.family.arrangement == "post":
        mixture = _attend(backbone, layer, hidden, shared)
        attended = shared.linear(mixture, stacks["attention_output"], hidden)
        hidden = normalise(attended, norms["attention"])
        inner = shared.linear(hidden, stacks["intermediate"], act=act)
        return normalise(shared.linear(inner, stacks["output"], hidden), norms["output"])
    normed = normalise(hidden, norms["attention"]) if "attention" in norms else hidden
    mixture = _attend(backbone, layer, normed, shared)
    hidden = shared.linear(mixture, stacks["attention_output"], hidden)
    value, gate = shared.linear(normalise(hidden, norms["output"]), stacks["intermediate"]).chunk(
        2, dim=-1
    )
    return shared.linear(act(value) * gate, stacks["output"], hidden)


def _attend(backbone: Backbone, layer: Layer, x: Tensor, shared: Pass) -> Tensor:
    """Multi-head self-attention before its output projection."""
    rows, length, width = x.shape
    projected = shared.linear(x, layer.stacks["attention_input"]).chunk(3, dim=-1)
    query, key, value = (
        part.view(rows, length, backbone.heads, width // backbone.heads).transpose(1, 2)
        for part in projected
    )
    if shared.rotary is not None:
        table = shared.rotary[layer.local]
        query, key = _rotate(query, *table), _rotate(key, *table)
    mixed = _mix(query, key, value, shared.masks[layer.local])
    return mixed.transpose(1, 2).reshape(rows, length, width)


def _by_hand(backbone: Backbone, hidden: Tensor, shared: Pass) -> bool:
    """Whether a layer's backward pass is wanted, and is one that we have written."""
    return (
        torch.is_grad_enabled()
        and hidden.device.type == "cpu"
        and not shared.rate
        and backbone.family.arrangement == "post"
        and _activation(backbone).derivative is not None
    )


def _layer_by_hand(backbone: Backbone, layer: Layer, hidden: Tensor, shared: Pass) -> Tensor:
    rows, length, width = hidden.shape
    heads = backbone.heads
    shape = Shape(rows, length, heads, width // heads, _activation(backbone))
    changes = [shared.changes.get(layer.stacks[slot].name) for slot in SLOTS]
    bias = None
    if (seen := shared.masks[0]) is not None:
        bias = hidden.new_zeros(rows, 1, 1, length)
        bias.masked_fill_(~seen, torch.finfo(hidden.dtype).min)
    return layer_by_hand(hidden, bias, layer, changes, shape)


def _activation(backbone: Backbone) -> Activation:
    return activation(str(backbone.family.get(backbone.config, "hidden_act")))


def _mix(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax attention; ``[rows, heads, length, head size]`` throughout."""
    if _fused_is_faster(query):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.softmax(scores, -1, dtype=torch.float32).to(value.dtype) @ value


def _fused_is_faster(query: Tensor) -> bool:
    """Whether torch's fused attention is faster than its parts, one after the other.

    In bfloat16 on a CPU its backward pass is slow, and so are short lengths that do not fill the
    processor's vectors.
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return True
    length = query.shape[2]
    return not query.requires_grad and (length % 16 == 0 or length >= _LONG)


def _positions(backbone: Backbone, batch: Batch) -> Tensor:
    if not backbone.family.position_offset:
        return torch.arange(batch.ids.shape[1], device=batch.ids.device)[None]
    padding = int(backbone.family.get(backbone.config, "pad_token_id"))
    real = (batch.ids != padding).long()
    return real.cumsum(1) * real + padding


def _rotary(backbone: Backbone, length: int, *, local: bool) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions (Su et al. 2021, arXiv:2104.09864)."""
    kind = "sliding_attention" if local else "full_attention"
    written = (backbone.config.get("rope_parameters") or {}).get(kind) or {}
    if written.get("rope_type", "default") != "default":
        raise BackboneError(
            f"The backbone scales its rotary positions ('{written['rope_type']}'), "
            "which is not supported."
        )
    key = "local_rope_theta" if local else "global_rope_theta"
    theta = float(written.get("rope_theta") or backbone.family.get(backbone.config, key))
    size = backbone.hidden_size // backbone.heads
    steps = torch.arange(0, size, 2, dtype=torch.float32, device=backbone.device)
    angles = torch.arange(length, device=backbone.device)[:, None] / theta ** (steps / size)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cosines + torch.cat((-second, first), dim=-1) * sines).to(x.dtype)
