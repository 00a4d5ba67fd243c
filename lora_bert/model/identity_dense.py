"""The hidden layer of a head that passes on what it reads, where the checkpoint has none."""

from __future__ import annotations

import torch
from torch import Tensor

from lora_bert.backbones.config import Pooling
from lora_bert.model.backbone import Backbone

_WIDTH = {"tanh": 0.5, "relu": 0.5}
_USUAL_WIDTH = 0.25
"""What a feature's spread becomes, by activation: up to there it is nearly straight."""
_CENTRE = {"relu": 1.0}
"""What a feature's mean becomes, if not zero: ReLU is straight on one side of that."""
_FLOOR = 0.1
"""No feature counts as spread less than this part of the typical spread: one that hardly varies
would be blown up, and its gradients with it."""


def identity_dense(backbone: Backbone, read: Tensor, pooling: Pooling) -> dict[str, Tensor]:
    """The hidden layer's tensors; none where the checkpoint has the layer, for that ``pooling``.

    None either where the head has no hidden layer.

    Each feature is passed on, scaled by its spread and moved by its mean in what the head reads,
    ``[rows, hidden]``, float32 on the CPU, so that the activation bends little of it.
    """
    names, config = backbone.config.layout.head, backbone.config.head
    if not names.dense:
        return {}
    if f"{names.dense}.weight" in backbone.pretrained_head and pooling == config.pooling:
        return {}
    middle, spread = read.mean(dim=0), read.std(dim=0, correction=0)
    width = _WIDTH.get(config.activation, _USUAL_WIDTH)
    spread = spread.clamp_min(_FLOOR * float(spread.square().mean().sqrt()) + 1e-6)
    tensors = {f"{names.dense}.weight": torch.diag(width / spread)}
    if config.dense_bias:
        centre = _CENTRE.get(config.activation, 0.0)
        tensors[f"{names.dense}.bias"] = centre - width * middle / spread
    return tensors
