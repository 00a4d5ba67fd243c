"""DistilBERT: BERT's layers under other names, without token types."""

from __future__ import annotations

from dataclasses import replace

from lora_bert.backbones.config_values import RATE
from lora_bert.backbones.families.bert import BERT
from lora_bert.backbones.families.family import HeadRules
from lora_bert.backbones.layout import HeadLayout

DISTILBERT = replace(
    BERT,
    model_type="distilbert",
    architecture="DistilBertForSequenceClassification",
    layout=replace(
        BERT.layout,
        prefix="distilbert.",
        layer="transformer.layer.{}",
        linears={
            "query": "attention.q_lin",
            "key": "attention.k_lin",
            "value": "attention.v_lin",
            "attention_output": "attention.out_lin",
            "intermediate": "ffn.lin1",
            "output": "ffn.lin2",
        },
        norms={"attention": "sa_layer_norm", "output": "output_layer_norm"},
        token_type_embeddings="",
        head=HeadLayout(dense="pre_classifier", modules=("pre_classifier", "classifier")),
    ),
    head=HeadRules(activation="relu", dropout=("seq_classif_dropout",)),
    keys={
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "hidden_size": "dim",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
    },
    defaults={
        **BERT.defaults,
        "n_layers": 6,
        "n_heads": 12,
        "dim": 768,
        "hidden_dim": 3072,
        "activation": "gelu",
        "seq_classif_dropout": 0.2,
    },
    kinds={"seq_classif_dropout": RATE, "dropout": RATE},
    telling=("n_layers", "dim"),
)
