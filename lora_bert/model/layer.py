"""One transformer layer as a function: hidden states -> hidden states one layer further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.model.activation import Activation, activation_named
from lora_bert.model.attention import AttentionContext, rotate, softmax_attention, weighted
from lora_bert.model.backbone import Backbone, Convolution, Layer
from lora_bert.model.block_layout import BlockLayout
from lora_bert.model.dropout import derived_seed
from lora_bert.model.fused_linear import FusedLinear
from lora_bert.model.layer_by_hand import SLOTS, layer_by_hand
from lora_bert.model.lora import LoraUpdate, adapted
from lora_bert.model.row_attention import RowAttention
from lora_bert.model.segment_update import SegmentUpdate

LoraUpdates = Mapping[str, LoraUpdate]
"""What an adapter changes, by the name of the fused linear."""


@dataclass(frozen=True)
class ForwardContext:
    """What the layers of one forward pass share.

    Attributes:
        attention: Which tokens see which, and where they stand.
        updates: What the adapter changes, by the name of the fused linear.
        dropout_rate: Dropout on the LoRA path; 0 outside training.
        seed: What decides which elements it drops.
        segments: What several adapters change, in place of ``updates``; without gradients.
    """

    attention: AttentionContext | RowAttention
    updates: LoraUpdates = field(default_factory=dict)
    dropout_rate: float = 0.0
    seed: int = 0
    segments: Mapping[str, SegmentUpdate] = field(default_factory=dict)

    def linear(
        self,
        x: Tensor,
        fused: FusedLinear,
        residual: Tensor | None = None,
        activation: Activation | None = None,
    ) -> Tensor:
        """The linear layers with what the adapter changes in them, plus ``residual``, activated."""
        if by_segment := self.segments.get(fused.name):
            return by_segment.product(x, fused, residual, activation)
        seed = derived_seed(self.seed, fused.name) if self.dropout_rate else 0
        update = self.updates.get(fused.name)
        rate = self.dropout_rate
        return adapted(x, fused, update, residual, activation, dropout_rate=rate, seed=seed)


def run_layer(
    backbone: Backbone,
    layer: Layer,
    hidden: Tensor,
    context: ForwardContext,
    first_alone: bool = False,
) -> Tensor:
    """One transformer layer: ``[tokens, hidden]`` -> the same shape.

    With ``first_alone`` it computes the first token of each row and no other: ``[count, hidden]``,
    see ``first`` of the context's attention.
    """
    attention = context.attention
    first = attention.first if first_alone else None
    if layer.convolution is not None and isinstance(attention, AttentionContext):
        whole = _norm_after(backbone, layer, hidden, context, None)
        convolved = _convolved(layer.convolution, hidden, whole, attention.layout)
        return convolved if first is None else convolved.index_select(0, first)
    if first is None and _by_hand(backbone, hidden, context):
        updates = [context.updates.get(layer.fused[slot].name) for slot in SLOTS]
        by_hand = attention if isinstance(attention, RowAttention) else attention.by_hand
        return layer_by_hand(hidden, layer, updates, by_hand, backbone.activation)
    arrangement = _norm_before if backbone.config.arrangement == "pre" else _norm_after
    return arrangement(backbone, layer, hidden, context, first)


def _norm_after(
    backbone: Backbone, layer: Layer, hidden: Tensor, context: ForwardContext, first: Tensor | None
) -> Tensor:
    fused, norms = layer.fused, layer.norms
    attended = _attend(backbone, layer, hidden, context, first)
    hidden = hidden if first is None else hidden.index_select(0, first)
    attended = context.linear(attended, fused["attention_output"], hidden)
    hidden = norms["attention"](attended)
    inner = context.linear(hidden, fused["intermediate"], activation=backbone.activation)
    return norms["output"](context.linear(inner, fused["output"], hidden))


def _norm_before(
    backbone: Backbone, layer: Layer, hidden: Tensor, context: ForwardContext, first: Tensor | None
) -> Tensor:
    fused, norms = layer.fused, layer.norms
    normed = norms["attention"](hidden) if "attention" in norms else hidden
    attended = _attend(backbone, layer, normed, context, first)
    hidden = hidden if first is None else hidden.index_select(0, first)
    hidden = context.linear(attended, fused["attention_output"], hidden)
    both = context.linear(norms["output"](hidden), fused["intermediate"])
    value, gate = both.chunk(2, dim=-1)
    return context.linear(backbone.activation(value) * gate, fused["output"], hidden)


def _convolved(part: Convolution, below: Tensor, hidden: Tensor, layout: BlockLayout) -> Tensor:
    """``hidden`` with a convolution of what is ``below`` the layer; padding counts for nothing."""
    wide = layout.pad_with_zeros(below).view(layout.count, layout.length, -1)
    padding = part.weight.shape[-1] // 2
    wide = F.conv1d(wide.mT, part.weight, part.bias, padding=padding, groups=part.groups).mT
    return part.norm(hidden + activation_named(part.activation)(layout.unpad(wide.flatten(0, 1))))


def _attend(
    backbone: Backbone, layer: Layer, x: Tensor, context: ForwardContext, first: Tensor | None
) -> Tensor:
    """Multi-head self-attention before its output projection; of ``first`` alone if given."""
    attention, heads = context.attention, backbone.heads
    qkv = context.linear(x, layer.fused["attention_input"])
    if isinstance(attention, RowAttention):
        return attention.mixed(qkv, first_alone=first is not None)
    if first is None and attention.answers_by_hand(qkv):
        return attention.by_hand.mixed(qkv)
    layout = attention.layout
    query, key, value = _by_head(layout.pad(qkv), layout.count, 3, heads)
    if first is not None:
        # Queries of all tokens are computed, which costs less than products of other shapes.
        attention = attention.of_first_tokens()
        queries = qkv.index_select(0, layout.queries)[:, : x.shape[1]]
        (query,) = _by_head(queries, layout.count, 1, heads)
    bias = attention.biases[layer.local]
    if attention.rotations is not None:
        angles, kind = attention.rotations[layer.local], backbone.config.rotary
        query, key = rotate(query, angles, kind), rotate(key, angles, kind)
        value = rotate(value, angles, kind) if backbone.config.rotates_values else value
    if attention.distances is None:
        attended = softmax_attention(query, key, value, bias)
    else:
        positions = _of_positions(backbone, layer, context, attention.distances.embeddings)
        attended = weighted(attention.distances.scores(query, key, *positions), value, bias)
    attended = attended.transpose(1, 2).flatten(2).flatten(0, 1)
    return layout.unpad(attended) if first is None else attended.index_select(0, layout.query_of)


def _of_positions(
    backbone: Backbone, layer: Layer, context: ForwardContext, embeddings: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """What queries and what keys meet of relative positions, ``[1, heads, distances, size]``."""
    kinds, fused = backbone.config.relative_kinds, layer.fused
    if "position_key" in fused or "position_query" in fused:
        key, query = (
            _by_head(context.linear(embeddings, fused[slot]), 1, 1, backbone.heads)[0]
            if slot in fused
            else None
            for slot in ("position_key", "position_query")
        )
        return key, query
    both = context.linear(embeddings, fused["attention_input"])
    query, key, _ = _by_head(both, 1, 3, backbone.heads)
    return key if "c2p" in kinds else None, query if "p2c" in kinds else None


def _by_head(x: Tensor, blocks: int, parts: int, heads: int) -> tuple[Tensor, ...]:
    """``[blocks · length, parts · hidden]`` -> ``[blocks, heads, length, head size]`` each."""
    return x.reshape(blocks, len(x) // blocks, parts, heads, -1).permute(2, 0, 3, 1, 4).unbind()


def _by_hand(backbone: Backbone, hidden: Tensor, context: ForwardContext) -> bool:
    """Whether a layer's backward pass is wanted, and is one that we have written."""
    return (
        torch.is_grad_enabled()
        and (hidden.device.type == "cpu" or isinstance(context.attention, RowAttention))
        and not context.dropout_rate
        and backbone.config.has_plain_layers
        and backbone.activation.derivative is not None
    )
