"""Entries on disk: directories that are whole or not there, named by what they depend on.

An entry is ``CACHE/KIND/KEY/``: its files and ``entry.json``, which says what it is and how large
its files are. It is written beside its place and renamed into it. The record's time of change is
when the entry was last used.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lora_bert.errors import ConfigError
from lora_bert.files import are_whole, cache_dir, shared_directory, size_of, stats_below, write_json
from lora_bert.json_files import read_own

log = logging.getLogger(__name__)

RECORD = "entry.json"
KEPT = ("trunk", "tokens", "openvino")
"""The kinds that come and go by themselves: the least recently used ones make room."""
_DIGEST = re.compile("[0-9a-f]{64}")
_HIDDEN = re.compile(r"\..+\.[0-9a-z_]{8,16}")
BROKEN_OFF = 3600.0
"""A hidden directory that nothing was written to for so many seconds has no writer any more."""


def entry_path(kind: str, key: str) -> Path:
    """Where an entry stands, if it is there."""
    return cache_dir() / kind / key


def find_entry(kind: str, key: str) -> Path | None:
    """The directory of a whole entry, marked as used now; None where there is none."""
    path = entry_path(kind, key)
    if not _is_whole(path):
        return None
    with suppress(OSError):  # a cache may be shared and read-only
        os.utime(path / RECORD)
    return path


@contextmanager
def new_entry(kind: str, key: str, size: int, facts: dict[str, Any]) -> Iterator[Path]:
    """Yield an empty directory that becomes the entry when the block succeeds.

    Entries of :data:`KEPT` that were not used for the longest time make room for its ``size``, in
    bytes. The ``key`` is the hash of what the content depends on; the record says ``facts``:
    ``what`` in words, and more.

    Raises:
        OutputError: It cannot be written; what was there before still is, less what made room.
    """
    make_room(size)
    with shared_directory(entry_path(kind, key), _is_whole) as work:
        yield work
        sizes = {path.name: path.stat().st_size for path in sorted(work.iterdir())}
        record = {"key": key, "files": sizes, "created": time.time(), **facts}
        write_json(work / RECORD, record)


def read_record(path: Path) -> dict[str, Any]:
    """What ``entry.json`` in a directory says; nothing where it says nothing that can be read."""
    return read_own(path / RECORD)


def is_leftover(path: Path) -> bool:
    """Whether a path is where something was being written, or removed."""
    return bool(_HIDDEN.fullmatch(path.name))


def is_own(path: Path) -> bool:
    """Whether an entry or leftover is of our making: the cache may lie among others' files."""
    return path.is_dir() and (
        is_leftover(path)
        or bool(_DIGEST.fullmatch(path.name))
        or read_record(path).get("key") == path.name
    )


def discard(path: Path) -> None:
    """Remove a file or directory of the cache, at one blow for whoever looks on.

    Raises:
        OSError: It cannot be removed.
    """
    away = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name.lstrip('.')[:64]}."))
    try:
        with suppress(FileNotFoundError):  # somebody else was faster
            path.rename(away / "was")
    finally:
        shutil.rmtree(away)


def reject(path: Path, problem: Exception) -> None:
    """Say that an entry is of no use, and remove it if that can be."""
    log.warning("What is cached in '%s' cannot be read and is made again: %s.", path, problem)
    with suppress(OSError):
        discard(path)


def last_used(path: Path) -> float:
    """When an entry was last used, or a leftover last written to; seconds since 1970."""
    with suppress(OSError):
        return (path / RECORD).stat().st_mtime
    return max((seen.st_mtime for seen in stats_below(path)), default=0.0)


def total_limit() -> int:
    """Bytes that the entries may take together: ``$LORA_BERT_CACHE_LIMIT`` in GB, else 20 GB.

    Raises:
        ConfigError: It is not a number of at least 0.
    """
    written = os.environ.get("LORA_BERT_CACHE_LIMIT", "").strip()
    try:
        limit = float(written) if written else 20.0
    except ValueError:
        limit = math.nan
    if not (math.isfinite(limit) and limit >= 0):
        raise ConfigError(
            f"$LORA_BERT_CACHE_LIMIT: '{written}' is not a number of gigabytes.",
            hint="For example: LORA_BERT_CACHE_LIMIT=50",
        )
    return int(limit * 1e9)


def make_room(size: int) -> None:
    """Drop broken-off leftovers and, above the limit, the entries not used for the longest time."""
    candidates = []
    for kind in KEPT:
        for path in filter(is_own, (cache_dir() / kind).glob("*")):
            if not is_leftover(path):
                candidates.append((last_used(path), size_of(path), path))
            elif time.time() - last_used(path) > BROKEN_OFF:
                with suppress(OSError):
                    discard(path)
    excess = sum(taken for _, taken, _ in candidates) + size - total_limit()
    for _, taken, path in sorted(candidates):
        if excess <= 0:
            break
        with suppress(OSError):
            discard(path)
            excess -= taken


def _is_whole(path: Path) -> bool:
    record = read_record(path)
    sizes = record.get("files")
    return record.get("key") == path.name and isinstance(sizes, dict) and are_whole(sizes, path)
