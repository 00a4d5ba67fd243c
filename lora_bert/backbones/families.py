"""What is special about each family of backbones, in one place.

The engine in ``model/`` knows two arrangements of a transformer layer: normalisation after or
before the sublayers. A :class:`Family` says which of them a ``model_type`` uses, how it embeds, how
``transformers`` names the weights of its sequence classifier, and what its head is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lora_bert.errors import BackboneError, did_you_mean, missing

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Head:
    """A family's classification head: pool, dense, activation, (norm), output.

    Names are those of the sequence classifier's state dict, without ``.weight``/``.bias``.

    Attributes:
        dense: The hidden dense layer.
        output: The last layer, ``[labels, hidden]``.
        activation: Between the two; ``activation_key`` names the key of ``config.json`` that
            says otherwise.
        norm: A layer norm after the activation, or "".
        modules: What PEFT must save whole (``modules_to_save``): suffixes of module names.
        dropout: Keys of ``config.json`` that give the head's dropout, the first present one counts.
        dropout_before_dense: Whether the pooled vector is dropped out too, as RoBERTa does.
    """

    dense: str
    output: str
    modules: tuple[str, ...]
    dropout: tuple[str, ...]
    activation: str = "tanh"
    activation_key: str = ""
    norm: str = ""
    dropout_before_dense: bool = False


@dataclass(frozen=True)
class Family:
    """How ``transformers`` lays out one ``model_type``.

    Attributes:
        prefix: Where the encoder stands inside the sequence classifier, with its dot.
        layer: Path of layer ``{}`` below the prefix.
        linears: Slot -> path below the layer, in the order of the computation.
        norms: ``attention``/``output`` -> path below the layer.
        embedding_norm: Path of the embeddings' layer norm below the prefix.
        words: Path of the word embeddings below the prefix.
        positions: Path of the learned positions below the prefix, or "" (rotary).
        types: Path of the token-type embeddings below the prefix, or "" (none).
        final_norm: Path of a norm after the last layer, or "".
        arrangement: ``post``: norm after each sublayer; ``pre``: before it, with a gated MLP,
            rotary positions and local attention.
        position_offset: Positions start at the padding id + 1 and skip padding (RoBERTa).
        keys: Our names of dimensions -> the keys of ``config.json``.
        defaults: What ``transformers`` assumes for keys that ``config.json`` leaves out.
    """

    model_type: str
    architecture: str
    prefix: str
    layer: str
    linears: Mapping[str, str]
    norms: Mapping[str, str]
    words: str
    embedding_norm: str
    head: Head
    positions: str = ""
    types: str = ""
    final_norm: str = ""
    arrangement: Literal["post", "pre"] = "post"
    position_offset: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    defaults: Config = field(default_factory=dict)

    @property
    def takes_types(self) -> bool:
        """Whether the model's forward knows ``token_type_ids``."""
        return bool(self.types)

    def get(self, config: Config, name: str) -> Any:
        """The value of ``name`` (our word) in ``config``, or the family's default.

        Raises:
            BackboneError: ``config.json`` lacks it and there is no default.
        """
        key = self.keys.get(name, name)
        value = config.get(key, self.defaults.get(key))
        if value is None:
            raise BackboneError(f"The backbone's config.json has no '{key}'.")
        return value

    def layer_count(self, config: Config) -> int:
        """The number of transformer layers."""
        return int(self.get(config, "num_hidden_layers"))

    def module(self, layer: int, slot: str) -> str:
        """Full name of a linear module, as in the sequence classifier's state dict."""
        return f"{self.prefix}{self.layer.format(layer)}.{self.linears[slot]}"

    def max_length(self, config: Config) -> int:
        """The longest input, in tokens, that the backbone has positions for."""
        positions = int(self.get(config, "max_position_embeddings"))
        if self.position_offset:
            positions -= int(self.get(config, "pad_token_id")) + 1
        return positions

    def is_local(self, config: Config, layer: int) -> bool:
        """Whether a layer attends within a window only."""
        if self.arrangement == "post":
            return False
        if kinds := config.get("layer_types"):
            return bool(kinds[layer] == "sliding_attention")
        return bool(layer % int(self.get(config, "global_attn_every_n_layers")))

    def rotary_base(self, config: Config, *, local: bool) -> float:
        """The base of the rotary positions' frequencies, in local or in global layers.

        Raises:
            BackboneError: They are scaled, which is not supported.
        """
        kind = "sliding_attention" if local else "full_attention"
        written = (config.get("rope_parameters") or {}).get(kind) or {}
        if written.get("rope_type", "default") != "default":
            raise BackboneError(
                f"The backbone scales its rotary positions ('{written['rope_type']}'), "
                "which is not supported."
            )
        key = "local_rope_theta" if local else "global_rope_theta"
        return float(written.get("rope_theta") or self.get(config, key))


