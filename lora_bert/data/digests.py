"""What data are known by, wherever they lie: the hash of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from lora_bert.data.formats import folder_file
from lora_bert.data.formats.arrow_file import is_saved
from lora_bert.data.given import Given
from lora_bert.data.locations import locate
from lora_bert.wording import utf8_name


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
