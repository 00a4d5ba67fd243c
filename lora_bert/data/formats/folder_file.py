"""Directories of text files, one text each: a directory for each class, as IMDB has it, or none.

The columns are ``file``, ``label`` (the directory's name) and ``text``.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lora_bert.data.encoding import detect
from lora_bert.data.opening import PACKINGS, SUFFIXES
from lora_bert.data.rows import Files, OpenTable
from lora_bert.errors import DataError
from lora_bert.wording import by_number, counted, listed, utf8_name

logger = logging.getLogger(__name__)

UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
"""Directories of texts that have no label."""

_TEXTS = (".txt", ".text")
_TABLES = tuple({*SUFFIXES, *PACKINGS} - {".txt"})
_SAMPLE = 1 << 20
"""Bytes by which the encoding of files that are not UTF-8 is judged."""


def is_folder(path: Path, *, least: int = 0) -> bool:
    """Whether ``path`` holds directories of text files, ``least`` of them, or only text files."""
    if not path.is_dir() or any(_is_table(entry) for entry in _entries(path)):
        return False
    labelled = len(_labelled(path))
    return labelled >= least if labelled else not least and _has_text(path)


def classes(path: Path) -> list[Path]:
    """The directories in ``path`` that hold text files, in order; each is a class."""
    folders = (Path(entry.path) for entry in _entries(path) if entry.is_dir())
    return sorted(filter(_has_text, folders), key=_key)


def text_files(path: Path) -> list[Path]:
    """The files that :func:`read` reads, in order."""
    return [file for folder in _labelled(path) or [path] for file in _texts(folder)]


def read(path: Path, source: str, encoding: str = "auto") -> OpenTable:
    """Open such a directory; the rows are in the order of class and file name.

    Raises:
        DataError: A file is not text; while rows are read: one cannot be decoded.
    """
    folders = _labelled(path)
    files = text_files(path)
    if not files:
        raise DataError(f"'{source}' holds no texts with a label.")
    _say_left_out(path, source, folders)
    decode = _Decoder(files, encoding)
    rows = (
        (number, _cells(path, file, decode(file), labelled=bool(folders)))
        for number, file in enumerate(files, start=1)
    )
    columns = ("file", "label", "text") if folders else ("file", "text")
    positions = Files([*range(len(files))], [*map(str, files)], ["file"] * len(files))
    return OpenTable(columns, rows, unit="file", files=positions)


class _Decoder:
    """Reads files as UTF-8; those that are not, in one encoding that is detected for all."""

    def __init__(self, files: list[Path], encoding: str) -> None:
        self._files, self._encoding = files, encoding
        self._codec = "" if encoding == "auto" else detect(files[0], str(files[0]), encoding)

    def __call__(self, file: Path) -> str:
        content = file.read_bytes()
        if self._encoding == "auto" and (text := _utf8(content)) is not None:
            return text
        self._codec = self._codec or self._detected()
        try:
            return content.decode(self._codec)
        except UnicodeDecodeError as error:
            raise DataError(
                f"'{file}' is not {self._codec}: byte {error.start:,} cannot be decoded.",
                hint="Name the encoding of the files with --encoding.",
            ) from None

    def _detected(self) -> str:
        first = ""
        with tempfile.TemporaryDirectory() as folder:
            sample = Path(folder, "sample.txt")
            with sample.open("wb") as stream:
                for file in self._files:
                    content = file.read_bytes()
                    if _utf8(content) is None:
                        first = first or str(file)
                        stream.write(content)
                    if stream.tell() > _SAMPLE:
                        break
            return detect(sample, first)


def _utf8(content: bytes) -> str | None:
    """The text, or None where it is none or in another encoding (UTF-16 is full of NULs)."""
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _cells(path: Path, file: Path, text: str, *, labelled: bool) -> tuple[str, ...]:
    name = utf8_name(file.relative_to(path).as_posix())
    return (name, utf8_name(file.parent.name), text) if labelled else (name, text)


def _labelled(path: Path) -> list[Path]:
    return [folder for folder in classes(path) if folder.name.lower() not in UNLABELLED]


def _say_left_out(path: Path, source: str, folders: list[Path]) -> None:
    for folder in classes(path):
        if folder not in folders:
            texts = counted(len(_texts(folder)), "text")
            logger.warning("'%s' holds %s without a label: left out.", folder, texts)
    others = [
        entry.name
        for folder in [*folders, path]
        for entry in _entries(folder)
        if not _is_text(entry) and not (folder == path and entry.is_dir())
    ]
    if folders:
        others += [file.name for file in _texts(path)]
    if others:
        files = counted(len(others), "file")
        logger.info("Left out %s of '%s' that is no text: %s.", files, source, listed(others, 3))


def _texts(folder: Path) -> list[Path]:
    return sorted((Path(entry.path) for entry in _entries(folder) if _is_text(entry)), key=_key)


def _has_text(folder: Path) -> bool:
    return any(_is_text(entry) for entry in _entries(folder))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _is_text(entry: os.DirEntry[str]) -> bool:
    # The 20 newsgroups' files are called by numbers alone.
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - many, and Path is slow
    return (suffix in _TEXTS or entry.name.isdigit()) and entry.is_file()


def _is_table(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith(_TABLES) and entry.is_file()


def _key(path: Path) -> list[str | int]:
    return by_number(path.name)
