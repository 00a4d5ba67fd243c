"""The mean of a text's tokens as one more layer, which a plain ``transformers`` model computes.

With query and key zero, a layer attends to all real tokens alike; with values and output projection
2¹⁰ times the identity, with the norm below it scaled by 2⁻¹⁰ and no feed-forward part, it gives the
normalised mean of its inputs: beside that mean, the residual is 2²⁰ times too small to count. One
factor of 2²⁰ in place of the two would be too large for float16.

lora-bert itself takes the mean and leaves the layer out: it is there in files alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lora_bert.backbones.config import EncoderConfig

if TYPE_CHECKING:
    from torch import Tensor

SCALE = 1024.0
KEY = "lora_bert_mean_layer"
"""Of ``config.json``: the last layer was written here. Whether it still is, the weights say."""


def with_mean_layer(tensors: Mapping[str, Tensor], config: EncoderConfig) -> dict[str, Tensor]:
    """The tensors of a classifier that reads the mean -> of one that reads the first token.

    ``config`` is that of the former; float32 in, float32 out.
    """
    below = _path(config, config.num_hidden_layers - 1)
    norm = last_norm(config)
    scaled = {name: tensors[name] / SCALE for name in (f"{norm}.weight", f"{norm}.bias")}
    shapes = {name.removeprefix(below): tensor for name, tensor in tensors.items()
              if name.startswith(below)}  # fmt: skip
    above = _path(config, config.num_hidden_layers)
    added = {above + name: tensor for name, tensor in _mean_layer(shapes, config).items()}
    return {**tensors, **scaled, **added}


def settings_with_mean_layer(config: EncoderConfig) -> dict[str, Any]:
    """What the ``config.json`` of such a classifier says beside that of the backbone."""
    return {config.layers_key: config.num_hidden_layers + 1, KEY: True}


def config_without_mean_layer(config: EncoderConfig, layer: Mapping[str, Tensor]) -> EncoderConfig:
    """The encoder without the layer that makes the mean, if that is what its last ``layer`` does.

    ``layer`` has the tensors by their paths in it. Where somebody has trained the layer since, it
    is a layer like the others.
    """
    last, layout, wanted = config.num_hidden_layers - 1, config.layout, _mean_layer(layer, config)
    needed = {f"{path}.weight" for path in (*layout.linears.values(), *layout.norms.values())}
    if not last or layer.keys() != wanted.keys() | needed:
        return config
    if not all(layer[name].float().equal(tensor) for name, tensor in wanted.items()):
        return config
    raw = {key: value for key, value in config.raw.items() if key != KEY}
    return replace(
        config,
        raw=raw | {config.layers_key: last},
        num_hidden_layers=last,
        head=replace(config.head, pooling="mean"),
        has_mean_layer=True,
    )


def without_mean_layer(tensors: Mapping[str, Tensor], config: EncoderConfig) -> dict[str, Tensor]:
    """The opposite of :func:`with_mean_layer`, for the tensors of a file that has the layer."""
    above = _path(config, config.num_hidden_layers)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(above)}
    norm = last_norm(config)
    parts = [name for name in (f"{norm}.weight", f"{norm}.bias") if name in kept]
    return {**kept, **{name: kept[name].float() * SCALE for name in parts}}


def _mean_layer(shapes: Mapping[str, Tensor], config: EncoderConfig) -> dict[str, Tensor]:
    """The layer's tensors by their paths in it, in the shapes of another layer's; float32."""
    import torch

    layout = config.layout
    layer = {path: torch.zeros(tensor.shape) for path, tensor in shapes.items()}
    for norm in layout.norms.values():
        layer[f"{norm}.weight"] = torch.ones(config.hidden_size)
    for slot in ("value", "attention_output"):
        layer[f"{layout.linears[slot]}.weight"] = SCALE * torch.eye(config.hidden_size)
    return layer


def last_norm(config: EncoderConfig) -> str:
    """The full name of the norm that the last layer ends in."""
    layout, last = config.layout, config.num_hidden_layers - 1
    if layout.convolution and not last:  # which stands beside the first layer and has a norm
        return f"{layout.prefix}{layout.convolution}.LayerNorm"
    return _path(config, last) + layout.norms["output"]


def _path(config: EncoderConfig, layer: int) -> str:
    """What the names of a layer's tensors begin with."""
    return f"{config.layout.prefix}{config.layout.layer_path(layer)}."
