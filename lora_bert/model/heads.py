"""The classification head: the vector that stands for a text -> outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.model.activation import activation_named
from lora_bert.model.backbone import Backbone, Norm
from lora_bert.model.dropout import derived_seed, dropout
from lora_bert.runtime.device import tensor_on
from lora_bert.tokens.batching import Offsets


def mean_of_rows(hidden: Tensor, offsets: Offsets) -> Tensor:
    """``[tokens, hidden]`` -> the mean of each row's tokens, ``[rows, hidden]``, float32."""
    row_of = tensor_on(offsets.spread(np.arange(offsets.rows)), hidden.device)
    sums = hidden.new_zeros(offsets.rows, hidden.shape[1], dtype=torch.float32)
    sums = sums.index_add(0, row_of, hidden[: len(row_of)].float())
    return sums / tensor_on(offsets.lengths, hidden.device)[:, None]


def mean_normed(backbone: Backbone, means: Tensor) -> Tensor:
    """The means of rows, ``[rows, hidden]``, as a head reads them: normalised, without parameters.

    A family whose classifier has a mean of its own (ModernBERT) reads them as they are.
    """
    for eps in backbone.config.mean_norms:
        means = F.layer_norm(means, means.shape[-1:], eps=eps)
    return means


def classify(
    backbone: Backbone, pooled: Tensor, head: Mapping[str, Tensor], seed: int | None
) -> Tensor:
    """What stands for each text, ``[rows, hidden]`` -> outputs ``[rows, outputs]``, both float32.

    Of a head that reads every token, the rows are tokens.

    Without ``seed`` there is no dropout.
    """
    x, name = features(backbone, pooled, head, seed), backbone.config.layout.head.output
    return F.linear(x, head[f"{name}.weight"], head.get(f"{name}.bias"))


def features(
    backbone: Backbone, pooled: Tensor, head: Mapping[str, Tensor], seed: int | None
) -> Tensor:
    """What the last layer of the head reads, ``[rows, hidden]``, float32.

    The backbone's configuration says how the head is built; without ``seed`` there is no dropout.
    """
    config, names = backbone.config.head, backbone.config.layout.head
    x = pooled
    if names.dense:
        if seed is not None:
            x = dropout(x, config.input_dropout, derived_seed(seed, names.dense))
        x = F.linear(x, head[f"{names.dense}.weight"], head.get(f"{names.dense}.bias"))
        x = activation_named(config.activation)(x)
    if names.norm:
        eps = backbone.config.layer_norm_eps
        x = Norm(head[f"{names.norm}.weight"], head.get(f"{names.norm}.bias"), eps)(x)
    if seed is not None:
        x = dropout(x, config.dropout, derived_seed(seed, names.output))
    return x
