"""Which linear layers an adapter changes, from what the user asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.layout import ATTENTION_SLOTS
from lora_bert.errors import ConfigError, did_you_mean


def resolved_layers(layers: str, config: EncoderConfig) -> str:
    """``auto`` -> ``top:N`` of the upper half of the layers; anything else as it is.

    The lower half then runs once; accuracy against time: ``layers`` in docs/benchmarks.md. Where
    layers share their weights, ``auto`` is ``all``.
    """
    if layers != "auto":
        return layers
    half = math.ceil(config.num_hidden_layers / 2)
    return "all" if config.shares_layers else f"top:{half}"


def parse_layers(layers: str, config: EncoderConfig) -> range:
    """``all`` or ``top:N`` -> the indices of the layers meant.

    Raises:
        ConfigError: Neither of the two forms, N is not in 1..number of layers, or they share their
            weights, so that none can be adapted alone.
    """
    count = config.num_hidden_layers
    if layers == "all":
        return range(count)
    match = re.fullmatch(r"top:(\d+)", layers)
    if not match:
        raise ConfigError(f"--layers '{layers}' is none of 'auto', 'all' and 'top:N'.")
    top = int(match[1])
    if not 1 <= top <= count:
        raise ConfigError(
            f"--layers {layers}: the backbone has {count} layers.",
            hint=f"N goes from 1 to {count}.",
        )
    if config.shares_layers:
        raise ConfigError(
            f"--layers {layers}: the layers of this {config.model_type} backbone share their "
            "weights, so none can be adapted alone.",
            hint="Leave --layers out, or say --layers all.",
        )
    return range(count - top, count)


def target_suffixes(config: EncoderConfig, target_modules: str) -> tuple[str, ...]:
    """``all-linear``, ``attention`` or comma-separated names -> paths below a layer.

    A name means every linear layer whose path ends with it: ``query``, ``output.dense``.

    Raises:
        ConfigError: A name matches nothing; says what would.
    """
    paths = dict(config.layout.linears)
    if target_modules == "all-linear":
        return tuple(paths.values())
    if target_modules == "attention":
        return tuple(path for slot, path in paths.items() if slot in ATTENTION_SLOTS)
    chosen: list[str] = []
    for name in filter(None, (part.strip() for part in target_modules.split(","))):
        matches = [path for path in paths.values() if f".{path}".endswith(f".{name}")]
        if not matches:
            raise ConfigError(
                f"--target-modules: '{name}' matches no linear layer of a {config.model_type} "
                "backbone.",
                hint=f"{did_you_mean(name, _endings(paths.values()))} There are: all-linear, "
                f"attention, {', '.join(paths.values())}.".strip(),
            )
        chosen += matches
    if not chosen:
        raise ConfigError("--target-modules names nothing.")
    return tuple(path for path in paths.values() if path in chosen)


def _endings(paths: Iterable[str]) -> list[str]:
    """Everything that matches one of ``paths``: ``self.query`` and ``query`` too."""
    split = [path.split(".") for path in paths]
    return [".".join(parts[at:]) for parts in split for at in range(len(parts))]


def target_names(config: EncoderConfig, target_modules: str, layers: str) -> tuple[str, ...]:
    """Full names of the linear layers to adapt, lowest layer first.

    Raises:
        ConfigError: As :func:`parse_layers` and :func:`target_suffixes`.
    """
    suffixes = target_suffixes(config, target_modules)
    names = (
        config.layout.module(index, slot)
        for index in parse_layers(layers, config)
        for slot, path in config.layout.linears.items()
        if path in suffixes
    )
    return tuple(dict.fromkeys(names))
