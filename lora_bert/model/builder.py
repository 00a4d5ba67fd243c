"""From the tensors of a checkpoint to the backbone in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lora_bert.backbones.families import family_of, read_config
from lora_bert.backbones.family import Family
from lora_bert.backbones.weights import read_checkpoint
from lora_bert.errors import BackboneError
from lora_bert.model.backbone import Backbone, Convolution, Layer, Norm
from lora_bert.model.fused_linear import FusedLinear, Linear
from lora_bert.model.shapes import check_linear, check_shapes

_INPUTS = ("query", "key", "value", "query_key_value")


def load_backbone(
    directory: Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Backbone:
    """Read a backbone, or the encoder of a merged model, from a ``transformers`` directory.

    Raises:
        BackboneError: Incomplete, damaged, of an unknown family, or of other shapes than its
            ``config.json`` says.
    """
    config = read_config(directory)
    family = family_of(config)
    return build_backbone(read_checkpoint(directory, family), config, dtype=dtype, device=device)


def build_backbone(
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Backbone:
    """The backbone made of the tensors of a sequence classifier's state dict.

    Raises:
        BackboneError: One is missing, or has another shape than ``config.json`` asks for.
    """
    family = family_of(config)
    parts = _Parts(tensors, family, config, dtype, torch.device(device))
    backbone = Backbone(
        family=family,
        config=config,
        word_embeddings=parts.weight(family.words),
        position_embeddings=parts.positions(),
        token_type_embeddings=parts.weight(family.types) if family.types else None,
        embedding_norm=parts.norm(family.embedding_norm),
        projection=parts.projection(),
        relative=parts.weight(family.relative) if family.relative else None,
        relative_norm=parts.norm(family.relative_norm) if family.relative_norm else None,
        layers=parts.layers(),
        final_norm=parts.norm(family.final_norm) if family.final_norm else None,
        pretrained_head=parts.head(),
    )
    check_shapes(backbone)
    return backbone


@dataclass(frozen=True)
class _Parts:
    """Looks tensors up by name, casts them, and says which one is missing."""

    tensors: Mapping[str, Tensor]
    family: Family
    config: Mapping[str, Any]
    dtype: torch.dtype
    device: torch.device

    def weight(self, path: str) -> Tensor:
        found = self.maybe(f"{path}.weight")
        if found is None:
            raise BackboneError(f"The backbone's weights lack '{self.family.prefix}{path}.weight'.")
        return found

    def maybe(self, path: str) -> Tensor | None:
        found = self.tensors.get(self.family.prefix + path)
        return None if found is None else found.to(device=self.device, dtype=self.dtype)

    def norm(self, path: str) -> Norm:
        eps = float(self.family.get(self.config, "layer_norm_eps"))
        return Norm(self.weight(path), self.maybe(f"{path}.bias"), eps)

    def linear(self, path: str) -> Linear:
        name = self.family.prefix + path
        made = Linear(name, self.weight(path), self.maybe(f"{path}.bias"))
        check_linear(made)
        return made

    def positions(self) -> Tensor | None:
        """Learned positions; what every token has in common is added to them."""
        if not self.family.positions:
            return None
        positions = self.weight(self.family.positions)
        return positions + self.weight(self.family.tasks)[0] if self.family.tasks else positions

    def projection(self) -> FusedLinear | None:
        path, config = self.family.projection, self.config
        as_wide = self.family.embedding_size(config) == self.family.get(config, "hidden_size")
        if not path or (as_wide and self.maybe(f"{path}.weight") is None):
            return None
        return FusedLinear.of([self.linear(path)])

    def layers(self) -> tuple[Layer, ...]:
        """All of them; those that have the same weights are the same."""
        made: dict[str, Layer] = {}
        indices = range(self.family.layer_count(self.config))
        paths = [self.family.layer_path(index) for index in indices]
        for index, path in zip(indices, paths, strict=True):
            if path not in made:
                made[path] = self.layer(index, path)
        return tuple(made[path] for path in paths)

    def layer(self, index: int, base: str) -> Layer:
        linears = {
            slot: self.linear(f"{base}.{path}") for slot, path in self.family.linears.items()
        }
        # ModernBERT's first layer has no norm before its attention: the embeddings end in one.
        skips = {"attention"} if self.family.arrangement == "pre" and index == 0 else set()
        norms = {
            slot: self.norm(f"{base}.{path}")
            for slot, path in self.family.norms.items()
            if slot not in skips
        }
        inputs = [linears.pop(slot) for slot in _INPUTS if slot in linears]
        stacks = {"attention_input": FusedLinear.of(inputs)}
        stacks |= {slot: FusedLinear.of([linear]) for slot, linear in linears.items()}
        convolution = self.convolution() if self.family.convolution and index == 0 else None
        return Layer(stacks, norms, self.family.is_local(self.config, index), convolution)

    def convolution(self) -> Convolution:
        path, get = self.family.convolution, self.family.get
        bias = self.maybe(f"{path}.conv.bias")
        weight = self.weight(f"{path}.conv")
        return Convolution(
            weight=weight,
            bias=weight.new_zeros(len(weight)) if bias is None else bias,
            groups=int(get(self.config, "conv_groups")),
            act=str(get(self.config, "conv_act")),
            norm=self.norm(f"{path}.LayerNorm"),
        )

    def head(self) -> dict[str, Tensor]:
        head = self.family.head
        parts = tuple(f"{part}." for part in (head.dense, head.norm, head.output) if part)
        return {
            name: tensor.to(device=self.device, dtype=torch.float32)
            for name, tensor in self.tensors.items()
            if name.startswith(parts)
        }
