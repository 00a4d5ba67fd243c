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
from lora_bert.backbones.families import Family, family_of, read_config
from lora_bert.errors import BackboneError
from lora_bert.model.lora import Linear, Stack

_INPUTS = ("query", "key", "value", "query_key_value")


@dataclass(frozen=True)
class Norm:
    """A layer norm over the last dimension."""

    weight: Tensor
    bias: Tensor | None
    eps: float


@dataclass(frozen=True)
class Layer:
    """One transformer layer: its linears and its norms (absent ones are the identity).

    Attributes:
        stacks: ``attention_input`` (query, key and value together), ``attention_output``,
            ``intermediate``, ``output``.
        norms: ``attention`` and ``output``.
        local: Whether it attends within a window only.
    """

    stacks: Mapping[str, Stack]
    norms: Mapping[str, Norm]
    local: bool = False


@dataclass(frozen=True)
class Backbone:
    """A pretrained encoder, in one dtype on one device.

    Attributes:
        words: ``[vocabulary, hidden]``; ``positions`` ``[positions, hidden]`` and ``types``
            ``[types, hidden]`` where the family learns them.
        pretrained_head: What the checkpoint holds of the classification head, float32, by name.
    """

    family: Family
    config: Mapping[str, Any]
    words: Tensor
    positions: Tensor | None
    types: Tensor | None
    embedding_norm: Norm
    layers: tuple[Layer, ...]
    final_norm: Norm | None
    pretrained_head: Mapping[str, Tensor]

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
        return self.words.shape[1]

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

    @property
    def linears(self) -> dict[str, Linear]:
        """Every linear layer an adapter can change, by name."""
        stacks = [stack for layer in self.layers for stack in layer.stacks.values()]
        return {linear.name: linear for stack in stacks for linear in stack.linears}

    @property
    def parameter_count(self) -> int:
        """Number of frozen weights, the head left out."""
        norms = [self.embedding_norm, self.final_norm]
        tensors = [self.words, self.positions, self.types]
        for layer in self.layers:
            norms += layer.norms.values()
            for stack in layer.stacks.values():
                tensors += [stack.weight, stack.bias]
        for norm in norms:
            tensors += [norm.weight, norm.bias] if norm else []
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
    """The backbone made of the tensors of a sequence classifier's state dict."""
    family = family_of(config)
    parts = _Parts(tensors, family, config, dtype, torch.device(device))
    words = parts.weight(family.words)
    hidden = int(family.get(config, "hidden_size"))
    if words.shape[1] != hidden:
        raise BackboneError(
            f"The backbone's weights are {words.shape[1]} wide, its config.json says {hidden}."
        )
    return Backbone(
        family=family,
        config=config,
        words=words,
        positions=parts.weight(family.positions) if family.positions else None,
        types=parts.weight(family.types) if family.types else None,
        embedding_norm=parts.norm(family.embedding_norm),
        layers=tuple(parts.layer(index) for index in range(family.layer_count(config))),
        final_norm=parts.norm(family.final_norm) if family.final_norm else None,
        pretrained_head=parts.head(),
    )


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

    def layer(self, index: int) -> Layer:
        base = self.family.layer.format(index)
        linears = {
            slot: Linear(
                self.family.prefix + f"{base}.{path}",
                self.weight(f"{base}.{path}"),
                self.maybe(f"{base}.{path}.bias"),
            )
            for slot, path in self.family.linears.items()
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
        return Layer(stacks, norms, local=_is_local(self.family, self.config, index))

    def head(self) -> dict[str, Tensor]:
        head = self.family.head
        parts = tuple(f"{part}." for part in (head.dense, head.norm, head.output) if part)
        return {
            name: tensor.to(device=self.device, dtype=torch.float32)
            for name, tensor in self.tensors.items()
            if name.startswith(parts)
        }


def _is_local(family: Family, config: Mapping[str, Any], index: int) -> bool:
    """Whether layer ``index`` attends within a window only."""
    if family.arrangement == "post":
        return False
    if kinds := config.get("layer_types"):
        return bool(kinds[index] == "sliding_attention")
    return bool(index % int(family.get(config, "global_attn_every_n_layers")))
