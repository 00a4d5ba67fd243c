"""ALBERT: BERT whose layers share their weights."""

from __future__ import annotations

from dataclasses import replace

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.config_values import RATE, ConfigValues, whole
from lora_bert.backbones.families.bert import BERT
from lora_bert.backbones.families.family import HeadRules
from lora_bert.backbones.layout import HeadLayout
from lora_bert.errors import BackboneError


def _specialise(config: EncoderConfig, values: ConfigValues) -> EncoderConfig:
    if values.need("inner_group_num") != 1:
        raise BackboneError("ALBERT backbones with several layers in a group are not supported.")
    per_group = config.num_hidden_layers / values.need("num_hidden_groups")
    layout = replace(config.layout, layers_per_group=per_group)
    return replace(config, layout=layout, groups_layers=True)


ALBERT = replace(
    BERT,
    model_type="albert",
    architecture="AlbertForSequenceClassification",
    layout=replace(
        BERT.layout,
        prefix="albert.",
        layer="encoder.albert_layer_groups.{}.albert_layers.0",
        linears={
            "query": "attention.query",
            "key": "attention.key",
            "value": "attention.value",
            "attention_output": "attention.dense",
            "intermediate": "ffn",
            "output": "ffn_output",
        },
        norms={"attention": "attention.LayerNorm", "output": "full_layer_layer_norm"},
        projection="encoder.embedding_hidden_mapping_in",
        head=HeadLayout(dense="albert.pooler"),
    ),
    head=HeadRules(dropout=("classifier_dropout_prob",)),
    defaults={
        **BERT.defaults,
        "embedding_size": 128,
        "num_hidden_layers": 12,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "hidden_act": "gelu_new",
        "classifier_dropout_prob": 0.1,
    },
    kinds={
        "num_hidden_groups": whole(1, 1000),
        "inner_group_num": whole(1, 1000),
        "classifier_dropout_prob": RATE,
    },
    fingerprinted=("num_hidden_layers", "num_hidden_groups"),
    telling=("inner_group_num",),
    specialise=_specialise,
)
