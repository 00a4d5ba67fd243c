"""What a backbone's ``config.json`` says of its encoder: parsed once, checked, and typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lora_bert.backbones.layout import Layout
from lora_bert.backbones.nearby import above, below, in_words
from lora_bert.errors import BackboneError, missing
from lora_bert.json_files import read_object

Pooling = Literal["cls", "mean", "none"]
"""What a head reads: a text's first token, the mean of its tokens, or every token by itself."""


@dataclass(frozen=True)
class HeadConfig:
    """How the classification head computes: pool, dense, activation, (norm), output.

    Attributes:
        activation: Name of the activation after the dense layer.
        pooling: What the classifier of ``transformers`` reads by this configuration.
        pooling_key: The key of ``config.json`` that says so; "": it always reads the first token.
        dropout: Rate before the output layer, 0 to 1.
        input_dropout: Rate before the dense layer, 0 to 1.
        dense_bias: Whether a new head's dense layer has a bias.
        norm_bias: Whether a new head's norm has a bias.
    """

    activation: str
    pooling: Pooling
    pooling_key: str
    dropout: float
    input_dropout: float
    dense_bias: bool
    norm_bias: bool


@dataclass(frozen=True)
class EncoderConfig:
    """An encoder as one ``config.json`` describes it, whatever its family calls the settings.

    The family makes it: :func:`lora_bert.backbones.families.registry.encoder_config`.

    Attributes:
        architecture: The classifier's class in ``transformers``.
        raw: ``config.json`` as it was read, for what writes it again.
        tokenizer_class: The tokenizer's class in ``transformers``, "" where it is not said.
        fingerprinted: The settings that change the answers but the shape of no weight, as
            ``config.json`` or the family's defaults say them.
        num_attention_heads: A divisor of ``hidden_size``, the width of the hidden states.
        embedding_size: Width of the embeddings, before any projection to ``hidden_size``.
        max_position_embeddings: Number of positions, as ``config.json`` counts them.
        type_vocab_size: Number of token types; 0 where the family has none.
        layer_norm_eps: What all norms add to the variance.
        initializer_range: Standard deviation of a new head's weights.
        layers_key: The key of ``config.json`` that counts the layers.
        groups_layers: Layers come in groups that share their weights (ALBERT).
        has_mean_layer: The files hold one layer more, which makes the mean of the tokens and is
            left out here: see :mod:`lora_bert.backbones.mean_layer`.
        arrangement: ``post``: a norm after each sublayer; ``pre``: before it, with a gated
            feed-forward part.
        position_offset: Learned positions start at the padding id + 1 and skip padding (RoBERTa).
        projects_first: The projection of the embeddings comes before their norm.
        rotary: Rotary positions: ``halves`` turns the first half of a head with the second,
            ``pairs`` turns neighbours, "" says: there are none.
        rotates_values: Whether rotary positions turn the values too.
        rope_theta: Base of the rotary positions' frequencies.
        local_rope_theta: The same in layers that attend within a window.
        local_layers: Whether each layer attends within a window only; empty: none does.
        local_window: How far a token sees to either side in such a layer, in tokens.
        relative_kinds: What meets the embeddings of relative positions (DeBERTa): ``c2p``: queries,
            ``p2c``: keys.
        relative_span: Number of buckets a side of such positions, or -1, and the farthest distance.
        conv_groups: Groups of the convolution beside the first layer.
    """

    model_type: str
    architecture: str
    layout: Layout
    head: HeadConfig
    raw: Mapping[str, Any]
    tokenizer_class: str
    fingerprinted: Mapping[str, Any]
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    embedding_size: int
    max_position_embeddings: int
    type_vocab_size: int
    pad_token_id: int
    layer_norm_eps: float
    hidden_act: str
    initializer_range: float
    layers_key: str = "num_hidden_layers"
    groups_layers: bool = False
    has_mean_layer: bool = False
    arrangement: Literal["post", "pre"] = "post"
    position_offset: bool = False
    projects_first: bool = False
    rotary: Literal["", "halves", "pairs"] = ""
    rotates_values: bool = False
    rope_theta: float = 10_000.0
    local_rope_theta: float = 10_000.0
    local_layers: tuple[bool, ...] = ()
    local_window: int = 0
    relative_kinds: tuple[str, ...] = ()
    relative_span: tuple[int, int] = (-1, 1)
    conv_groups: int = 1
    conv_act: str = "tanh"

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def max_length(self) -> int:
        """The longest input, in tokens, that the backbone has positions for."""
        skipped = self.pad_token_id + 1 if self.position_offset else 0
        return self.max_position_embeddings - skipped

    @property
    def takes_types(self) -> bool:
        """Whether the model distinguishes ``token_type_ids``."""
        return self.type_vocab_size > 1

    @property
    def shares_layers(self) -> bool:
        """Whether several layers have the same weights, so that none can be adapted alone."""
        return self.layout.layers_per_group > 1

    @property
    def has_plain_layers(self) -> bool:
        """Whether its layers are BERT's: norms after the sublayers, scores of contents alone.

        A number that is added to the scores changes nothing of that; a convolution does, which sees
        what stands beside a token.
        """
        others = self.rotary or self.relative_kinds or self.layout.convolution
        return self.arrangement == "post" and not others

    def reading_tokens(self, kind: str) -> EncoderConfig:
        """The same encoder under a head that reads every token.

        Args:
            kind: What ``transformers`` calls models with that head: ``TokenClassification`` or
                ``QuestionAnswering``.

        Raises:
            BackboneError: ``transformers`` has none for the family.
        """
        head = self.layout.head_of(kind)
        stem = self.architecture.removesuffix("ForSequenceClassification")
        if head is None:
            raise BackboneError(
                f"transformers has no {stem}For{kind}, so none is trained on a "
                f"'{self.model_type}'.",
                hint="Name another --backbone.",
            )
        return replace(
            self,
            architecture=f"{stem}For{kind}",
            layout=replace(self.layout, head=head),
            head=replace(self.head, pooling="none"),
        )

    @property
    def no_mean(self) -> str:
        """Why no model of ``transformers`` could give this head the mean of the tokens; "": can."""
        if self.head.pooling_key:
            return ""
        if self.groups_layers:
            return "layers share their weights"
        if self.arrangement == "pre":
            return "norms come before the sublayers"
        if self.layout.relative and not self.relative_kinds:
            return "all layers share what positions add to the attention"
        return "positions turn what the attention mixes" if self.rotates_values else ""

    @property
    def adds_mean_layer(self) -> bool:
        """Whether a merged model has one layer more where its head reads the mean."""
        return not (self.no_mean or self.head.pooling_key)

    @property
    def mean_norms(self) -> tuple[float, ...]:
        """What each norm adds to the variance that the mean goes through before a head reads it.

        None in a family whose classifier has a mean of its own. Elsewhere two norms without
        parameters, as in :mod:`lora_bert.backbones.mean_layer`, where the first one gets the mean
        2¹⁰ times as large.
        """
        eps = self.layer_norm_eps
        return () if self.head.pooling_key else (eps * 2**-20, eps)

    def is_local(self, layer: int) -> bool:
        """Whether a layer attends within a window only."""
        return bool(self.local_layers) and self.local_layers[layer]

    def rotary_base(self, *, local: bool) -> float:
        """The base of the rotary positions' frequencies, in local or in global layers."""
        return self.local_rope_theta if local else self.rope_theta


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
