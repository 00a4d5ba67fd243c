"""Where the parts of a data set lie: a file, a directory with parts, or a name."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_bert.data import named
from lora_bert.data.formats.saved_file import is_saved
from lora_bert.data.given import Given
from lora_bert.data.tables import SUFFIXES
from lora_bert.data.wording import listed, utf8_name
from lora_bert.errors import DataError, missing

logger = logging.getLogger(__name__)

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing"),
}
"""The parts of a data set and what their files are called."""


@dataclass(frozen=True)
class Place:
    """A data set on disk.

    Attributes:
        name: Its name without directories: the same on every machine.
        parts: ``train``, ``validation``, ``test`` -> a file, a saved dataset or rows given from
            Python, those that exist.
    """

    name: str
    parts: Mapping[str, Path | Given]


def locate(data: str) -> Place:
    """Find a data set.

    Args:
        data: A known name (which goes before a file or directory of that name), a file, which is
            then all training rows, or a directory that holds files called train, validation (valid,
            val, dev) and test, or that ``datasets.save_to_disk`` wrote.

    Raises:
        NotFoundError: There is none.
        DataError: The directory holds no part, or two files for one.
    """
    if isinstance(data, Given):
        return Place(str(data), dict(data.parts) or {"train": data})
    try:
        return _located(data, Path(data))
    except OSError as error:
        raise DataError(f"Cannot read '{data}': {error.strerror or error}.") from error


def fingerprint(paths: Iterable[Path | Given]) -> str:
    """The SHA-256 over the bytes of files, in the order given; of one file its own."""
    digest = hashlib.sha256()
    for path in paths:
        if isinstance(path, Given):
            path.update(digest)
            continue
        files = sorted(path.glob("*.arrow")) if path.is_dir() else [path]
        for file in files:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def _located(data: str, path: Path) -> Place:
    if data in named.NAMED:
        if path.exists():
            logger.info("'%s' is the data set of that name; './%s' is the one here.", data, data)
        return Place(data, {"train": named.find(data)})
    if not path.exists():
        if path.name == data and not path.suffix:
            named.find(data)  # raises, with the known names
        raise missing(path, "data file or directory")
    name = utf8_name(path.absolute().name)
    if not path.is_dir() or is_saved(path):
        return Place(name, {"train": path})
    return Place(name, _parts_of(path, data))


def _parts_of(directory: Path, data: str) -> dict[str, Path]:
    parts = {}
    entries = sorted(directory.iterdir())
    for part, stems in PARTS.items():
        found = [entry for entry in entries if entry.stem.lower() in stems and _is_data(entry)]
        if len(found) > 1:
            raise DataError(
                f"'{data}' holds more than one file for {part}: "
                f"{listed(entry.name for entry in found)}.",
                hint="Name the files with --train, --validation and --test.",
            )
        if found:
            parts[part] = found[0]
    if not parts:
        files = [str(entry) for entry in entries if _is_data(entry)]
        raise DataError(
            f"'{data}' holds no file called train, validation or test ({', '.join(SUFFIXES)}).",
            hint=f"Name the file: --data {files[0]}." if files else "",
        )
    return parts


def _is_data(entry: Path) -> bool:
    return is_saved(entry) or (entry.is_file() and entry.suffix.lower() in SUFFIXES)
