"""Notes in the cache directory: what this machine has seen, a line for each.

A lost line costs time or a question; what a line says is checked before it counts.
"""

from __future__ import annotations

import logging
from typing import Any

from lora_bert.errors import OutputError
from lora_bert.files import cache_dir, write_json
from lora_bert.json_files import read_own

log = logging.getLogger(__name__)

_MOST = 500
"""The most lines of a file of notes; the oldest ones are dropped."""


def read_notes(folder: str, name: str) -> dict[str, Any]:
    """The lines of ``CACHE/folder/name``, the oldest first."""
    return read_own(cache_dir() / folder / name)


def write_note(folder: str, name: str, key: str, value: Any) -> None:
    """Add a line, or write it anew; a cache that cannot be written is not minded."""
    book = read_notes(folder, name)
    if book.get(key) == value:
        return
    kept = dict([*((old, was) for old, was in book.items() if old != key), (key, value)][-_MOST:])
    try:
        write_json(cache_dir() / folder / name, kept)
    except OutputError as error:
        log.info("'%s' cannot be noted: %s", key, error)
