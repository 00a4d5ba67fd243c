"""The hidden layer of a head that passes on what it reads, where the checkpoint has none."""

from __future__ import annotations

import torch
from torch import Tensor

from lora_bert.model.backbone import Backbone

_WIDTH = 0.5
"""Where one spread of a feature comes to stand: activations are nearly straight up to there."""
_CENTRE = {"relu": 1.0}
"""Where the middle comes to stand, if not at zero: of ReLU that side is straight where it is on."""
_FLOOR = 0.1
"""No feature counts as spread less than this part of the typical spread: one that hardly varies
would be blown up, and its gradients with it."""


def identity_dense(backbone: Backbone, read: Tensor) -> dict[str, Tensor]:
    """The hidden layer's tensors; none where the checkpoint has the layer, or the head none.

    Each feature is passed on, scaled by its spread and moved by its mean in what the head reads,
    ``[rows, hidden]``, float32 on the CPU, so that the activation bends little of it.
    """
    names, config = backbone.config.layout.head, backbone.config.head
    if not names.dense or f"{names.dense}.weight" in backbone.pretrained_head:
        return {}
    middle, spread = read.mean(dim=0), read.std(dim=0, correction=0)
    spread = spread.clamp_min(_FLOOR * float(spread.square().mean().sqrt()) + 1e-6)
    tensors = {f"{names.dense}.weight": torch.diag(_WIDTH / spread)}
    if config.dense_bias:
        centre = _CENTRE.get(config.activation, 0.0)
        tensors[f"{names.dense}.bias"] = centre - _WIDTH * middle / spread
    return tensors
