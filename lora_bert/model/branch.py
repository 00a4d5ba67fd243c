"""Trunk and branch: the backbone below an adapter's lowest layer, and everything above it.

The backbone is shared and immutable, an :class:`Adapter` is a plain state object, and the branch is
a function of (hidden states, mask, adapter): any number of adapters run on one backbone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lora_bert.model.activation import activation
from lora_bert.model.backbone import Backbone, Norm
from lora_bert.model.dropout import derived_seed, dropout
from lora_bert.model.encoder import (
    Batch,
    LoraUpdates,
    embed,
    forward_context,
    normalise,
    run_layer,
)
from lora_bert.model.lora import LoraFactors, LoraUpdate, lora_update


@dataclass(frozen=True)
class Adapter:
    """What was learned for one task, as tensors.

    Attributes:
        factors: LoRA factors by the name of the linear layer they change.
        head: The classification head's tensors by their names in ``transformers``, float32.
        depth: Index of the lowest layer it changes: the trunk is the layers below.
        dropout: Dropout on the LoRA path while training.
    """

    factors: Mapping[str, LoraFactors]
    head: Mapping[str, Tensor]
    depth: int
    dropout: float = 0.0

    def __repr__(self) -> str:
        return (
            f"Adapter({len(self.factors):,} linear layers changed, "
            f"{self.parameter_count:,} parameters)"
        )

    @property
    def named_tensors(self) -> dict[str, Tensor]:
        """Every tensor that training changes, by a name of its own."""
        pairs = {
            f"{name}.{part}": tensor
            for name, pair in self.factors.items()
            for part, tensor in (("lora_A", pair.lora_A), ("lora_B", pair.lora_B))
        }
        return pairs | dict(self.head)

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor that training changes."""
        return list(self.named_tensors.values())

    @property
    def parameter_count(self) -> int:
        """Number of trained weights."""
        return sum(tensor.numel() for tensor in self.tensors)

    def to(self, device: torch.device) -> Adapter:
        """The same adapter on another device."""
        factors = {
            name: LoraFactors(pair.lora_A.to(device), pair.lora_B.to(device), pair.scaling)
            for name, pair in self.factors.items()
        }
        head = {name: tensor.to(device) for name, tensor in self.head.items()}
        return Adapter(factors, head, self.depth, self.dropout)

    def copy(self) -> Adapter:
        """A detached copy, not changed by further training."""
        factors = {
            name: LoraFactors(
                pair.lora_A.detach().clone(), pair.lora_B.detach().clone(), pair.scaling
            )
            for name, pair in self.factors.items()
        }
        head = {name: tensor.detach().clone() for name, tensor in self.head.items()}
        return Adapter(factors, head, self.depth, self.dropout)


def trunk(backbone: Backbone, batch: Batch, depth: int) -> Tensor:
    """Hidden states below layer ``depth``, ``[rows, length, hidden]``; no gradients."""
    with torch.no_grad():
        hidden = embed(backbone, batch)
        shared = forward_context(backbone, batch.mask, {})
        for layer in backbone.layers[:depth]:
            hidden = run_layer(backbone, layer, hidden, shared)
    return hidden


def branch(
    backbone: Backbone,
    hidden: Tensor,
    mask: Tensor,
    adapter: Adapter,
    *,
    changes: LoraUpdates | None = None,
    seed: int | None = None,
    checkpointing: bool = False,
) -> Tensor:
    """Hidden states from below ``adapter.depth`` -> logits ``[rows, labels]``, float32.

    Args:
        backbone: The shared backbone.
        hidden: What :func:`trunk` gave, ``[rows, length, hidden]``.
        mask: True on tokens, ``[rows, length]``.
        adapter: The adapter that answers.
        changes: What :func:`lora_updates` makes of the adapter, where it is at hand already.
        seed: Apply dropout (LoRA path and head), this one; None: do not.
        checkpointing: Recompute each layer in the backward pass instead of keeping its
            activations (Chen et al. 2016, arXiv:1604.06174).
    """
    if changes is None:
        changes = lora_updates(backbone, adapter)
    shared = forward_context(
        backbone, mask, changes, 0.0 if seed is None else adapter.dropout, seed or 0
    )
    for layer in backbone.layers[adapter.depth :]:
        if checkpointing:
            hidden = checkpoint(run_layer, backbone, layer, hidden, shared, use_reentrant=False)
        else:
            hidden = run_layer(backbone, layer, hidden, shared)
    if backbone.final_norm is not None:
        hidden = normalise(hidden, backbone.final_norm)
    return _classify(backbone, _pool(backbone, hidden, mask), adapter.head, seed)


def lora_updates(
    backbone: Backbone, adapter: Adapter, dtype: torch.dtype | None = None
) -> dict[str, LoraUpdate]:
    """What an adapter changes in each stack of the backbone, differentiable in its factors.

    Args:
        backbone: The backbone.
        adapter: The adapter.
        dtype: Of the result (default: the backbone's, which :func:`branch` needs).
    """
    stacks = backbone.stacks(adapter.depth)
    found = {name: lora_update(stack, adapter.factors) for name, stack in stacks.items()}
    dtype = dtype or backbone.dtype
    return {name: change.to(dtype) for name, change in found.items() if change}


def fused_updates(backbone: Backbone, adapter: Adapter) -> dict[str, LoraUpdate]:
    """:func:`lora_updates` for predicting over and over: on a CPU with what that is faster with."""
    with torch.no_grad():
        changes = lora_updates(backbone, adapter)
        if backbone.device.type != "cpu":
            return changes
        stacks = backbone.stacks(adapter.depth).items()
        wide = {name: stack for name, stack in stacks if stack.is_wide and name in changes}
        return changes | {name: changes[name].fused_with(stack) for name, stack in wide.items()}


def logits(
    backbone: Backbone, batch: Batch, adapter: Adapter, changes: LoraUpdates | None = None
) -> Tensor:
    """Token ids -> logits ``[rows, labels]``, float32, without gradients or dropout."""
    with torch.inference_mode():
        hidden = trunk(backbone, batch, adapter.depth)
        return branch(backbone, hidden, batch.mask, adapter, changes=changes)


def _pool(backbone: Backbone, hidden: Tensor, mask: Tensor) -> Tensor:
    """The vector that stands for the text, ``[rows, hidden]``, float32."""
    if backbone.config.head.pooling == "mean":
        weights = mask[..., None].float()
        return (hidden.float() * weights).sum(1) / weights.sum(1)
    return hidden[:, 0].float()


def _classify(
    backbone: Backbone, pooled: Tensor, head: Mapping[str, Tensor], seed: int | None
) -> Tensor:
    config, names = backbone.config.head, backbone.config.layout.head
    if seed is not None:
        pooled = dropout(pooled, config.input_dropout, derived_seed(seed, names.dense))
    act = activation(config.activation)
    x = act(F.linear(pooled, head[f"{names.dense}.weight"], head.get(f"{names.dense}.bias")))
    if names.norm:
        eps = backbone.config.layer_norm_eps
        x = normalise(x, Norm(head[f"{names.norm}.weight"], head.get(f"{names.norm}.bias"), eps))
    if seed is not None:
        x = dropout(x, config.dropout, derived_seed(seed, names.output))
    return F.linear(x, head[f"{names.output}.weight"], head.get(f"{names.output}.bias"))
