"""The values of a ``config.json``, of the kinds they are used as: sizes decide loops and shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_bert.errors import BackboneError


@dataclass(frozen=True)
class Whole:
    """A whole number within a range, both ends included."""

    low: int
    high: int

    def fits(self, value: object) -> bool:
        """Whether ``value`` is such a number."""
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Real:
    """A number within a range, both ends included."""

    low: float
    high: float

    def fits(self, value: object) -> bool:
        """Whether ``value`` is such a number."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Text:
    """A text."""

    def fits(self, value: object) -> bool:
        """Whether ``value`` is a text."""
        return isinstance(value, str)

    def __str__(self) -> str:
        return "a text"


Kind = Whole | Real | Text
RATE = Real(0.0, 1.0)
COMMON: Mapping[str, Kind] = {
    "hidden_size": Whole(1, 1 << 16),
    "num_hidden_layers": Whole(1, 1000),
    "num_attention_heads": Whole(1, 1 << 12),
    "intermediate_size": Whole(1, 1 << 20),
    "embedding_size": Whole(1, 1 << 16),
    "max_position_embeddings": Whole(1, 1 << 24),
    "type_vocab_size": Whole(0, 1 << 16),
    "pad_token_id": Whole(0, 1 << 24),
    "layer_norm_eps": RATE,
    "initializer_range": Real(0.0, 100.0),
    "hidden_dropout_prob": RATE,
    "attention_probs_dropout_prob": RATE,
    "classifier_dropout": RATE,
    "hidden_act": Text(),
    "classifier_pooling": Text(),
}
"""What every family's settings must be, by our names; a family's own are in its file."""


@dataclass(frozen=True)
class ConfigValues:
    """A ``config.json``, as its family reads it.

    Attributes:
        raw: The object in the file.
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
                raise wrong(self.keys.get(name, name), value, str(kind))
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
