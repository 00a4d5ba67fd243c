"""Where this machine has seen data: the files' hash -> the paths that were given for them.

Adapters keep no path of a machine. What is noted here is checked before it counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import chain
from typing import Any

from lora_bert.data import named
from lora_bert.data.given import Given
from lora_bert.notes import read_notes, write_note

_FOLDER, _NAME = "data", "known.json"


def note_data_location(sha256: str, options: Mapping[str, Any]) -> None:
    """Note which options of a training, such as ``data``, led to data of this hash."""
    paths = {
        option: [value] if isinstance(value, str) else list(value)
        for option, value in options.items()
        if value
    }
    every = list(chain.from_iterable(paths.values()))
    if any(isinstance(path, Given) for path in every) or all(path in named.NAMED for path in every):
        return  # no file holds the rows, or their names are enough
    write_note(_FOLDER, _NAME, sha256, {
        option: [path if path in named.NAMED else os.path.abspath(path)  # noqa: PTH100 - keeps links
                 for path in several]
        for option, several in paths.items()
    })  # fmt: skip


def noted_data_location(sha256: str) -> dict[str, list[str]]:
    """The options that last led to data of this hash; none where they were never read."""
    options = read_notes(_FOLDER, _NAME).get(sha256)
    if not isinstance(options, dict):
        return {}
    well_formed = all(
        isinstance(paths, list) and all(isinstance(path, str) for path in paths)
        for paths in options.values()
    )
    return options if well_formed else {}
