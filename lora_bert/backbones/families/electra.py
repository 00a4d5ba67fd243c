"""ELECTRA: BERT with narrow embeddings and a head of its own."""

from __future__ import annotations

from dataclasses import replace

from lora_bert.backbones.config_values import RATE
from lora_bert.backbones.families.bert import BERT
from lora_bert.backbones.families.roberta import ROBERTA, SPLIT_HEAD

ELECTRA = replace(
    BERT,
    model_type="electra",
    architecture="ElectraForSequenceClassification",
    layout=replace(
        BERT.layout, prefix="electra.", projection="embeddings_project", head=SPLIT_HEAD
    ),
    head=replace(ROBERTA.head, activation="gelu"),
    defaults={**BERT.defaults, "embedding_size": 128},
    kinds={"summary_last_dropout": RATE},
)
