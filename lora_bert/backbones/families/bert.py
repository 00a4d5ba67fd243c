"""BERT, on whose names and defaults most other families are built."""

from __future__ import annotations

from lora_bert.backbones.families.family import Family
from lora_bert.backbones.layout import HeadLayout, Layout

BERT = Family(
    model_type="bert",
    architecture="BertForSequenceClassification",
    layout=Layout(
        prefix="bert.",
        layer="encoder.layer.{}",
        linears={
            "query": "attention.self.query",
            "key": "attention.self.key",
            "value": "attention.self.value",
            "attention_output": "attention.output.dense",
            "intermediate": "intermediate.dense",
            "output": "output.dense",
        },
        norms={"attention": "attention.output.LayerNorm", "output": "output.LayerNorm"},
        word_embeddings="embeddings.word_embeddings",
        position_embeddings="embeddings.position_embeddings",
        token_type_embeddings="embeddings.token_type_embeddings",
        embedding_norm="embeddings.LayerNorm",
        head=HeadLayout(dense="bert.pooler.dense"),
    ),
    defaults={
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "type_vocab_size": 2,
        "pad_token_id": 0,
        "initializer_range": 0.02,
        "max_position_embeddings": 512,
    },
)
