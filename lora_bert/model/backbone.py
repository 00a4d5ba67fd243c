"""The backbone in memory: frozen, shared by any number of adapters, never changed by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lora_bert.backbones.config import EncoderConfig
from lora_bert.model.activation import Activation, activation_named
from lora_bert.model.fused_linear import FusedLinear, Linear


@dataclass(frozen=True)
class Norm:
    """A layer norm over the last dimension."""

    weight: Tensor
    bias: Tensor | None
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """The normalised values of ``x [..., width]``."""
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class Convolution:
    """What DeBERTa-v2 computes beside its first layer.

    Attributes:
        weight: ``[hidden, hidden / groups, width]``.
        bias: ``[hidden]``.
        groups: Of channels that do not see each other.
        activation: The activation's name.
        norm: Of the sum with the layer's output.
    """

    weight: Tensor
    bias: Tensor
    groups: int
    activation: str
    norm: Norm


@dataclass(frozen=True)
class Layer:
    """One transformer layer: its linears and its norms (absent ones are the identity).

    Attributes:
        fused: ``attention_input`` (query, key and value together), ``attention_output``,
            ``intermediate``, ``output``; ``position_key`` and ``position_query`` where relative
            positions have projections of their own.
        norms: ``attention`` and ``output``.
        local: Whether it attends within a window only.
        convolution: Beside the layer, or None.
    """

    fused: Mapping[str, FusedLinear]
    norms: Mapping[str, Norm]
    local: bool = False
    convolution: Convolution | None = None


@dataclass(frozen=True)
class Backbone:
    """A pretrained encoder, in one dtype on one device.

    Attributes:
        word_embeddings: ``[vocabulary, width]``; ``position_embeddings`` ``[positions, width]``
            and ``token_type_embeddings`` ``[types, width]`` where the family learns them.
        projection: From the embeddings' width to the hidden one, where they differ.
        relative: The table of relative positions, ``[distances, heads]`` (MPNet) or
            ``[distances, hidden]`` (DeBERTa, before ``relative_norm``).
        pretrained_head: What the checkpoint holds of the classification head, float32, by name.
        other_heads: The same of heads that read every token, by what ``transformers`` calls models
            with such a head.
    """

    config: EncoderConfig
    word_embeddings: Tensor
    position_embeddings: Tensor | None
    token_type_embeddings: Tensor | None
    embedding_norm: Norm
    projection: FusedLinear | None
    relative: Tensor | None
    relative_norm: Norm | None
    layers: tuple[Layer, ...]
    final_norm: Norm | None
    pretrained_head: Mapping[str, Tensor]
    other_heads: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"Backbone({self.config.model_type}: {len(self.layers):,} layers, "
            f"{self.parameter_count:,} parameters, {self.precision}, {self.device})"
        )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the frozen weights and of the hidden states."""
        return self.word_embeddings.dtype

    @property
    def precision(self) -> str:
        """In what its linear layers multiply: ``float32``, ``bfloat16`` or ``int8``."""
        int8 = self.layers[0].fused["output"].int8
        return "int8" if int8 else str(self.dtype).removeprefix("torch.")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.word_embeddings.device

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return self.config.hidden_size

    @property
    def activation(self) -> Activation:
        """The activation of the layers' feed-forward parts."""
        return activation_named(self.config.hidden_act)

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return self.config.num_attention_heads

    def reading_tokens(self, kind: str) -> Backbone:
        """The same weights under a head of that kind; BackboneError: the family has none.

        Kinds are those of :meth:`.EncoderConfig.reading_tokens`.
        """
        config = self.config.reading_tokens(kind)
        return replace(self, config=config, pretrained_head=self.other_heads.get(kind, {}))

    def fused(self, depth: int = 0) -> dict[str, FusedLinear]:
        """Everything an adapter can change from layer ``depth`` up, by name."""
        layers = self.layers[depth:]
        return {linear.name: linear for layer in layers for linear in layer.fused.values()}

    @property
    def linears(self) -> dict[str, Linear]:
        """Every linear layer an adapter can change, by name."""
        return {linear.name: linear for fused in self.fused().values() for linear in fused.linears}

    @property
    def parameter_count(self) -> int:
        """Number of frozen weights, the head left out; what layers share counts once."""
        norms = [self.embedding_norm, self.relative_norm, self.final_norm]
        tensors = [self.word_embeddings, self.relative]
        tensors += [self.position_embeddings, self.token_type_embeddings]
        fused = [self.projection] if self.projection else []
        for layer in {id(layer): layer for layer in self.layers}.values():
            norms += layer.norms.values()
            fused += layer.fused.values()
            if layer.convolution:
                norms.append(layer.convolution.norm)
                tensors += [layer.convolution.weight, layer.convolution.bias]
        for part in (*norms, *fused):
            tensors += [part.weight, part.bias] if part else []
        return sum(tensor.numel() for tensor in tensors if tensor is not None)
