"""The encoder as functions: token ids -> hidden states -> hidden states one layer further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.model.activation import Activation, activation
from lora_bert.model.attention import AttentionContext, attention_context, mix, rotate, weigh
from lora_bert.model.backbone import Backbone, Convolution, Layer, Norm
from lora_bert.model.cpu_layer import SLOTS, Shape, layer_by_hand
from lora_bert.model.dropout import derived_seed
from lora_bert.model.lora import FusedLinear, LoraUpdate, adapted
from lora_bert.tokens.tokenized import PaddedTokens

LoraUpdates = Mapping[str, LoraUpdate]
"""What an adapter changes, by the name of the stack."""


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
    def of(cls, padded: PaddedTokens, device: torch.device) -> Batch:
        """Padded token arrays as tensors on a device."""
        types = None if padded.types is None else torch.from_numpy(padded.types).to(device)
        ids, mask = torch.from_numpy(padded.ids), torch.from_numpy(padded.mask)
        return cls(ids.to(device), mask.to(device), types)


@dataclass(frozen=True)
class ForwardContext:
    """What the layers of one forward pass share.

    Attributes:
        changes: What the adapter changes, by the name of the stack.
        rate: Dropout on the LoRA path; 0 outside training.
        seed: What decides which elements it drops.
        places: Which tokens see which, and where they stand.
    """

    changes: LoraUpdates
    rate: float
    seed: int
    places: AttentionContext

    def linear(
        self,
        x: Tensor,
        stack: FusedLinear,
        residual: Tensor | None = None,
        act: Activation | None = None,
    ) -> Tensor:
        """``act`` of the linear layers with what the adapter changes in them, plus ``residual``."""
        seed = derived_seed(self.seed, stack.name) if self.rate else 0
        change = self.changes.get(stack.name)
        return adapted(x, stack, change, residual, act, rate=self.rate, seed=seed)


def normalise(x: Tensor, norm: Norm) -> Tensor:
    """Layer norm over the last dimension."""
    return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)


def embed(backbone: Backbone, batch: Batch) -> Tensor:
    """Token ids -> hidden states below the first layer, ``[rows, length, hidden]``."""
    hidden = F.embedding(batch.ids, backbone.word_embeddings)
    if backbone.position_embeddings is not None:
        hidden = hidden + F.embedding(_positions(backbone, batch), backbone.position_embeddings)
    if backbone.token_type_embeddings is not None:
        kinds = torch.zeros_like(batch.ids) if batch.types is None else batch.types
        hidden = hidden + F.embedding(kinds, backbone.token_type_embeddings)
    if backbone.projection is None:
        return normalise(hidden, backbone.embedding_norm)
    if backbone.config.projects_first:
        return normalise(adapted(hidden, backbone.projection, None), backbone.embedding_norm)
    return adapted(normalise(hidden, backbone.embedding_norm), backbone.projection, None)


def forward_context(
    backbone: Backbone, mask: Tensor, changes: LoraUpdates, rate: float = 0.0, seed: int = 0
) -> ForwardContext:
    """Prepare what depends on places alone, once, for tokens ``mask [rows, length]``."""
    return ForwardContext(changes, rate, seed, attention_context(backbone, mask))


def run_layer(backbone: Backbone, layer: Layer, hidden: Tensor, shared: ForwardContext) -> Tensor:
    """One transformer layer: ``[rows, length, hidden]`` -> the same shape."""
    if _by_hand(backbone, hidden, shared):
        return _layer_by_hand(backbone, layer, hidden, shared)
    if backbone.config.arrangement == "pre":
        return _norm_before(backbone, layer, hidden, shared)
    found = _norm_after(backbone, layer, hidden, shared)
    if layer.convolution is None:
        return found
    return _convolved(layer.convolution, hidden, found, shared.places.real)


def _norm_after(backbone: Backbone, layer: Layer, hidden: Tensor, shared: ForwardContext) -> Tensor:
    stacks, norms = layer.stacks, layer.norms
    mixture = _attend(backbone, layer, hidden, shared)
    attended = shared.linear(mixture, stacks["attention_output"], hidden)
    hidden = normalise(attended, norms["attention"])
    inner = shared.linear(hidden, stacks["intermediate"], act=_activation(backbone))
    return normalise(shared.linear(inner, stacks["output"], hidden), norms["output"])


def _norm_before(
    backbone: Backbone, layer: Layer, hidden: Tensor, shared: ForwardContext
) -> Tensor:
    stacks, norms, act = layer.stacks, layer.norms, _activation(backbone)
    normed = normalise(hidden, norms["attention"]) if "attention" in norms else hidden
    mixture = _attend(backbone, layer, normed, shared)
    hidden = shared.linear(mixture, stacks["attention_output"], hidden)
    both = shared.linear(normalise(hidden, norms["output"]), stacks["intermediate"])
    value, gate = both.chunk(2, dim=-1)
    return shared.linear(act(value) * gate, stacks["output"], hidden)


def _convolved(part: Convolution, below: Tensor, hidden: Tensor, real: Tensor | None) -> Tensor:
    """``hidden`` with a convolution of what is ``below`` the layer; padding counts for nothing."""
    tokens = None if real is None else real[..., None].to(below.dtype)
    below = below if tokens is None else below * tokens
    padding = part.weight.shape[-1] // 2
    wide = F.conv1d(below.mT, part.weight, part.bias, padding=padding, groups=part.groups).mT
    wide = wide if tokens is None else wide * tokens
    return normalise(hidden + activation(part.act)(wide), part.norm)


def _attend(backbone: Backbone, layer: Layer, x: Tensor, shared: ForwardContext) -> Tensor:
    """Multi-head self-attention before its output projection."""
    places, bias = shared.places, shared.places.biases[layer.local]
    query, key, value = _by_head(backbone, shared.linear(x, layer.stacks["attention_input"]), 3)
    if places.rotations is not None:
        angles, kind = places.rotations[layer.local], backbone.config.rotary
        query, key = rotate(query, angles, kind), rotate(key, angles, kind)
        value = rotate(value, angles, kind) if backbone.config.rotates_values else value
    if places.distances is None:
        mixed = mix(query, key, value, bias)
    else:
        positions = _of_positions(backbone, layer, shared, places.distances.embeddings)
        mixed = weigh(places.distances.scores(query, key, *positions), value, bias)
    return mixed.transpose(1, 2).flatten(2)


def _of_positions(
    backbone: Backbone, layer: Layer, shared: ForwardContext, embeddings: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """What queries and what keys meet of relative positions, ``[1, heads, distances, size]``."""
    kinds, stacks, x = backbone.config.relative_kinds, layer.stacks, embeddings[None]
    if "position_key" in stacks or "position_query" in stacks:
        found = [
            _by_head(backbone, shared.linear(x, stacks[slot]), 1)[0] if slot in stacks else None
            for slot in ("position_key", "position_query")
        ]
        return found[0], found[1]
    query, key, _ = _by_head(backbone, shared.linear(x, stacks["attention_input"]), 3)
    return key if "c2p" in kinds else None, query if "p2c" in kinds else None


def _by_head(backbone: Backbone, x: Tensor, parts: int) -> tuple[Tensor, ...]:
    """``[rows, length, parts · hidden]`` -> ``[rows, heads, length, head size]`` each."""
    apart = x.view(*x.shape[:2], parts, backbone.heads, -1)
    return apart.permute(2, 0, 3, 1, 4).unbind()


def _by_hand(backbone: Backbone, hidden: Tensor, shared: ForwardContext) -> bool:
    """Whether a layer's backward pass is wanted, and is one that we have written."""
    return (
        torch.is_grad_enabled()
        and hidden.device.type == "cpu"
        and not shared.rate
        and backbone.config.has_plain_layers
        and _activation(backbone).derivative is not None
    )


def _layer_by_hand(
    backbone: Backbone, layer: Layer, hidden: Tensor, shared: ForwardContext
) -> Tensor:
    rows, length, width = hidden.shape
    heads = backbone.heads
    shape = Shape(rows, length, heads, width // heads, _activation(backbone))
    changes = [shared.changes.get(layer.stacks[slot].name) for slot in SLOTS]
    return layer_by_hand(hidden, shared.places.biases[0], layer, changes, shape)


def _activation(backbone: Backbone) -> Activation:
    return activation(backbone.config.hidden_act)


def _positions(backbone: Backbone, batch: Batch) -> Tensor:
    if not backbone.config.position_offset:
        return torch.arange(batch.ids.shape[1], device=batch.ids.device)[None]
    padding = backbone.config.pad_token_id
    real = (batch.ids != padding).long()
    return real.cumsum(1) * real + padding
