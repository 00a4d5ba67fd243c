"""Which families there are, by ``model_type``.

Every :class:`Family` that a module of this package defines is known: a new family is one file
here, and its test. A family from elsewhere becomes known with :func:`register`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from lora_bert.backbones.config import EncoderConfig, read_config
from lora_bert.backbones.families.family import Family
from lora_bert.backbones.mean_layer import KEY, config_without_mean_layer
from lora_bert.backbones.weights import read_module
from lora_bert.errors import BackboneError, did_you_mean

FAMILIES: dict[str, Family] = {}
"""By ``model_type``."""


def register(family: Family) -> Family:
    """Make a family known, instead of another one of its ``model_type``."""
    FAMILIES[family.model_type] = family
    return family


def encoder_config(raw: Mapping[str, Any]) -> EncoderConfig:
    """The encoder that a ``config.json`` describes.

    Raises:
        BackboneError: Of no family that is known, one that needs code of its own, or one whose
            settings are not what its family needs.
    """
    model_type = str(raw.get("model_type") or "")
    if "auto_map" in raw and model_type not in FAMILIES:
        raise BackboneError(
            "The backbone asks to run code of its own (auto_map), which lora-bert never does."
        )
    if not model_type:
        raise BackboneError(
            "The backbone's config.json has no 'model_type', which says what family it is of.",
            hint=_line_to_add(raw),
        )
    kind = raw.get("position_embedding_type") or "absolute"
    if kind != "absolute":
        raise BackboneError(f"Backbones with '{kind}' positions are not supported.")
    family = FAMILIES.get(model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise BackboneError(
            f"Backbones of type '{model_type}' are not supported.",
            hint=f"{did_you_mean(model_type, FAMILIES)} Supported: {known}; a family of your own "
            "once its module is imported.".strip(),
        )
    return family.read(raw)


def read_encoder_config(directory: Path) -> EncoderConfig:
    """The encoder that the ``config.json`` of a directory describes, without a layer of our making.

    Raises:
        NotFoundError: No such directory.
        BackboneError: There is no ``config.json``, it cannot be read, or describes no encoder;
            or weights of a layer that is to be looked at are missing.
    """
    config = encoder_config(read_config(directory))
    if config.raw.get(KEY) is not True or not config.adds_mean_layer:
        return config
    path = config.layout.layer_path(config.num_hidden_layers - 1)
    return config_without_mean_layer(config, read_module(directory, path))


def _line_to_add(raw: Mapping[str, Any]) -> str:
    """Which line a ``config.json`` without ``model_type`` lacks, as far as the rest of it tells."""
    names = raw.get("architectures")
    name = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
    for family in FAMILIES.values():
        stem = family.architecture.removesuffix("ForSequenceClassification")
        if name.startswith((f"{stem}For", f"{stem}Model", f"{stem}LM")):
            return f'Add the line "model_type": "{family.model_type}", as its class is {name:.60}.'
    for family in FAMILIES.values():
        if family.telling and all(key in raw for key in family.telling):
            key = family.telling[0]
            return f'Add the line "model_type": "{family.model_type}", as it has \'{key}\'.'
    return f'Add the line "model_type": "…", with one of {", ".join(sorted(FAMILIES))}.'


def _discover() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)], f"{__package__}."):
        if module.name != __name__:
            for value in vars(import_module(module.name)).values():
                if isinstance(value, Family):
                    register(value)


_discover()
