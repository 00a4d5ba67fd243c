"""DeBERTa-v2 and v3: BERT with disentangled attention (He et al. 2020, arXiv:2006.03654)."""

from __future__ import annotations

from dataclasses import replace

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.config_values import RATE, TEXT, ConfigValues, is_texts, whole, wrong
from lora_bert.backbones.families.bert import BERT
from lora_bert.backbones.families.family import HeadRules
from lora_bert.backbones.layout import HeadLayout
from lora_bert.errors import BackboneError


def _relative_kinds(values: ConfigValues) -> tuple[str, ...]:
    """``pos_att_type``, of which old files make one text: ``p2c|c2p``."""
    kinds = values.need("pos_att_type")
    if isinstance(kinds, str):
        kinds = kinds.lower().split("|")
    elif not is_texts(kinds):
        raise wrong("pos_att_type", kinds, "a text or a list of texts")
    if bool(kinds) != bool(values.need("relative_attention")):
        raise BackboneError("DeBERTa's relative_attention and pos_att_type go together only.")
    return tuple(kind.strip() for kind in kinds)


def _specialise(config: EncoderConfig, values: ConfigValues) -> EncoderConfig:
    layout, need, kinds = config.layout, values.need, _relative_kinds(values)
    linears = dict(layout.linears)
    for slot, kind in (("position_key", "c2p"), ("position_query", "p2c")):
        if kind not in kinds or need("share_att_key"):
            del linears[slot]
    has_norm, farthest = "layer_norm" in need("norm_rel_ebd"), need("max_relative_positions")
    farthest = farthest if farthest >= 1 else config.max_position_embeddings
    positions, types = layout.position_embeddings, layout.token_type_embeddings
    return replace(
        config,
        layout=replace(
            layout,
            linears=linears,
            position_embeddings=positions if need("position_biased_input") else "",
            token_type_embeddings=types if config.type_vocab_size else "",
            relative=layout.relative if kinds else "",
            relative_norm=layout.relative_norm if has_norm else "",
            convolution=layout.convolution if need("conv_kernel_size") else "",
        ),
        projects_first=True,
        relative_kinds=kinds,
        relative_span=(need("position_buckets"), farthest),
        conv_groups=need("conv_groups"),
        conv_act=need("conv_act"),
        fingerprinted={**config.fingerprinted, **({"relative_kinds": kinds} if kinds else {})},
    )


DEBERTA_V2 = replace(
    BERT,
    model_type="deberta-v2",
    architecture="DebertaV2ForSequenceClassification",
    layout=replace(
        BERT.layout,
        prefix="deberta.",
        linears={
            "query": "attention.self.query_proj",
            "key": "attention.self.key_proj",
            "value": "attention.self.value_proj",
            "position_key": "attention.self.pos_key_proj",
            "position_query": "attention.self.pos_query_proj",
            "attention_output": "attention.output.dense",
            "intermediate": "intermediate.dense",
            "output": "output.dense",
        },
        projection="embeddings.embed_proj",
        relative="encoder.rel_embeddings",
        relative_norm="encoder.LayerNorm",
        convolution="encoder.conv",
        head=HeadLayout(dense="pooler.dense"),
    ),
    head=HeadRules(
        activation="gelu",
        activation_key="pooler_hidden_act",
        dropout=("cls_dropout", "hidden_dropout_prob"),
        input_dropout=("pooler_dropout",),
    ),
    defaults={
        **BERT.defaults,
        "layer_norm_eps": 1e-7,
        "type_vocab_size": 0,
        "relative_attention": False,
        "pos_att_type": [],
        "share_att_key": False,
        "position_buckets": -1,
        "max_relative_positions": -1,
        "norm_rel_ebd": "none",
        "position_biased_input": True,
        "conv_kernel_size": 0,
        "conv_groups": 1,
        "conv_act": "tanh",
        "pooler_dropout": 0.0,
    },
    kinds={
        "conv_kernel_size": whole(0, 1 << 10),
        "conv_groups": whole(1, 1 << 16),
        "max_relative_positions": whole(-1, 1 << 24),
        "position_buckets": whole(-1, 1 << 24),
        "cls_dropout": RATE,
        "pooler_dropout": RATE,
        "conv_act": TEXT,
        "norm_rel_ebd": TEXT,
        "pooler_hidden_act": TEXT,
    },
    fingerprinted=(
        "share_att_key", "position_buckets", "max_relative_positions", "norm_rel_ebd",
        "position_biased_input", "conv_act",
    ),
    telling=("pos_att_type", "position_buckets"),
    specialise=_specialise,
)  # fmt: skip
