"""Trunk and branch: the backbone below an adapter's lowest layer, and everything above it.

The backbone is shared and immutable, an :class:`~lora_bert.model.adapter.Adapter` is a plain state
object, and the branch is a function of (hidden states, offsets, adapter): any number of adapters
run on one backbone. Hidden states are ``[tokens, hidden]``, the rows of a batch one behind the
other; see :mod:`lora_bert.tokens.batching` for where they stand.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lora_bert.model.adapter import Adapter
from lora_bert.model.attention import attention_context
from lora_bert.model.backbone import Backbone, Layer
from lora_bert.model.embeddings import embed
from lora_bert.model.heads import classify, mean_normed, mean_of_rows
from lora_bert.model.layer import ForwardContext, LoraUpdates, run_layer
from lora_bert.model.layer_graphs import LayerGraphs
from lora_bert.model.lora import LoraUpdate, lora_update
from lora_bert.model.row_attention import RowAttention, reads_rows
from lora_bert.tokens.batching import Offsets, TokenBatch


def trunk(backbone: Backbone, batch: TokenBatch, depth: int) -> Tensor:
    """Hidden states below layer ``depth``, ``[tokens, hidden]``; no gradients."""
    with torch.no_grad():
        hidden = embed(backbone, batch)
        if not depth:
            return hidden
        context = ForwardContext(attention_context(backbone, batch.offsets))
        for layer in backbone.layers[:depth]:
            hidden = run_layer(backbone, layer, hidden, context)
    return hidden


def branch(
    backbone: Backbone,
    hidden: Tensor,
    offsets: Offsets,
    adapter: Adapter,
    *,
    start: int | None = None,
    updates: LoraUpdates | None = None,
    seed: int | None = None,
    checkpointing: bool = False,
    graphs: LayerGraphs | None = None,
) -> Tensor:
    """Hidden states from below layer ``start`` -> outputs ``[rows, outputs]``, float32.

    Where the head reads every token, they are ``[tokens, outputs]``, without the filler.

    What the arguments are, :func:`pooled` says, which gets them all.
    """
    read = pooled(
        backbone, hidden, offsets, adapter,
        start=start, updates=updates, seed=seed, checkpointing=checkpointing, graphs=graphs,
    )  # fmt: skip
    return classify(backbone, read, adapter.head, seed)


def pooled(
    backbone: Backbone,
    hidden: Tensor,
    offsets: Offsets,
    adapter: Adapter,
    *,
    start: int | None = None,
    updates: LoraUpdates | None = None,
    seed: int | None = None,
    checkpointing: bool = False,
    graphs: LayerGraphs | None = None,
) -> Tensor:
    """Hidden states from below layer ``start`` -> what the head reads, ``[rows, hidden]``, float32.

    Of a head that reads every token, the rows are tokens.

    Args:
        backbone: The shared backbone.
        hidden: What :func:`trunk` gave, ``[tokens, hidden]``.
        offsets: Where the rows stand.
        adapter: The adapter that answers.
        start: The lowest layer to run, none that the adapter changes being below it (default:
            ``adapter.depth``).
        updates: What :func:`lora_updates` makes of the adapter, where it is at hand already; empty:
            the frozen layers answer.
        seed: Apply dropout (LoRA path and head), this one; None: do not.
        checkpointing: Recompute each layer in the backward pass instead of keeping its
            activations (Chen et al. 2016, arXiv:1604.06174).
        graphs: What :func:`layer_graphs` made for the ``updates``: they compute the layers in
            training, where they can.
    """
    if updates is None:
        updates = lora_updates(backbone, adapter)
    through = graphs(hidden, offsets) if graphs else None
    if through is None:
        dropout_rate = 0.0 if seed is None else adapter.dropout
        attention = attention_context(backbone, offsets)
        context = ForwardContext(attention, updates, dropout_rate, seed or 0)
        layers = backbone.layers[adapter.depth if start is None else start :]
        through = _run(backbone, layers, hidden, context, adapter.pooling == "cls", checkpointing)
    if backbone.final_norm is not None:
        through = backbone.final_norm(through)
    if adapter.pooling == "cls":
        return through[: offsets.rows].float()
    if adapter.pooling == "none":
        return through[: int(offsets.lengths.sum())].float()
    return mean_normed(backbone, mean_of_rows(through, offsets))


def _run(
    backbone: Backbone,
    layers: Sequence[Layer],
    hidden: Tensor,
    context: ForwardContext,
    first_alone: bool,
    checkpointing: bool = False,
) -> Tensor:
    """What comes out of the last layer; with ``first_alone`` of the first token of each row."""
    for number, layer in enumerate(layers, start=1):
        # Where the head reads one token, the last layer computes no other.
        inputs = (backbone, layer, hidden, context, first_alone and number == len(layers))
        hidden = (
            checkpoint(run_layer, *inputs, use_reentrant=False)
            if checkpointing
            else run_layer(*inputs)
        )
    if first_alone and not layers:
        return hidden.index_select(0, context.attention.first)
    return hidden


def layer_graphs(
    backbone: Backbone, adapter: Adapter, updates: LoraUpdates, longest: int
) -> LayerGraphs | None:
    """What trains the layers by CUDA graphs, for rows of at most ``longest`` tokens.

    ``updates`` are the adapter's, in tensors that stay. None where the device or the family knows
    no attention by rows, where nothing is to learn in a layer, and with dropout, which draws anew
    each time.
    """
    if not updates or adapter.dropout or not reads_rows(backbone):
        return None
    layers = backbone.layers[adapter.depth :]

    def run(hidden: Tensor, rows: RowAttention, given: LoraUpdates) -> Tensor:
        context = ForwardContext(rows, given)
        return _run(backbone, layers, hidden, context, adapter.pooling == "cls")

    return LayerGraphs(run, updates, backbone.heads, longest)


def logits(
    backbone: Backbone, batch: TokenBatch, adapter: Adapter, updates: LoraUpdates | None = None
) -> Tensor:
    """Token ids -> logits ``[rows, labels]``, float32, without gradients or dropout."""
    with torch.inference_mode():
        start = branch_start(backbone, adapter)
        hidden = trunk(backbone, batch, start)
        return branch(backbone, hidden, batch.offsets, adapter, start=start, updates=updates)


def branch_start(backbone: Backbone, adapter: Adapter) -> int:
    """The lowest layer of the branch that answers.

    The last layer is the branch's, adapted or not: it knows what the head reads.
    """
    return min(adapter.depth, len(backbone.layers) - 1)


def lora_updates(backbone: Backbone, adapter: Adapter) -> dict[str, LoraUpdate]:
    """What an adapter changes in each fused linear, differentiable in its factors."""
    linears = backbone.fused(adapter.depth)
    updates = {name: lora_update(linear, adapter.factors) for name, linear in linears.items()}
    return {name: update.to(backbone.dtype) for name, update in updates.items() if update}


def merged_updates(backbone: Backbone, adapter: Adapter) -> dict[str, LoraUpdate]:
    """:func:`lora_updates` with a copy of the weights that they change, for many texts."""
    linears = backbone.fused(adapter.depth)
    with torch.no_grad():
        updates = lora_updates(backbone, adapter)
        return {name: update.merged_with(linears[name]) for name, update in updates.items()}
