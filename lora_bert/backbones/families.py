"""The families of backbones: all that is special about each, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_bert.backbones.config_values import check_settings, line_to_add
from lora_bert.backbones.family import Config, Family, Head
from lora_bert.backbones.nearby import above, below, in_words
from lora_bert.errors import BackboneError, did_you_mean, missing
from lora_bert.json_files import read_object

_BERT_DEFAULTS = {
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "type_vocab_size": 2,
    "pad_token_id": 0,
    "initializer_range": 0.02,
    "max_position_embeddings": 512,
}
_CLASSIFIER_DROPOUT = ("classifier_dropout", "hidden_dropout_prob")
_SPLIT_HEAD = Head(
    dense="classifier.dense",
    output="classifier.out_proj",
    modules=("classifier",),
    dropout=_CLASSIFIER_DROPOUT,
    input_dropout=_CLASSIFIER_DROPOUT,
)

BERT = Family(
    model_type="bert",
    architecture="BertForSequenceClassification",
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
    words="embeddings.word_embeddings",
    positions="embeddings.position_embeddings",
    types="embeddings.token_type_embeddings",
    embedding_norm="embeddings.LayerNorm",
    head=Head(
        dense="bert.pooler.dense",
        output="classifier",
        modules=("pooler", "classifier"),
        dropout=_CLASSIFIER_DROPOUT,
    ),
    defaults=_BERT_DEFAULTS,
)

ERNIE = replace(
    BERT,
    model_type="ernie",
    architecture="ErnieForSequenceClassification",
    prefix="ernie.",
    head=replace(BERT.head, dense="ernie.pooler.dense"),
    tasks="embeddings.task_type_embeddings",
    settings=("use_task_id",),
    defaults={**_BERT_DEFAULTS, "use_task_id": False},
    specialise=lambda family, config: (
        family if family.get(config, "use_task_id") else replace(family, tasks="")
    ),
)

ELECTRA = replace(
    BERT,
    model_type="electra",
    architecture="ElectraForSequenceClassification",
    prefix="electra.",
    head=replace(_SPLIT_HEAD, activation="gelu"),
    projection="embeddings_project",
    defaults={**_BERT_DEFAULTS, "embedding_size": 128},
)

ROBERTA = replace(
    BERT,
    model_type="roberta",
    architecture="RobertaForSequenceClassification",
    prefix="roberta.",
    head=_SPLIT_HEAD,
    position_offset=True,
    defaults={**_BERT_DEFAULTS, "pad_token_id": 1},
)

XLM_ROBERTA = replace(
    ROBERTA, model_type="xlm-roberta", architecture="XLMRobertaForSequenceClassification"
)

CAMEMBERT = replace(
    ROBERTA, model_type="camembert", architecture="CamembertForSequenceClassification"
)

DISTILBERT = Family(
    model_type="distilbert",
    architecture="DistilBertForSequenceClassification",
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
    words="embeddings.word_embeddings",
    positions="embeddings.position_embeddings",
    embedding_norm="embeddings.LayerNorm",
    head=Head(
        dense="pre_classifier",
        output="classifier",
        activation="relu",
        modules=("pre_classifier", "classifier"),
        dropout=("seq_classif_dropout",),
    ),
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
)

MPNET = replace(
    BERT,
    model_type="mpnet",
    architecture="MPNetForSequenceClassification",
    prefix="mpnet.",
    linears={
        "query": "attention.attn.q",
        "key": "attention.attn.k",
        "value": "attention.attn.v",
        "attention_output": "attention.attn.o",
        "intermediate": "intermediate.dense",
        "output": "output.dense",
    },
    norms={"attention": "attention.LayerNorm", "output": "output.LayerNorm"},
    types="",
    position_offset=True,
    relative="encoder.relative_attention_bias",
    head=replace(
        _SPLIT_HEAD, dropout=("hidden_dropout_prob",), input_dropout=("hidden_dropout_prob",)
    ),
    defaults={**_BERT_DEFAULTS, "pad_token_id": 1},
)

ROFORMER = replace(
    BERT,
    model_type="roformer",
    architecture="RoFormerForSequenceClassification",
    prefix="roformer.",
    positions="",
    projection="embeddings_project",
    rotary="pairs",
    head=replace(
        _SPLIT_HEAD,
        activation="gelu",
        activation_key="hidden_act",
        dropout=("hidden_dropout_prob",),
        input_dropout=("hidden_dropout_prob",),
    ),
    settings=("rotary_value",),
    defaults={
        **_BERT_DEFAULTS,
        "max_position_embeddings": 1536,
        "rotary_value": False,
        "global_rope_theta": 10000.0,
    },
    specialise=lambda family, config: replace(
        family, rotates_values=bool(family.get(config, "rotary_value"))
    ),
)


def _of_albert(family: Family, config: Config) -> Family:
    if family.get(config, "inner_group_num") != 1:
        raise BackboneError("ALBERT backbones with several layers in a group are not supported.")
    groups = int(family.get(config, "num_hidden_groups"))
    return replace(family, layers_per_group=family.layer_count(config) / groups)


ALBERT = replace(
    BERT,
    model_type="albert",
    architecture="AlbertForSequenceClassification",
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
    head=Head(
        dense="albert.pooler",
        output="classifier",
        modules=("pooler", "classifier"),
        dropout=("classifier_dropout_prob",),
    ),
    settings=("num_hidden_layers", "num_hidden_groups"),
    defaults={
        **_BERT_DEFAULTS,
        "embedding_size": 128,
        "num_hidden_layers": 12,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "hidden_act": "gelu_new",
        "classifier_dropout_prob": 0.1,
    },
    specialise=_of_albert,
)


def _of_deberta(family: Family, config: Config) -> Family:
    kinds = family.get(config, "pos_att_type")
    kinds = kinds.lower().split("|") if isinstance(kinds, str) else kinds
    kinds = tuple(kind.strip() for kind in kinds)
    if bool(kinds) != bool(family.get(config, "relative_attention")):
        raise BackboneError("DeBERTa's relative_attention and pos_att_type go together only.")
    linears = dict(family.linears)
    for slot, kind in (("position_key", "c2p"), ("position_query", "p2c")):
        if kind not in kinds or family.get(config, "share_att_key"):
            del linears[slot]
    return replace(
        family,
        linears=linears,
        positions=family.positions if family.get(config, "position_biased_input") else "",
        types=family.types if int(family.get(config, "type_vocab_size")) else "",
        relative=family.relative if kinds else "",
        relative_kinds=kinds,
        relative_norm=(
            family.relative_norm if "layer_norm" in family.get(config, "norm_rel_ebd") else ""
        ),
        convolution=family.convolution if int(family.get(config, "conv_kernel_size")) else "",
    )


DEBERTA_V2 = replace(
    BERT,
    model_type="deberta-v2",
    architecture="DebertaV2ForSequenceClassification",
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
    projects_first=True,
    relative="encoder.rel_embeddings",
    relative_norm="encoder.LayerNorm",
    convolution="encoder.conv",
    head=Head(
        dense="pooler.dense",
        output="classifier",
        activation="gelu",
        activation_key="pooler_hidden_act",
        modules=("pooler", "classifier"),
        dropout=("cls_dropout", "hidden_dropout_prob"),
        input_dropout=("pooler_dropout",),
    ),
    settings=(
        "share_att_key", "position_buckets", "max_relative_positions", "norm_rel_ebd",
        "position_biased_input", "conv_act",
    ),
    defaults={
        **_BERT_DEFAULTS,
        "layer_norm_eps": 1e-7,
        "type_vocab_size": 0,
        "relative_attention": False,
        "pos_att_type": (),
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
    specialise=_of_deberta,
)  # fmt: skip

MODERNBERT = Family(
    model_type="modernbert",
    architecture="ModernBertForSequenceClassification",
    prefix="model.",
    layer="layers.{}",
    linears={
        "query_key_value": "attn.Wqkv",
        "attention_output": "attn.Wo",
        "intermediate": "mlp.Wi",
        "output": "mlp.Wo",
    },
    norms={"attention": "attn_norm", "output": "mlp_norm"},
    words="embeddings.tok_embeddings",
    embedding_norm="embeddings.norm",
    final_norm="final_norm",
    arrangement="pre",
    rotary="halves",
    head=Head(
        dense="head.dense",
        norm="head.norm",
        output="classifier",
        activation="gelu",
        activation_key="classifier_activation",
        modules=("head", "classifier"),
        dropout=("classifier_dropout",),
    ),
    keys={"layer_norm_eps": "norm_eps", "hidden_act": "hidden_activation"},
    defaults={
        "norm_eps": 1e-5,
        "hidden_activation": "gelu",
        "classifier_activation": "gelu",
        "classifier_dropout": 0.0,
        "classifier_pooling": "cls",
        "pad_token_id": 50283,
        "initializer_range": 0.02,
        "max_position_embeddings": 8192,
        "local_attention": 128,
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
    },
)

FAMILIES: Mapping[str, Family] = {
    family.model_type: family
    for family in (
        BERT, ROBERTA, DISTILBERT, MODERNBERT, XLM_ROBERTA, ELECTRA, ALBERT, DEBERTA_V2, MPNET,
        CAMEMBERT, ERNIE, ROFORMER,
    )
}  # fmt: skip
"""By ``model_type``; :func:`family_of` gives one as a ``config.json`` has it."""


def read_config(directory: Path) -> dict[str, Any]:
    """``config.json`` of a backbone or merged model, as it stands.

    Raises:
        NotFoundError: No such directory.
        BackboneError: There is no ``config.json``, or it cannot be read.
    """
    if not directory.is_dir():
        raise missing(directory, "directory")
    path = directory / "config.json"
    if not path.exists():
        raise BackboneError(
            f"'{directory}' is not a model: it has no config.json.",
            hint=in_words(below(directory, ["config.json"]))
            or above(directory)
            or "A backbone is a directory as transformers saves it.",
        )
    return read_object(path, BackboneError)


def family_of(config: Config) -> Family:
    """The family of a backbone, by its ``model_type``.

    Raises:
        BackboneError: No family we know, or one that needs code of its own, or relative positions.
    """
    model_type = str(config.get("model_type") or "")
    if "auto_map" in config and model_type not in FAMILIES:
        raise BackboneError(
            "The backbone asks to run code of its own (auto_map), which lora-bert never does."
        )
    if not model_type:
        raise BackboneError(
            "The backbone's config.json has no 'model_type', which says what family it is of.",
            hint=line_to_add(config, FAMILIES),
        )
    kind = config.get("position_embedding_type") or "absolute"
    if kind != "absolute":
        raise BackboneError(f"Backbones with '{kind}' positions are not supported.")
    family = FAMILIES.get(model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise BackboneError(
            f"Backbones of type '{model_type}' are not supported.",
            hint=f"{did_you_mean(model_type, FAMILIES)} Supported: {known}.".strip(),
        )
    check_settings(config, family)
    return family.specialise(family, config)
