"""The backbone in memory: frozen, shared by any number of adapters, never changed by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lora_bert.backbones.checkpoint import read_checkpoint
from lora_bert.backbones.encodings import rounded
from lora_bert.backbones.families import family_of, read_config
from lora_bert.backbones.family import Family
from lora_bert.errors import BackboneError
from lora_bert.model.lora import Linear, Stack
from lora_bert.model.shapes import check_linear, check_shapes

_INPUTS = ("query", "key", "value", "query_key_value")


@dataclass(frozen=True)
class Norm:
    """A layer norm over the last dimension."""

    weight: Tensor
    bias: Tensor | None
    eps: float


@dataclass(frozen=True)
class Convolution:
    """What DeBERTa-v2 computes beside its first layer.

    Attributes:
        weight: ``[hidden, hidden / groups, width]``.
        bias: ``[hidden]``.
        groups: Of channels that do not see each other.
        act: The activation's name.
        norm: Of the sum with the layer's output.
    """

    weight: Tensor
    bias: Tensor
    groups: int
    act: str
    norm: Norm


@dataclass(frozen=True)
class Layer:
    """One transformer layer: its linears and its norms (absent ones are the identity).

    Attributes:
        stacks: ``attention_input`` (query, key and value together), ``attention_output``,
            ``intermediate``, ``output``; ``position_key`` and ``position_query`` where relative
            positions have projections of their own.
        norms: ``attention`` and ``output``.
        local: Whether it attends within a window only.
        convolution: Beside the layer, or None.
    """

    stacks: Mapping[str, Stack]
    norms: Mapping[str, Norm]
    local: bool = False
    convolution: Convolution | None = None


@dataclass(frozen=True)
class Backbone:
    """A pretrained encoder, in one dtype on one device.

    Attributes:
        words: ``[vocabulary, width]``; ``positions`` ``[positions, width]`` and ``types``
            ``[types, width]`` where the family learns them.
        projection: From the embeddings' width to the hidden one, where they differ.
        relative: The table of relative positions, ``[distances, heads]`` (MPNet) or
            ``[distances, hidden]`` (DeBERTa, before ``relative_norm``).
        pretrained_head: What the checkpoint holds of the classification head, float32, by name.
    """

    family: Family
    config: Mapping[str, Any]
    words: Tensor
    positions: Tensor | None
    types: Tensor | None
    embedding_norm: Norm
    projection: Stack | None
    relative: Tensor | None
    relative_norm: Norm | None
    layers: tuple[Layer, ...]
    final_norm: Norm | None
    pretrained_head: Mapping[str, Tensor]

    def __repr__(self) -> str:
        kind = str(self.words.dtype).removeprefix("torch.")
        return (
            f"Backbone({self.family.model_type}: {len(self.layers):,} layers, "
            f"{self.parameter_count:,} parameters, {kind}, {self.device})"
        )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the frozen weights and of the hidden states."""
        return self.words.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.words.device

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return int(self.family.get(self.config, "hidden_size"))

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return int(self.family.get(self.config, "num_attention_heads"))

    def padded_length(self, longest: int) -> int:
        """To how many tokens a batch is padded whose longest text has ``longest``.

        In bfloat16 a multiple of eight, because products are prepared for each shape anew; float32
        needs no preparation, and padding would cost it more.
        """
        if self.dtype == torch.float32:
            return longest
        return rounded(longest, self.family.max_length(self.config))

    def stacks(self, depth: int = 0) -> dict[str, Stack]:
        """Everything an adapter can change from layer ``depth`` up, by name."""
        layers = self.layers[depth:]
        return {stack.name: stack for layer in layers for stack in layer.stacks.values()}

    @property
    def linears(self) -> dict[str, Linear]:
        """Every linear layer an adapter can change, by name."""
        return {linear.name: linear for stack in self.stacks().values() for linear in stack.linears}

    @property
    def parameter_count(self) -> int:
        """Number of frozen weights, the head left out; what layers share counts once."""
        norms = [self.embedding_norm, self.relative_norm, self.final_norm]
        tensors = [self.words, self.positions, self.types, self.relative]
        stacks = [self.projection] if self.projection else []
        for layer in {id(layer): layer for layer in self.layers}.values():
            norms += layer.norms.values()
            stacks += layer.stacks.values()
            if layer.convolution:
                norms.append(layer.convolution.norm)
                tensors += [layer.convolution.weight, layer.convolution.bias]
        for part in (*norms, *stacks):
            tensors += [part.weight, part.bias] if part else []
        return sum(tensor.numel() for tensor in tensors if tensor is not None)


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
        words=parts.weight(family.words),
        positions=parts.positions(),
        types=parts.weight(family.types) if family.types else None,
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

    def projection(self) -> Stack | None:
        path, config = self.family.projection, self.config
        as_wide = self.family.embedding_size(config) == self.family.get(config, "hidden_size")
        if not path or (as_wide and self.maybe(f"{path}.weight") is None):
            return None
        return Stack.of([self.linear(path)])

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
        stacks = {"attention_input": Stack.of(inputs)}
        stacks |= {slot: Stack.of([linear]) for slot, linear in linears.items()}
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
