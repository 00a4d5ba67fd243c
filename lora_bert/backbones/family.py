"""What the engine has to know of a family of backbones.

The engine in ``model/`` knows two arrangements of a transformer layer: normalisation after or
before the sublayers. A :class:`Family` says which of them a ``model_type`` uses, how it embeds,
what it does about positions, how ``transformers`` names the weights of its sequence classifier, and
what its head is. The families themselves are in ``families.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lora_bert.errors import BackboneError

Config = Mapping[str, Any]
ATTENTION_SLOTS = frozenset(
    {"query", "key", "value", "query_key_value", "position_key", "position_query"}
    | {"attention_output"}
)
"""Linear layers of :attr:`Family.linears` that belong to the attention."""


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
        input_dropout: The same for a dropout of the pooled vector, before the dense layer.
    """

    dense: str
    output: str
    modules: tuple[str, ...]
    dropout: tuple[str, ...]
    activation: str = "tanh"
    activation_key: str = ""
    norm: str = ""
    input_dropout: tuple[str, ...] = ()


def _as_it_is(family: Family, config: Config) -> Family:
    return family


@dataclass(frozen=True)
class Family:
    """How ``transformers`` lays out one ``model_type``.

    Attributes:
        prefix: Where the encoder stands inside the sequence classifier, with its dot.
        layer: Path of layer ``{}`` below the prefix.
        linears: Slot -> path below the layer, in the order of the computation.
        norms: ``attention``/``output`` -> path below the layer.
        words: Path of the word embeddings below the prefix.
        embedding_norm: Path of the embeddings' layer norm below the prefix.
        positions: Path of the learned positions below the prefix, or "".
        position_offset: Learned positions start at the padding id + 1 and skip padding (RoBERTa).
        types: Path of the token-type embeddings below the prefix, or "" (none).
        tasks: Path of embeddings of which the first row is added to every token (ERNIE), or "".
        projection: Path of a linear layer from the embeddings' width to the hidden one, or "";
            ``projects_first``: before the norm.
        rotary: Rotary positions: ``halves`` turns the first half of a head with the second,
            ``pairs`` neighbours; ``rotates_values``: the values too.
        relative: Path of a table of relative positions below the prefix, or "": of what is added to
            the scores, a number a head (MPNet), or of embeddings, see ``relative_kinds``.
        relative_kinds: What meets the embeddings of relative positions (DeBERTa): ``c2p``: queries,
            ``p2c``: keys. ``relative_norm``: path of the embeddings' layer norm, or "".
        convolution: Path of a convolution beside the first layer (DeBERTa), or "".
        final_norm: Path of a norm after the last layer, or "".
        arrangement: ``post``: norm after each sublayer; ``pre``: before it, with a gated MLP and
            layers that attend locally.
        layers_per_group: How many layers in a row are one and the same; 1: none.
        settings: Keys of ``config.json`` that change the answers, but the shape of no weight,
            beside those that every family has.
        keys: Our names of dimensions -> the keys of ``config.json``.
        defaults: What ``transformers`` assumes for keys that ``config.json`` leaves out.
        specialise: The family as one ``config.json`` has it.
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
    position_offset: bool = False
    types: str = ""
    tasks: str = ""
    projection: str = ""
    projects_first: bool = False
    rotary: Literal["", "halves", "pairs"] = ""
    rotates_values: bool = False
    relative: str = ""
    relative_kinds: tuple[str, ...] = ()
    relative_norm: str = ""
    convolution: str = ""
    final_norm: str = ""
    arrangement: Literal["post", "pre"] = "post"
    layers_per_group: float = 1
    settings: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    defaults: Config = field(default_factory=dict)
    specialise: Callable[[Family, Config], Family] = _as_it_is

    @property
    def shares_layers(self) -> bool:
        """Whether several layers have the same weights, so that none can be adapted alone."""
        return self.layers_per_group > 1

    @property
    def has_plain_layers(self) -> bool:
        """Whether its layers are BERT's: norms after the sublayers, scores of contents alone.

        A number that is added to the scores changes nothing of that.
        """
        return self.arrangement == "post" and not (self.rotary or self.relative_kinds)

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

    def embedding_size(self, config: Config) -> int:
        """The width of the embeddings; that of the hidden states where nothing projects them."""
        own = config.get("embedding_size", self.defaults.get("embedding_size"))
        return int(own if own and self.projection else self.get(config, "hidden_size"))

    def layer_path(self, layer: int) -> str:
        """Path of a layer below the prefix."""
        return self.layer.format(int(layer / self.layers_per_group))

    def module(self, layer: int, slot: str) -> str:
        """Full name of a linear module, as in the sequence classifier's state dict."""
        return f"{self.prefix}{self.layer_path(layer)}.{self.linears[slot]}"

    def max_length(self, config: Config) -> int:
        """The longest input, in tokens, that the backbone has positions for."""
        positions = int(self.get(config, "max_position_embeddings"))
        if self.position_offset:
            positions -= int(self.get(config, "pad_token_id")) + 1
        return positions

    def relative_span(self, config: Config) -> tuple[int, int]:
        """DeBERTa's distances: number of buckets a side, or -1; and the farthest."""
        farthest = int(self.get(config, "max_relative_positions"))
        if farthest < 1:
            farthest = int(self.get(config, "max_position_embeddings"))
        return int(self.get(config, "position_buckets")), farthest

    def takes_types(self, config: Config) -> bool:
        """Whether the model distinguishes ``token_type_ids``."""
        return bool(self.types) and int(self.get(config, "type_vocab_size")) > 1

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
