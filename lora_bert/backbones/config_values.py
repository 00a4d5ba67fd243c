"""The values of a ``config.json``, of the kinds they are used as: sizes decide loops and shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_bert.errors import BackboneError


@dataclass(frozen=True)
class Kind:
    """What a setting must be, in words and as a test."""

    words: str
    fits: Callable[[Any], bool]


def whole(low: int, high: int) -> Kind:
    """A whole number from ``low`` to ``high``, both included."""
    return Kind(
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def real(low: float, high: float) -> Kind:
    """A number from ``low`` to ``high``, both included."""
    return Kind(
        f"a number from {low:g} to {high:g}",
        lambda value: type(value) in (int, float) and low <= value <= high,
    )


TEXT = Kind("a text", lambda value: isinstance(value, str))
RATE = real(0.0, 1.0)
COMMON: Mapping[str, Kind] = {
    "hidden_size": whole(1, 1 << 16),
    "num_hidden_layers": whole(1, 1000),
    "num_attention_heads": whole(1, 1 << 12),
    "intermediate_size": whole(1, 1 << 20),
    "embedding_size": whole(1, 1 << 16),
    "max_position_embeddings": whole(1, 1 << 24),
    "type_vocab_size": whole(0, 1 << 16),
    "pad_token_id": whole(0, 1 << 24),
    "layer_norm_eps": RATE,
    "initializer_range": real(0.0, 100.0),
    "hidden_dropout_prob": RATE,
    "attention_probs_dropout_prob": RATE,
    "classifier_dropout": RATE,
    "hidden_act": TEXT,
}
"""What every family's settings must be, by our names; a family's own are in its file."""


@dataclass(frozen=True)
class ConfigValues:
    """A ``config.json``, as its family reads it.

    Attributes:
        keys: Our names of settings -> the keys of the file, where they differ.
        defaults: What ``transformers`` assumes for keys that the file leaves out.
    """

    raw: Mapping[str, Any]
    keys: Mapping[str, str]
    defaults: Mapping[str, Any]

    def get(self, name: str) -> Any:
        """The value of a setting, or the family's default; None where there is neither."""
        key = self.keys.get(name, name)
        return self.raw.get(key, self.defaults.get(key))

    def need(self, name: str) -> Any:
        """As :meth:`get`, of what must be there.

        Raises:
            BackboneError: There is neither a value nor a default.
        """
        value = self.get(name)
        if value is None:
            key = self.keys.get(name, name)
            raise BackboneError(f"The backbone's config.json has no '{key}'.")
        return value

    def first(self, names: Sequence[str]) -> float:
        """The first of these rates that is there; 0 where none is."""
        return next((float(rate) for name in names if (rate := self.get(name)) is not None), 0.0)

    def check(self, kinds: Mapping[str, Kind]) -> None:
        """Check that settings that are there are of their kinds, and within their ranges.

        Raises:
            BackboneError: One of them is something else; the first is named.
        """
        for name, kind in kinds.items():
            value = self.get(name)
            if value is not None and not kind.fits(value):
                raise wrong(self.keys.get(name, name), value, kind.words)
        width, heads = self.get("hidden_size"), self.get("num_attention_heads")
        if width is not None and heads is not None and width % heads:
            raise BackboneError(
                f"The backbone's hidden size, {width}, is not a multiple of {heads} heads."
            )


def is_texts(value: object) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def wrong(key: str, value: object, wanted: str) -> BackboneError:
    """The error for a value of ``config.json`` that is not what is wanted there."""
    return BackboneError(f"The backbone's config.json: '{key}' is {value!r:.60}, not {wanted}.")
