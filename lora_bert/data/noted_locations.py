"""Where this machine has seen data: the files' hash -> the paths that were given for them.

Adapters keep no path of a machine. What is noted here is looked at again before it counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lora_bert.data import named
from lora_bert.data.given import Given
from lora_bert.notes import read_notes, write_note

_FOLDER, _NAME = "data", "known.json"

Told = str | tuple[str, ...]
"""What an option that names files was told: one path, or several."""


def note_data_location(sha256: str, told: Mapping[str, Any]) -> None:
    """Note what was told to find data of this hash.

    Args:
        sha256: As :func:`lora_bert.data.digests.fingerprint` makes it.
        told: Options of a training that name files, such as ``data``; None where one was not told.
    """
    given = {option: value for option, value in told.items() if value}
    every = [one for value in given.values() for one in _several(value)]
    if not every or any(isinstance(one, Given) for one in every):
        return
    if all(one in named.NAMED for one in every):
        return  # found by their names
    write_note(_FOLDER, _NAME, sha256, {
        option: [_absolute(one) for one in _several(value)] for option, value in given.items()
    })  # fmt: skip


def noted_data_location(sha256: str) -> dict[str, list[str]]:
    """What was told when data of this hash were last read; nothing where they never were."""
    found = read_notes(_FOLDER, _NAME).get(sha256)
    if not isinstance(found, dict):
        return {}
    fits = all(
        isinstance(value, list) and all(isinstance(one, str) for one in value)
        for value in found.values()
    )
    return found if fits else {}


def _several(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _absolute(name: str) -> str:
    return name if name in named.NAMED else os.path.abspath(name)  # noqa: PTH100 - keeps links
