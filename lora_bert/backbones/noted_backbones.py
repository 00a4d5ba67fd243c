"""What this machine knows of backbones: where local ones were seen, and their fingerprints.

Two files of notes in the cache directory. Losing a line of them costs time, or the question where
a backbone is; what they say is looked at again before it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lora_bert.notes import read_notes, write_note

LOCATIONS, FINGERPRINTS = "known.json", "fingerprints.json"
_FOLDER = "backbones"
_VERSION = 1
"""Of what a fingerprint is made of."""


def note_backbone_location(name: str, path: Path) -> None:
    """Note where the local backbone of that name is."""
    write_note(_FOLDER, LOCATIONS, name, str(path))


def noted_backbone_location(name: str) -> Path | None:
    """Where a local backbone of that name was seen."""
    seen = read_notes(_FOLDER, LOCATIONS).get(name)
    return Path(seen) if isinstance(seen, str) else None


Stamp = list[list[Any]]
"""What tells whether files have changed."""


def stamp_of(files: Iterable[Path]) -> Stamp:
    """Name, size, inode and times of change of some files, taken before they are read.

    On POSIX the last of them, ctime, cannot be set back.
    """
    found: Stamp = [[_VERSION]]
    for path in files:
        seen = path.stat()
        found.append([path.name, seen.st_size, seen.st_mtime_ns, seen.st_ino, seen.st_ctime_ns])
    return found


def cached_fingerprint(path: Path, stamp: Stamp, compute: Callable[[], str]) -> str:
    """The fingerprint of what was read in a directory, computed only if a file has changed since.

    The ``stamp`` of its files is from before they were read.
    """
    key = str(path.resolve())
    found = read_notes(_FOLDER, FINGERPRINTS).get(key)
    if isinstance(found, dict) and found.get("stamp") == stamp:
        return str(found.get("fingerprint"))
    fingerprint = compute()
    write_note(_FOLDER, FINGERPRINTS, key, {"fingerprint": fingerprint, "stamp": stamp})
    return fingerprint


def noted_fingerprint(fingerprint: str) -> list[Path]:
    """Where something with this fingerprint was seen, the last one first."""
    return [
        Path(key)
        for key, entry in reversed(read_notes(_FOLDER, FINGERPRINTS).items())
        if isinstance(entry, dict) and entry.get("fingerprint") == fingerprint
        if Path(key).exists()
    ]
