"""What data are known by, wherever they lie: the hash of their content.

Adapters keep no path of a machine; where this one has seen data is noted in its cache directory,
and checked before it counts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from itertools import chain, combinations
from pathlib import Path
from typing import Any

from lora_bert.data import named
from lora_bert.data.formats import folder_file
from lora_bert.data.formats.arrow_file import is_saved
from lora_bert.data.given import Given
from lora_bert.data.locations import locate
from lora_bert.notes import read_notes, write_note
from lora_bert.wording import utf8_name

_FOLDER, _NAME = "data", "known.json"


def fingerprint(paths: Iterable[Path | Given]) -> str:
    """The SHA-256 over the bytes of files, in the order given; of one file its own.

    The names of a folder's texts count too: they are labels.
    """
    digest = hashlib.sha256()
    for path in paths:
        if isinstance(path, Given):
            path.update(digest)
        elif path.is_dir() and not is_saved(path):
            for file in folder_file.text_files(path):
                digest.update(utf8_name(file.relative_to(path).as_posix()).encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        else:
            for file in sorted(path.glob("*.arrow")) if path.is_dir() else [path]:
                with file.open("rb") as stream:
                    hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()


def whole_fingerprints(data: str) -> set[str]:
    """The SHA-256 that :func:`fingerprint` gives of a data set of several parts.

    Several, because parts without labels do not count in a training: with and without each of them.
    """
    parts = locate(data).parts
    if len(parts) < 2 or "train" not in parts:
        return set()
    others = [part for part in parts if part != "train"]
    kept = [set(left) for size in range(len(others) + 1) for left in combinations(others, size)]
    return {
        fingerprint(path for part in parts if part == "train" or part in left
                    for path in parts[part])
        for left in kept
    }  # fmt: skip


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
