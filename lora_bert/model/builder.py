"""From the tensors of a checkpoint to the backbone in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.layout import OF_TOKENS, HeadLayout
from lora_bert.errors import BackboneError
from lora_bert.model.backbone import Backbone, Convolution, Layer, Norm
from lora_bert.model.fused_linear import FusedLinear, Linear
from lora_bert.model.int8_linear import check_int8
from lora_bert.model.shapes import check_linear, check_shapes
from lora_bert.runtime.device import pick_dtype

_INPUTS = ("query", "key", "value", "query_key_value")


def build_backbone(
    tensors: Mapping[str, Tensor],
    config: EncoderConfig,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Backbone:
    """The backbone made of the tensors of a sequence classifier's state dict.

    In int8 the linear layers multiply; the rest is in the precision that is usual on the device.

    Raises:
        BackboneError: One is missing, or has another shape than ``config.json`` asks for.
        UnavailableError: ``dtype`` is int8, and nothing here multiplies it fast.
    """
    place, int8 = torch.device(device), dtype == torch.int8
    if int8:
        check_int8(place)
        dtype = pick_dtype("auto", place)
    parts, layout = _Parts(tensors, config, dtype, place, int8), config.layout
    types = layout.token_type_embeddings
    backbone = Backbone(
        config=config,
        word_embeddings=parts.weight(layout.word_embeddings),
        position_embeddings=parts.positions(),
        token_type_embeddings=parts.weight(types) if types else None,
        embedding_norm=parts.norm(layout.embedding_norm),
        projection=parts.projection(),
        relative=parts.weight(layout.relative) if layout.relative else None,
        relative_norm=parts.norm(layout.relative_norm) if layout.relative_norm else None,
        layers=parts.layers(),
        final_norm=parts.norm(layout.final_norm) if layout.final_norm else None,
        pretrained_head=parts.head(layout.head),
        other_heads={kind: parts.head(layout.head_of(kind)) for kind in OF_TOKENS},
    )
    check_shapes(backbone)
    return backbone


@dataclass(frozen=True)
class _Parts:
    """Looks tensors up by name, casts them, and says which one is missing."""

    tensors: Mapping[str, Tensor]
    config: EncoderConfig
    dtype: torch.dtype
    device: torch.device
    int8: bool

    def weight(self, path: str) -> Tensor:
        found = self.maybe(f"{path}.weight")
        if found is None:
            raise BackboneError(
                f"The backbone's weights lack '{self.config.layout.prefix}{path}.weight'."
            )
        return found

    def maybe(self, path: str) -> Tensor | None:
        found = self.tensors.get(self.config.layout.prefix + path)
        return None if found is None else found.to(device=self.device, dtype=self.dtype)

    def norm(self, path: str) -> Norm:
        return Norm(self.weight(path), self.maybe(f"{path}.bias"), self.config.layer_norm_eps)

    def linear(self, path: str) -> Linear:
        name = self.config.layout.prefix + path
        made = Linear(name, self.weight(path), self.maybe(f"{path}.bias"))
        check_linear(made)
        return made

    def positions(self) -> Tensor | None:
        """Learned positions; what every token has in common is added to them."""
        layout = self.config.layout
        if not layout.position_embeddings:
            return None
        positions, tasks = self.weight(layout.position_embeddings), layout.task_embeddings
        return positions + self.weight(tasks)[0] if tasks else positions

    def projection(self) -> FusedLinear | None:
        path = self.config.layout.projection
        as_wide = self.config.embedding_size == self.config.hidden_size
        if not path or (as_wide and self.maybe(f"{path}.weight") is None):
            return None
        return FusedLinear.of([self.linear(path)])

    def layers(self) -> tuple[Layer, ...]:
        """All of them; those that have the same weights are the same."""
        count = self.config.num_hidden_layers
        paths = [self.config.layout.layer_path(index) for index in range(count)]
        made = {path: self.layer(paths.index(path), path) for path in dict.fromkeys(paths)}
        return tuple(made[path] for path in paths)

    def layer(self, index: int, base: str) -> Layer:
        config, layout = self.config, self.config.layout
        linears = {slot: self.linear(f"{base}.{path}") for slot, path in layout.linears.items()}
        named = dict(layout.norms)
        if config.arrangement == "pre" and index == 0:
            # ModernBERT's first layer has no norm before its attention: the embeddings end in one.
            del named["attention"]
        norms = {slot: self.norm(f"{base}.{path}") for slot, path in named.items()}
        inputs = [linears.pop(slot) for slot in _INPUTS if slot in linears]
        fused = {"attention_input": FusedLinear.of(inputs, int8=self.int8)}
        fused |= {
            slot: FusedLinear.of([linear], int8=self.int8) for slot, linear in linears.items()
        }
        convolution = self.convolution() if layout.convolution and index == 0 else None
        return Layer(fused, norms, config.is_local(index), convolution)

    def convolution(self) -> Convolution:
        path = self.config.layout.convolution
        weight, bias = self.weight(f"{path}.conv"), self.maybe(f"{path}.conv.bias")
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        norm, config = self.norm(f"{path}.LayerNorm"), self.config
        return Convolution(weight, bias, config.conv_groups, config.conv_act, norm)

    def head(self, layout: HeadLayout | None) -> dict[str, Tensor]:
        parts = layout.parts if layout else ()
        return {
            name: tensor.to(device=self.device, dtype=torch.float32)
            for name, tensor in self.tensors.items()
            if name.rpartition(".")[0] in parts
        }
