"""ERNIE: BERT with embeddings of tasks, of which the first one counts."""

from __future__ import annotations

from dataclasses import replace

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.config_values import ConfigValues
from lora_bert.backbones.families.bert import BERT


def _specialise(config: EncoderConfig, values: ConfigValues) -> EncoderConfig:
    if values.need("use_task_id"):
        return config
    return replace(config, layout=replace(config.layout, task_embeddings=""))


ERNIE = replace(
    BERT,
    model_type="ernie",
    architecture="ErnieForSequenceClassification",
    layout=replace(
        BERT.layout,
        prefix="ernie.",
        task_embeddings="embeddings.task_type_embeddings",
        head=replace(BERT.layout.head, dense="ernie.pooler.dense"),
    ),
    defaults={**BERT.defaults, "use_task_id": False},
    fingerprinted=("use_task_id",),
    telling=("use_task_id",),
    specialise=_specialise,
)
