"""The classification head: the vector that stands for a text -> outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.model.activation import activation
from lora_bert.model.backbone import Backbone, Norm
from lora_bert.model.dropout import derived_seed, dropout
from lora_bert.model.layer import normalise
from lora_bert.tokens.batching import Offsets


def reads_first_token(backbone: Backbone) -> bool:
    """Whether the first token stands for the text; otherwise the mean of all does."""
    return bool(backbone.config.get("classifier_pooling") != "mean")


def mean_of_rows(hidden: Tensor, offsets: Offsets) -> Tensor:
    """``[tokens, hidden]`` -> the mean of each row's tokens, ``[rows, hidden]``, float32."""
    row_of = torch.from_numpy(offsets.spread(np.arange(offsets.rows))).to(hidden.device)
    sums = hidden.new_zeros(offsets.rows, hidden.shape[1], dtype=torch.float32)
    sums = sums.index_add(0, row_of, hidden[: len(row_of)].float())
    return sums / torch.from_numpy(offsets.lengths).to(hidden.device)[:, None]


def classify(
    backbone: Backbone, pooled: Tensor, head: Mapping[str, Tensor], seed: int | None
) -> Tensor:
    """Vectors ``[rows, hidden]`` -> outputs ``[rows, outputs]``, float32.

    Args:
        backbone: Its family says how the head is built.
        pooled: What stands for each text, float32.
        head: The head's tensors.
        seed: Of the head's dropout; None: no dropout.
    """
    names = backbone.family.head
    if seed is not None:
        rate = head_dropout(backbone, names.input_dropout)
        pooled = dropout(pooled, rate, derived_seed(seed, names.dense))
    act = activation(str(backbone.config.get(names.activation_key) or names.activation))
    x = act(F.linear(pooled, head[f"{names.dense}.weight"], head.get(f"{names.dense}.bias")))
    if names.norm:
        eps = float(backbone.family.get(backbone.config, "layer_norm_eps"))
        x = normalise(x, Norm(head[f"{names.norm}.weight"], head.get(f"{names.norm}.bias"), eps))
    if seed is not None:
        x = dropout(x, head_dropout(backbone, names.dropout), derived_seed(seed, names.output))
    return F.linear(x, head[f"{names.output}.weight"], head.get(f"{names.output}.bias"))


def head_dropout(backbone: Backbone, keys: Sequence[str]) -> float:
    """The first of ``keys`` that the configuration or the family's defaults know; or none."""
    for key in keys:
        value = backbone.config.get(key, backbone.family.defaults.get(key))
        if value is not None:
            return float(value)
    return 0.0
