"""A classifier as an ONNX graph: what exported models compute.

Tracing a forward pass would carry its detours along, and every exporter's version has its own. Here
is only what the numbers need: positions and token types in one table, attention's scale in the
query's weights, one mask for all layers, any number of rows of any length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lora_bert.backbones.config import EncoderConfig, Pooling
from lora_bert.backbones.layout import Layout
from lora_bert.errors import BackboneError
from lora_bert.exporting.onnx_places import Places, Tensors
from lora_bert.exporting.onnx_writer import Writer
from lora_bert.inference.engines.graph_inputs import HIDDEN, IDS, LOGITS, MASK, TYPES

_MOST_BYTES = 2**31 - 2**24  # protobuf's limit, less the graph itself
_QUERY_KEY_VALUE = ("query", "key", "value")


def classifier_graph(
    tensors: Tensors, config: EncoderConfig, pooling: Pooling, *, types: bool = False
) -> Any:
    """The ONNX model of a sequence classifier, made of its float32 state dict.

    It takes ids, mask and, with ``types``, token types (else they are 0), and gives ``logits``.

    Raises:
        BackboneError: More weights than an ONNX file can hold, or a setting that is not supported.
    """
    graph = _Graph.of(tensors, config, pooling, (IDS, MASK, TYPES) if types else (IDS, MASK))
    return graph.classifier(graph.layers(graph.embedded()))


def trunk_graph(tensors: Tensors, config: EncoderConfig, depth: int, *, types: bool = False) -> Any:
    """The ONNX model of the layers below ``depth``, which gives ``hidden_states``.

    They are ``[rows, length, hidden]``; the rest is as :func:`classifier_graph`.
    """
    graph = _Graph.of(tensors, config, "none", (IDS, MASK, TYPES) if types else (IDS, MASK))
    hidden = graph.layers(graph.embedded(), stop=depth)
    return graph.writer.model(HIDDEN, hidden, config.hidden_size, of_tokens=True)


def branch_graph(tensors: Tensors, config: EncoderConfig, pooling: Pooling, depth: int) -> Any:
    """The ONNX model of the layers from ``depth`` on and the head: of what the trunk's gives.

    There is one layer at least. It takes ``hidden_states`` and mask, and gives ``logits``.
    """
    graph = _Graph.of(tensors, config, pooling, (HIDDEN, MASK))
    return graph.classifier(graph.layers(HIDDEN, depth))


def _apart(tensors: Tensors, config: EncoderConfig) -> dict[str, np.ndarray]:
    """The same tensors with query, key and value apart where a family keeps them in one."""
    apart = dict(tensors)
    if "query_key_value" in config.layout.linears:
        for index in range(config.num_hidden_layers):
            whole = config.layout.module(index, "query_key_value")
            for kind in ("weight", "bias"):
                if f"{whole}.{kind}" in apart:
                    parts = np.split(apart.pop(f"{whole}.{kind}"), 3)
                    for slot, part in zip(_QUERY_KEY_VALUE, parts, strict=True):
                        apart[f"{whole}.{slot}.{kind}"] = part
    return apart


@dataclass(frozen=True)
class _Graph:
    """Writes the parts of one classifier.

    The values it hands around are names: of hidden states ``[rows, length, hidden]`` if not said
    otherwise. Where the head reads the first token, the last layer computes no other: ``length`` is
    1 from its queries on.
    """

    writer: Writer
    tensors: Tensors
    config: EncoderConfig
    places: Places
    pooling: Pooling

    @classmethod
    def of(
        cls, tensors: Tensors, config: EncoderConfig, pooling: Pooling, inputs: tuple[str, ...]
    ) -> _Graph:
        """An empty one, of a model that takes ``inputs``."""
        size = sum(tensor.nbytes for tensor in tensors.values())
        if size > _MOST_BYTES:
            raise BackboneError(
                f"The model has {size / 1e9:.1f} GB of weights; an ONNX file cannot hold more than "
                "2."
            )
        writer = Writer(inputs, config.hidden_size)
        places = Places(writer, tensors, config)
        return cls(writer, _apart(tensors, config), config, places, pooling)

    def layers(self, hidden: str, start: int = 0, stop: int | None = None) -> str:
        """Hidden states from below layer ``start`` -> those below layer ``stop``."""
        write = self._layer_after if self.config.arrangement == "post" else self._layer_before
        for index in range(self.config.num_hidden_layers)[start:stop]:
            hidden = write(index, hidden)
        return hidden

    def classifier(self, hidden: str) -> Any:
        """The model that makes ``[rows, labels]``, or ``[rows, length, labels]``, of the last."""
        if self.layout.final_norm:
            hidden = self._norm(hidden, self.layout.prefix + self.layout.final_norm)
        outputs = len(self.tensors[f"{self.layout.head.output}.weight"])
        of_tokens = self.pooling == "none"
        return self.writer.model(LOGITS, self._classified(hidden), outputs, of_tokens=of_tokens)

    # From token ids to hidden states

    def embedded(self) -> str:
        """Token ids -> the hidden states below the first layer."""
        op, layout, constant = self.writer.op, self.layout, self.writer.constant
        words = f"{layout.prefix}{layout.word_embeddings}.weight"
        hidden = op("Gather", constant(self.tensors[words], words), IDS)
        paths = [layout.token_type_embeddings, layout.task_embeddings]
        if TYPES in self.writer.inputs:
            name = f"{layout.prefix}{paths.pop(0)}.weight"
            hidden = op("Add", hidden, op("Gather", constant(self.tensors[name], name), TYPES))
        # What every token has in common: the first task and, of single texts, the first type.
        parts = [f"{layout.prefix}{path}.weight" for path in paths if path]
        same = sum((self.tensors[name][0] for name in parts), np.zeros(1, np.float32))
        if layout.position_embeddings:
            table = self.tensors[f"{layout.prefix}{layout.position_embeddings}.weight"]
            hidden = op("Add", hidden, self._positions(constant(table + same, "positions")))
        elif same.any():
            hidden = op("Add", hidden, same)
        norm, projection = layout.prefix + layout.embedding_norm, layout.prefix + layout.projection
        if f"{projection}.weight" not in self.tensors:
            return self._norm(hidden, norm)
        if self.config.projects_first:
            return self._norm(self._linear(hidden, projection), norm)
        return self._linear(self._norm(hidden, norm), projection)

    def _positions(self, table: str) -> str:
        op = self.writer.op
        if not self.config.position_offset:
            return op("Slice", table, [0], self.places.length(), [0])
        padding = self.config.pad_token_id
        real = self.writer.cast(op("Not", op("Equal", IDS, padding)), "INT64")
        counted = op("Mul", op("CumSum", real, 1), real)
        return op("Gather", table, op("Add", counted, padding))

    # Layers

    def _layer_after(self, index: int, hidden: str) -> str:
        """A layer that normalises after each sublayer."""
        op, module, below = self.writer.op, self.layout.module, hidden
        attended = self._linear(self._attended(index, hidden), module(index, "attention_output"))
        hidden = self._queries(index, hidden)
        hidden = self._layer_norm(op("Add", attended, hidden), index, "attention")
        inner = self._linear(hidden, module(index, "intermediate"))
        out = self._linear(self._activated(inner, self.config.hidden_act), module(index, "output"))
        above = self._layer_norm(op("Add", out, hidden), index, "output")
        return self._convolved(below, above) if self.layout.convolution and not index else above

    def _convolved(self, below: str, hidden: str) -> str:
        """With a convolution of what is below the first layer; padding counts for nothing."""
        op, name = self.writer.op, self.layout.prefix + self.layout.convolution
        real = op("Unsqueeze", self.writer.cast(MASK, "FLOAT"), [2])
        parts, kernel = self._stored(f"{name}.conv"), self.tensors[f"{name}.conv.weight"]
        turned = op("Transpose", op("Mul", below, real), perm=[0, 2, 1])
        pads = [kernel.shape[-1] // 2] * 2
        wide = op("Conv", turned, *parts, pads=pads, group=self.config.conv_groups)
        wide = op("Mul", op("Transpose", wide, perm=[0, 2, 1]), real)
        added = op("Add", hidden, self._activated(wide, self.config.conv_act))
        return self._norm(added, f"{name}.LayerNorm")

    def _layer_before(self, index: int, hidden: str) -> str:
        """A layer that normalises before each sublayer, with a gated feed-forward part."""
        op, module = self.writer.op, self.layout.module
        # The embeddings end in a norm: the first layer's attention has none.
        normed = self._layer_norm(hidden, index, "attention") if index else hidden
        attended = self._linear(self._attended(index, normed), module(index, "attention_output"))
        hidden = op("Add", self._queries(index, hidden), attended)
        normed = self._layer_norm(hidden, index, "output")
        value, gate = self.writer.halves(self._linear(normed, module(index, "intermediate")))
        gated = op("Mul", self._activated(value, self.config.hidden_act), gate)
        return op("Add", hidden, self._linear(gated, module(index, "output")))

    def _first_alone(self, index: int) -> bool:
        """Whether a layer computes the first token of each row and no other."""
        convolved, last = self.layout.convolution and not index, self.config.num_hidden_layers - 1
        return index == last and self.pooling == "cls" and not convolved

    def _queries(self, index: int, hidden: str) -> str:
        """The hidden states of the tokens that a layer computes."""
        return self.writer.first(hidden, 1) if self._first_alone(index) else hidden

    def _attended(self, index: int, hidden: str) -> str:
        """Multi-head self-attention before its output projection."""
        op, config = self.writer.op, self.config
        by_head = [0, 0, config.num_attention_heads, config.head_size]
        query, key, value = (
            op("Transpose", op("Reshape", part, by_head), perm=[0, 2, 1, 3])
            for part in self._projected(index, hidden)
        )
        local, first = config.is_local(index), self._first_alone(index)
        if config.rotary:
            key = self.places.turned(key, local)
            query = query if first else self.places.turned(query, local)  # place 0 turns nothing
        if config.rotates_values:
            value = self.places.turned(value, local)
        scores = op("MatMul", query, op("Transpose", key, perm=[0, 1, 3, 2]))
        if config.relative_kinds:
            positions = self._of_positions(index)
            scores = self.places.disentangled(scores, query, key, positions, first)
        bias = self.places.bias(local)
        bias = self.writer.first(bias, 2) if first else bias
        seen = op("Softmax", op("Add", scores, bias), axis=-1)
        mixed = op("Transpose", op("MatMul", seen, value), perm=[0, 2, 1, 3])
        return op("Reshape", mixed, [0, 0, config.hidden_size])

    def _of_positions(self, index: int) -> dict[str, np.ndarray]:
        """What queries (``c2p``) and keys (``p2c``) meet, ``[heads, distances, size]`` each."""
        slots = {"c2p": "position_key", "p2c": "position_query"}
        if self.layout.linears.keys().isdisjoint(slots.values()):
            slots = {"c2p": "key", "p2c": "query"}
        met = {}
        for kind in self.config.relative_kinds:
            name = self.layout.module(index, slots[kind])
            x = self.places.distances @ self.tensors[f"{name}.weight"].T
            x = x + self.tensors.get(f"{name}.bias", np.float32(0))
            parts = x.reshape(len(x), self.config.num_attention_heads, -1).transpose(1, 0, 2)
            met[kind] = parts * np.float32(self._scale if kind == "p2c" else 1)
        return met

    def _projected(self, index: int, hidden: str) -> list[str]:
        """Query, scaled, key and value, ``[rows, length, hidden]`` each."""
        inputs = (self._queries(index, hidden), hidden, hidden)
        module = self.layout.module
        if "query_key_value" in self.layout.linears:
            whole = module(index, "query_key_value")
            names = [f"{whole}.{slot}" for slot in _QUERY_KEY_VALUE]
        else:
            names = [module(index, slot) for slot in _QUERY_KEY_VALUE]
        scales = (self._scale, 1.0, 1.0)
        return [self._linear(*each) for each in zip(inputs, names, scales, strict=True)]

    # Head

    def _classified(self, hidden: str) -> str:
        op, head = self.writer.op, self.layout.head
        if self.pooling == "mean":
            inner, ones = self.writer.mean(hidden), np.ones(self.config.hidden_size, np.float32)
            for eps in self.config.mean_norms:
                inner = op("LayerNormalization", inner, ones, axis=-1, epsilon=eps)
        else:
            inner = op("Gather", hidden, np.int64(0), axis=1) if self.pooling == "cls" else hidden
        if head.dense:
            inner = self._activated(self._linear(inner, head.dense), self.config.head.activation)
        if head.norm:
            inner = self._norm(inner, head.norm)
        return self._linear(inner, head.output)

    # What all of them are made of

    def _linear(self, x: str, name: str, scale: float = 1.0) -> str:
        op, constant = self.writer.op, self.writer.constant
        weight, bias = self.tensors[f"{name}.weight"].T, self.tensors.get(f"{name}.bias")
        y = op("MatMul", x, constant(weight * np.float32(scale), f"{name}.weight"))
        if bias is None:
            return y
        return op("Add", y, constant(bias * np.float32(scale), f"{name}.bias"))

    def _layer_norm(self, x: str, index: int, slot: str) -> str:
        layer = f"{self.layout.prefix}{self.layout.layer_path(index)}"
        return self._norm(x, f"{layer}.{self.layout.norms[slot]}")

    def _norm(self, x: str, name: str) -> str:
        parts, eps = self._stored(name), self.config.layer_norm_eps
        return self.writer.op("LayerNormalization", x, *parts, axis=-1, epsilon=eps)

    def _stored(self, name: str) -> list[str]:
        """A module's weight and, where it has one, its bias."""
        names = [f"{name}.{kind}" for kind in ("weight", "bias")]
        return [self.writer.constant(self.tensors[at], at) for at in names if at in self.tensors]

    def _activated(self, x: str, name: str) -> str:
        op = self.writer.op
        if name == "gelu":
            return op("Gelu", x)
        if name in ("gelu_new", "gelu_pytorch_tanh"):
            return op("Gelu", x, approximate="tanh")
        if name in ("silu", "swish"):
            return op("Mul", x, op("Sigmoid", x))
        if name in ("relu", "tanh"):
            return op(name.capitalize(), x)
        raise BackboneError(f"The activation '{name}' cannot be exported.")

    @property
    def layout(self) -> Layout:
        """The names of the tensors."""
        return self.config.layout

    @property
    def _scale(self) -> float:
        """Of attention scores."""
        return 1 / math.sqrt(self.config.head_size * (1 + len(self.config.relative_kinds)))
