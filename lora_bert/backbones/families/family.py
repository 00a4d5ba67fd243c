"""A family: what all backbones of one ``model_type`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lora_bert.backbones.config import EncoderConfig, HeadConfig
from lora_bert.backbones.config_values import COMMON, ConfigValues, Kind
from lora_bert.backbones.layout import Layout

_FINGERPRINTED = ("num_attention_heads", "hidden_act", "layer_norm_eps", "max_position_embeddings")


@dataclass(frozen=True)
class HeadRules:
    """How ``config.json`` describes a family's classification head.

    Attributes:
        activation: After the dense layer; ``activation_key`` names the key that says otherwise.
        dropout: Keys that give the head's dropout; the first that is there counts.
        input_dropout: The same for the dropout of the pooled vector.
        pooling_key: Names the key that says what the head reads, where there is one.
    """

    activation: str = "tanh"
    activation_key: str = ""
    dropout: tuple[str, ...] = ("classifier_dropout", "hidden_dropout_prob")
    input_dropout: tuple[str, ...] = ()
    pooling_key: str = ""

    def read(self, layout: Layout, values: ConfigValues) -> HeadConfig:
        """The head of one backbone."""
        # Only ModernBERT, whose head has a norm, has switches for biases.
        has_norm, get = bool(layout.head.norm), values.raw.get
        return HeadConfig(
            activation=str(get(self.activation_key) or self.activation),
            pooling="mean" if get(self.pooling_key) == "mean" else "cls",
            pooling_key=self.pooling_key,
            dropout=values.first(self.dropout),
            input_dropout=values.first(self.input_dropout),
            dense_bias=not has_norm or bool(get("classifier_bias")),
            norm_bias=has_norm and bool(get("norm_bias")),
        )


@dataclass(frozen=True)
class Family:
    """How ``transformers`` names the tensors and the settings of one ``model_type``.

    Attributes:
        architecture: The sequence classifier's class.
        defaults: What ``transformers`` assumes for keys that ``config.json`` leaves out.
        keys: Our names of settings -> the keys of ``config.json``, where they differ.
        kinds: Of settings that other families do not have.
        fingerprinted: Settings that change the answers but the shape of no weight, beside those
            that every family has.
        telling: Keys by which a ``config.json`` without ``model_type`` is known as the family's.
        position_offset: See :class:`~lora_bert.backbones.config.EncoderConfig`.
        specialise: Completes what was read with what only this family has.
    """

    model_type: str
    architecture: str
    layout: Layout
    head: HeadRules = HeadRules()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    fingerprinted: tuple[str, ...] = ()
    telling: tuple[str, ...] = ()
    position_offset: bool = False
    specialise: Callable[[EncoderConfig, ConfigValues], EncoderConfig] | None = None

    def read(self, raw: Mapping[str, Any]) -> EncoderConfig:
        """The encoder that a ``config.json`` of the family describes.

        Raises:
            BackboneError: A setting is missing, of another kind, or out of range; the first is
                named.
        """
        values = ConfigValues(raw, self.keys, self.defaults)
        values.check({**COMMON, **self.kinds})
        need, layout = values.need, self.layout
        own_width = values.get("embedding_size") if layout.projection else None
        # Only offsets of positions need the padding id: elsewhere it may be null.
        padding = need("pad_token_id") if self.position_offset else values.get("pad_token_id")
        config = EncoderConfig(
            model_type=self.model_type,
            architecture=self.architecture,
            layout=layout,
            head=self.head.read(layout, values),
            raw=raw,
            tokenizer_class=str(raw.get("tokenizer_class") or ""),
            fingerprinted={key: need(key) for key in (*_FINGERPRINTED, *self.fingerprinted)},
            hidden_size=need("hidden_size"),
            num_hidden_layers=need("num_hidden_layers"),
            num_attention_heads=need("num_attention_heads"),
            embedding_size=own_width or need("hidden_size"),
            max_position_embeddings=need("max_position_embeddings"),
            type_vocab_size=need("type_vocab_size") if layout.token_type_embeddings else 0,
            pad_token_id=padding or 0,
            layer_norm_eps=float(need("layer_norm_eps")),
            hidden_act=need("hidden_act"),
            initializer_range=float(need("initializer_range")),
            layers_key=self.keys.get("num_hidden_layers", "num_hidden_layers"),
            position_offset=self.position_offset,
        )
        return self.specialise(config, values) if self.specialise else config
