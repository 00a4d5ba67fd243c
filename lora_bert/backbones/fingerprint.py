"""What identifies a backbone: its weights' values, whatever file, dtype or name they came in.

The fingerprints of those that were read are noted in the cache directory. Losing such a line costs
time; what it says is looked at again before it counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.weights import read_checkpoint, weight_files
from lora_bert.notes import read_notes, write_note

if TYPE_CHECKING:
    from torch import Tensor

NOTES, LOCATIONS, FINGERPRINTS = "backbones", "known.json", "fingerprints.json"
_VERSION = 1
"""Of what a fingerprint is made of."""


def fingerprint(tensors: Mapping[str, Tensor], config: EncoderConfig) -> str:
    """SHA-256, in hexadecimal, of an encoder's tensors and of the settings shapes do not show.

    Of tensors as :func:`~lora_bert.backbones.weights.read_checkpoint` gives them, names, shapes and
    values (as float32) count, in the order of the names; heads, poolers and buffers do not. So
    shards, prefixes and exact re-storage in another dtype give the same fingerprint, a rounded copy
    another one.
    """
    described = [config.model_type, config.fingerprinted]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(tensors):
        inside = name.startswith(config.layout.prefix)
        if not inside or ".pooler." in name or name.endswith("position_ids"):
            continue
        tensor = tensors[name]
        digest.update(f"{name}{list(tensor.shape)}".encode())
        digest.update(tensor.float().contiguous().numpy().data)
    return digest.hexdigest()


def read_identified(directory: Path, config: EncoderConfig) -> tuple[dict[str, Tensor], str]:
    """The tensors of a backbone and their fingerprint, computed only if a file has changed.

    Raises:
        BackboneError: As :func:`~lora_bert.backbones.weights.read_checkpoint`.
    """
    # Before they are read: what replaces a file meanwhile must not get its fingerprint.
    stamp = stamp_of([directory / "config.json", *weight_files(directory)])
    tensors = read_checkpoint(directory, config)
    return tensors, cached_fingerprint(directory, stamp, lambda: fingerprint(tensors, config))


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
    if (known := known_fingerprint(path, stamp)) is not None:
        return known
    fingerprint = compute()
    noted = {"fingerprint": fingerprint, "stamp": stamp}
    write_note(NOTES, FINGERPRINTS, str(path.resolve()), noted)
    return fingerprint


def known_fingerprint(path: Path, stamp: Stamp) -> str | None:
    """The fingerprint that was noted of a directory whose files have this stamp.

    Where there is one, the weights were read and checked before.
    """
    noted = read_notes(NOTES, FINGERPRINTS).get(str(path.resolve()))
    if isinstance(noted, dict) and noted.get("stamp") == stamp:
        return str(noted.get("fingerprint"))
    return None


def noted_fingerprint(fingerprint: str) -> list[Path]:
    """Where something with this fingerprint was seen, the last one first."""
    return [
        Path(key)
        for key, entry in reversed(read_notes(NOTES, FINGERPRINTS).items())
        if isinstance(entry, dict) and entry.get("fingerprint") == fingerprint
        if Path(key).exists()
    ]