_ATTENTION = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
}
ATTENTION_SLOTS = frozenset({*_ATTENTION, "query_key_value"})

_BERT_DEFAULTS = {
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "type_vocab_size": 2,
    "pad_token_id": 0,
    "initializer_range": 0.02,
    "max_position_embeddings": 512,
}

BERT = Family(
    model_type="bert",
    architecture="BertForSequenceClassification",
    prefix="bert.",
    layer="encoder.layer.{}",
    linears={**_ATTENTION, "intermediate": "intermediate.dense", "output": "output.dense"},
    norms={"attention": "attention.output.LayerNorm", "output": "output.LayerNorm"},
    words="embeddings.word_embeddings",
    positions="embeddings.position_embeddings",
    types="embeddings.token_type_embeddings",
    embedding_norm="embeddings.LayerNorm",
    head=Head(
        dense="bert.pooler.dense",
        output="classifier",
        modules=("pooler", "classifier"),
        dropout=("classifier_dropout", "hidden_dropout_prob"),
    ),
    defaults=_BERT_DEFAULTS,
)

ROBERTA = Family(
    model_type="roberta",
    architecture="RobertaForSequenceClassification",
    prefix="roberta.",
    layer=BERT.layer,
    linears=BERT.linears,
    norms=BERT.norms,
    words=BERT.words,
    positions=BERT.positions,
    types=BERT.types,
    embedding_norm=BERT.embedding_norm,
    position_offset=True,
    head=Head(
        dense="classifier.dense",
        output="classifier.out_proj",
        modules=("classifier",),
        dropout=("classifier_dropout", "hidden_dropout_prob"),
        dropout_before_dense=True,
    ),
    defaults={**_BERT_DEFAULTS, "pad_token_id": 1},
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
    family.model_type: family for family in (BERT, ROBERTA, DISTILBERT, MODERNBERT)
}


def read_config(directory: Path) -> dict[str, Any]:
    """``config.json`` of a backbone or merged model, as it stands.

    Raises:
        NotFoundError: No such directory.
        BackboneError: There is no ``config.json``, or it is not a JSON object.
    """
    if not directory.is_dir():
        raise missing(directory, "directory")
    path = directory / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BackboneError(
            f"'{directory}' is not a model: it has no config.json.",
            hint="A backbone is a directory as transformers saves it.",
        ) from None
    except ValueError as error:
        raise BackboneError(f"'{path}' is not valid JSON: {error}.") from error
    if not isinstance(config, dict):
        raise BackboneError(f"'{path}' does not hold a JSON object.")
    return config


def family_of(config: Config) -> Family:
    """The family of a backbone, by its ``model_type``.

    Raises:
        BackboneError: No family we know, or one that needs code of its own, or relative positions.
    """
    model_type = str(config.get("model_type", ""))
    if "auto_map" in config and model_type not in FAMILIES:
        raise BackboneError(
            "The backbone asks to run code of its own (auto_map), which lora-bert never does."
        )
    kind = config.get("position_embedding_type") or "absolute"
    if kind != "absolute":
        raise BackboneError(f"Backbones with '{kind}' positions are not supported.")
    family = FAMILIES.get(model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise BackboneError(
            f"Backbones of type '{model_type or 'unknown'}' are not supported.",
            hint=f"{did_you_mean(model_type, FAMILIES)} Supported: {known}.".strip(),
        )
    return family
