"""MPNet: BERT with RoBERTa's positions and a number a head for each distance."""

from __future__ import annotations

from dataclasses import replace

from lora_bert.backbones.families.bert import BERT
from lora_bert.backbones.families.family import HeadRules
from lora_bert.backbones.families.roberta import SPLIT_HEAD

MPNET = replace(
    BERT,
    model_type="mpnet",
    architecture="MPNetForSequenceClassification",
    layout=replace(
        BERT.layout,
        prefix="mpnet.",
        linears={
            **BERT.layout.linears,
            "query": "attention.attn.q",
            "key": "attention.attn.k",
            "value": "attention.attn.v",
            "attention_output": "attention.attn.o",
        },
        norms={**BERT.layout.norms, "attention": "attention.LayerNorm"},
        token_type_embeddings="",
        relative="encoder.relative_attention_bias",
        head=SPLIT_HEAD,
    ),
    head=HeadRules(dropout=("hidden_dropout_prob",), input_dropout=("hidden_dropout_prob",)),
    position_offset=True,
    defaults={**BERT.defaults, "pad_token_id": 1},
    telling=("relative_attention_num_buckets",),
)
