"""What this machine knows of backbones: the fingerprints of those that were read.

A file of notes in the cache directory, beside that of the places of local backbones. Losing a line
costs time; what it says is looked at again before it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lora_bert.notes import read_notes, write_note

NOTES, LOCATIONS, FINGERPRINTS = "backbones", "known.json", "fingerprints.json"
_VERSION = 1
"""Of what a fingerprint is made of."""


Stamp = list[list[Any]]
"""What tells whether files have changed."""


def stamp_of(files: Iterable[Path]) -> Stamp:
    """Name, size, inode and times of change of some files, taken before they are read.

    On POSIX the last of them, ctime, cannot be set back.
    """
    stats = [(path.name, path.stat()) for path in files]
    return [[_VERSION], *([name, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns]
                          for name, stat in stats)]  # fmt: skip


def cached_fingerprint(path: Path, stamp: Stamp, compute: Callable[[], str]) -> str:
    """The fingerprint of what was read in a directory, computed only if a file has changed since.

    The ``stamp`` of its files is from before they were read.
    """
    key = str(path.resolve())
    noted = read_notes(NOTES, FINGERPRINTS).get(key)
    if isinstance(noted, dict) and noted.get("stamp") == stamp:
        return str(noted.get("fingerprint"))
    fingerprint = compute()
    write_note(NOTES, FINGERPRINTS, key, {"fingerprint": fingerprint, "stamp": stamp})
    return fingerprint


def noted_fingerprint(fingerprint: str) -> list[Path]:
    """Where something with this fingerprint was seen, the last one first."""
    return [
        Path(key)
        for key, entry in reversed(read_notes(NOTES, FINGERPRINTS).items())
        if isinstance(entry, dict) and entry.get("fingerprint") == fingerprint
        if Path(key).exists()
    ]
