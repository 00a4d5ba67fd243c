"""DistilBERT: BERT's layers under other names, without token types."""

from __future__ import annotations

from lora_bert.backbones.config_values import RATE
from lora_bert.backbones.families.family import Family, HeadRules
from lora_bert.backbones.layout import HeadLayout, Layout

DISTILBERT = Family(
    model_type="distilbert",
    architecture="DistilBertForSequenceClassification",
    layout=Layout(
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
        word_embeddings="embeddings.word_embeddings",
        position_embeddings="embeddings.position_embeddings",
        embedding_norm="embeddings.LayerNorm",
        head=HeadLayout(
            dense="pre_classifier", output="classifier", modules=("pre_classifier", "classifier")
        ),
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
        "n_layers": 6,
        "n_heads": 12,
        "dim": 768,
        "hidden_dim": 3072,
        "activation": "gelu",
        "layer_norm_eps": 1e-12,
        "seq_classif_dropout": 0.2,
        "pad_token_id": 0,
        "initializer_range": 0.02,
        "max_position_embeddings": 512,
    },
    kinds={"seq_classif_dropout": RATE, "dropout": RATE},
    telling=("n_layers", "dim"),
)
