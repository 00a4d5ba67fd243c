"""RoFormer: BERT with rotary positions (Su et al. 2021, arXiv:2104.09864)."""

from __future__ import annotations

from dataclasses import replace

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.config_values import ConfigValues
from lora_bert.backbones.families.bert import BERT
from lora_bert.backbones.families.family import HeadRules
from lora_bert.backbones.families.roberta import SPLIT_HEAD


def _specialise(config: EncoderConfig, values: ConfigValues) -> EncoderConfig:
    return replace(config, rotary="pairs", rotates_values=bool(values.need("rotary_value")))


ROFORMER = replace(
    BERT,
    model_type="roformer",
    architecture="RoFormerForSequenceClassification",
    layout=replace(
        BERT.layout,
        prefix="roformer.",
        position_embeddings="",
        projection="embeddings_project",
        head=SPLIT_HEAD,
    ),
    head=HeadRules(
        activation="gelu",
        activation_key="hidden_act",
        dropout=("hidden_dropout_prob",),
        input_dropout=("hidden_dropout_prob",),
    ),
    defaults={**BERT.defaults, "max_position_embeddings": 1536, "rotary_value": False},
    fingerprinted=("rotary_value",),
    telling=("rotary_value",),
    specialise=_specialise,
)
