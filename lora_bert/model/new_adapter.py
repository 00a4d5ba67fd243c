"""A fresh adapter: LoRA factors that change nothing yet, and a head that knows nothing yet."""

from __future__ import annotations

import torch
from torch import Tensor

from lora_bert.errors import ConfigError
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.lora import initial_lora_factors
from lora_bert.model.target_modules import parse_layers, target_names


def new_adapter(
    backbone: Backbone,
    label_count: int,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    target_modules: str,
    layers: str,
    generator: torch.Generator,
) -> Adapter:
    """An adapter to train: on the CPU, float32, the same for the same generator state.

    The head's hidden layer starts from the checkpoint where that has one; the output layer is new.

    Raises:
        ConfigError: Rank below 1, or targets that match nothing.
    """
    if rank < 1:
        raise ConfigError(
            f"--rank {rank}: an adapter needs a rank of at least 1.", hint="8 is a good start."
        )
    linears = backbone.linears
    names = target_names(backbone.config, target_modules, layers)
    factors = {name: initial_lora_factors(linears[name], rank, alpha, generator) for name in names}
    depth = parse_layers(layers, backbone.config).start
    return Adapter(factors, _new_head(backbone, label_count, generator), depth, dropout)


def head_only(backbone: Backbone, label_count: int, *, generator: torch.Generator) -> Adapter:
    """An adapter that changes no layer: its head, to train on the frozen backbone."""
    head = _new_head(backbone, label_count, generator)
    return Adapter({}, head, depth=len(backbone.layers))


def _new_head(
    backbone: Backbone, label_count: int, generator: torch.Generator
) -> dict[str, Tensor]:
    config, names, width = backbone.config, backbone.config.layout.head, backbone.hidden_size
    spread = config.initializer_range

    def dense(rows: int) -> Tensor:
        return torch.empty(rows, width).normal_(0.0, spread, generator=generator)

    head: dict[str, Tensor] = {}
    if names.dense:
        head[f"{names.dense}.weight"] = dense(width)
    if names.dense and config.head.dense_bias:
        head[f"{names.dense}.bias"] = torch.zeros(width)
    if names.norm:
        head[f"{names.norm}.weight"] = torch.ones(width)
        if config.head.norm_bias:
            head[f"{names.norm}.bias"] = torch.zeros(width)
    for name in head:
        if name in backbone.pretrained_head:
            head[name] = backbone.pretrained_head[name].cpu().clone()
    head[f"{names.output}.weight"] = dense(label_count)
    head[f"{names.output}.bias"] = torch.zeros(label_count)
    return head
