"""What makes two runs one and the same, bit for bit; a checkpoint goes on with no other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lora_bert.adapters.manifest import versions
from lora_bert.adapters.trained_on import RUN_OPTIONS
from lora_bert.config import TrainConfig
from lora_bert.data.part_names import DATA_OPTIONS
from lora_bert.errors import ConfigError
from lora_bert.options import flag
from lora_bert.runtime.device import processor_of
from lora_bert.runtime.distributed import processes
from lora_bert.tasks.problem_types import AUTO, task_of
from lora_bert.tokens.batching import LAYOUT
from lora_bert.training.context import Context
from lora_bert.training.tokenize_rows import Tokens

# Data and backbone count by their content, below.
_OUTSIDE = {*RUN_OPTIONS, *DATA_OPTIONS, "backbone", "revision"}


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """The options that decide what is learned, of a configuration that is resolved."""
    named = {"task": task_of(config.task).problem_type} if config.task != AUTO else {}
    return {key: value for key, value in asdict(config).items() if key not in _OUTSIDE} | named


def identity_of(context: Context, *, workers: tuple[int, int], trunk: str | None) -> dict[str, Any]:
    """Everything that decides the bits of an adapter, as plain JSON values.

    ``workers``, which decide the slices, are those of :func:`.shares_of`; ``trunk`` is the key of
    the trunk cache, None where the trunk runs for every batch.
    """
    config, device = context.config, context.backbone.device
    return {
        "settings": settings_of(config),
        "data": context.splits.sha256,
        "rows": _digest(context.tokens),
        "backbone": context.fingerprint,
        "device": device.type,
        "dtype": config.dtype,
        "workers": list(workers),
        "processes": processes().count,
        "trunk": trunk,
        "layout": LAYOUT,
        "made_by": {**versions(), "processor": processor_of(device)},
    }


def check_same(
    begun: Mapping[str, Any] | None, now: Mapping[str, Any], config: TrainConfig
) -> None:
    """Check that a run, of whose identity ``now`` is what is known yet, is the one to continue.

    ``begun`` is the identity of the checkpoint; None where there is none to go on from.

    Raises:
        ConfigError: Something is not; the first difference is named.
    """
    if begun is None:
        return
    names = {
        "layout": "by a version of lora-bert that puts rows into other batches",
        "device": "on another kind of device ({}, not {})",
        "dtype": "in another precision ({}, not {})",
        "data": "with other data (their SHA-256 was {}…, now it is {}…)",
        "backbone": "with another backbone (its fingerprint was {}…, now it is {}…)",
        "rows": "with other tokens of the same data ({}…, now {}…): the tokenizer has changed",
    }
    back = "Give back what it was begun with, or begin anew with --overwrite."
    for key, sentence in names.items():
        if key in now and begun.get(key) != now[key]:
            difference = sentence.format(str(begun.get(key))[:12], str(now[key])[:12])
            raise ConfigError(f"--resume: '{config.output}' was begun {difference}.", hint=back)
    if "trunk" in now and begun["trunk"] and not now["trunk"]:
        raise ConfigError(
            f"--resume: '{config.output}' was begun with a trunk cache, and now there is none.",
            hint="Make room for it, or see --trunk-cache and --trunk-cache-limit.",
        )
    settings = now.get("settings", begun["settings"])
    for key, value in begun["settings"].items():
        if _plain(settings.get(key)) != value:
            raise ConfigError(
                f"--resume: '{config.output}' was begun with {flag(key)} {value}, not "
                f"{settings.get(key)}.",
                hint="Give the options of the first call, or begin anew with --overwrite.",
            )


def check_alike(identities: Sequence[Mapping[str, Any]]) -> None:
    """Check that all processes of a training, by their identities, are about to do the same.

    Raises:
        ConfigError: One is not; its first difference from the first process is named.
    """
    first = identities[0]
    for rank, other in enumerate(identities):
        # Each keeps other rows.
        unlike = [key for key in first if key != "trunk" and other[key] != first[key]]
        if unlike:
            raise ConfigError(
                f"Process {rank} of {len(identities)} differs from the first in its {unlike[0]}: "
                f"{str(other[unlike[0]])[:80]}, not {str(first[unlike[0]])[:80]}.",
                hint="All of them need the same files, packages and kind of processor.",
            )


def made_elsewhere(begun: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Versions and processor where they differ, in words; "" where the bits will be the same."""
    before, here = (
        {"processes": identity.get("processes", 1), **identity["made_by"]}
        for identity in (begun, now)
    )
    changed = [key for key in here if before.get(key) != here[key]]
    return ", ".join(f"{key} {before.get(key, 'unknown')}, now {here[key]}" for key in changed)


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _digest(tokens: Mapping[str, Tokens]) -> str:
    digest = hashlib.sha256()
    for part in ("train", "validation"):
        rows = tokens[part]
        for array in (rows.encodings.starts, rows.encodings.ids, rows.encodings.token_type_ids,
                      rows.targets):  # fmt: skip
            digest.update(b"" if array is None else array.data)
    return digest.hexdigest()
