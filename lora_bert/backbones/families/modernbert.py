"""ModernBERT: norms before the sublayers, rotary positions, windows, a gated feed-forward part."""

from __future__ import annotations

from dataclasses import replace

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.config_values import TEXT, ConfigValues, is_texts, real, whole, wrong
from lora_bert.backbones.families.family import Family, HeadRules
from lora_bert.backbones.layout import HeadLayout, Layout
from lora_bert.errors import BackboneError

_BASE = real(1e-3, 1e12)


def _rotary_base(values: ConfigValues, kind: str, key: str) -> float:
    """The base for layers of a kind: new files have an object for each, old ones have ``key``."""
    every = values.get("rope_parameters")
    written = (every or {}).get(kind) if isinstance(every, dict | None) else every
    if not isinstance(written, dict | None):
        raise wrong("rope_parameters", every, "an object of objects")
    written = written or {}
    base = written.get("rope_theta")
    if base is not None and not _BASE.fits(base):
        raise wrong("rope_theta", base, _BASE.words)
    if written.get("rope_type", "default") != "default":
        raise BackboneError(
            f"The backbone scales its rotary positions ('{written['rope_type']}'), "
            "which is not supported."
        )
    return float(base or values.need(key))


def _local_layers(config: EncoderConfig, values: ConfigValues) -> tuple[bool, ...]:
    """Which layers attend within a window: new files name each, old ones count."""
    kinds, count = values.get("layer_types"), config.num_hidden_layers
    if kinds is None:
        every = values.need("global_attn_every_n_layers")
        return tuple(bool(layer % every) for layer in range(count))
    if not (is_texts(kinds) and len(kinds) >= count):
        raise wrong("layer_types", kinds, "a list with a text for each layer")
    return tuple(kind == "sliding_attention" for kind in kinds)


def _specialise(config: EncoderConfig, values: ConfigValues) -> EncoderConfig:
    return replace(
        config,
        arrangement="pre",
        rotary="halves",
        rope_theta=_rotary_base(values, "full_attention", "global_rope_theta"),
        local_rope_theta=_rotary_base(values, "sliding_attention", "local_rope_theta"),
        local_layers=_local_layers(config, values),
        local_window=values.need("local_attention") // 2,
    )


_HEAD = HeadLayout(dense="head.dense", norm="head.norm", modules=("head", "classifier"))

MODERNBERT = Family(
    model_type="modernbert",
    architecture="ModernBertForSequenceClassification",
    layout=Layout(
        prefix="model.",
        layer="layers.{}",
        linears={
            "query_key_value": "attn.Wqkv",
            "attention_output": "attn.Wo",
            "intermediate": "mlp.Wi",
            "output": "mlp.Wo",
        },
        norms={"attention": "attn_norm", "output": "mlp_norm"},
        word_embeddings="embeddings.tok_embeddings",
        embedding_norm="embeddings.norm",
        final_norm="final_norm",
        head=_HEAD,
        token_head=_HEAD,
        answer_head=_HEAD,
    ),
    head=HeadRules(
        activation="gelu",
        activation_key="classifier_activation",
        dropout=("classifier_dropout",),
        pooling_key="classifier_pooling",
    ),
    keys={"layer_norm_eps": "norm_eps", "hidden_act": "hidden_activation"},
    defaults={
        "norm_eps": 1e-5,
        "hidden_activation": "gelu",
        "classifier_dropout": 0.0,
        "pad_token_id": 50283,
        "initializer_range": 0.02,
        "max_position_embeddings": 8192,
        "local_attention": 128,
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
    },
    kinds={
        "local_attention": whole(0, 1 << 24),
        "global_attn_every_n_layers": whole(1, 1000),
        "local_rope_theta": _BASE,
        "global_rope_theta": _BASE,
        "classifier_activation": TEXT,
        "classifier_pooling": TEXT,
    },
    telling=("local_attention",),
    specialise=_specialise,
)
