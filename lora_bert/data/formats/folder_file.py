"""Directories of text files, one text each: a directory for each class, as IMDB has it, or none.

The columns are ``file``, ``label`` (the directory's name) and ``text``.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from lora_bert.data.encoding import detect
from lora_bert.data.legacy import decoded
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
    if not path.is_dir():
        return False
    if any(entry.name.lower().endswith(_TABLES) and entry.is_file() for entry in _entries(path)):
        return False
    labelled = len(_labelled(path))
    return labelled >= least if labelled else not least and _has_text(path)


def classes(path: Path) -> list[Path]:
    """The directories in ``path`` that hold text files, in order; each is a class."""
    folders = _in_order(entry for entry in _entries(path) if entry.is_dir())
    return [*filter(_has_text, folders)]


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
    codec = "" if encoding == "auto" else detect(files[0], str(files[0]), encoding)
    rows = _rows(path, files, codec, labelled=bool(folders))
    columns = ("file", "label", "text") if folders else ("file", "text")
    positions = Files([(at, str(file), "file") for at, file in enumerate(files)])
    return OpenTable(columns, rows, unit="file", files=positions)


def _rows(
    path: Path, files: list[Path], codec: str, *, labelled: bool
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The rows; without ``codec`` files are UTF-8, or else in one that is detected for all."""
    is_auto = not codec
    for number, file in enumerate(files, start=1):
        content = file.read_bytes()
        text = _utf8(content) if is_auto else None
        if text is None:
            codec = codec or _detected(files)
            try:
                text = content.decode(codec)
            except UnicodeDecodeError as error:
                raise DataError(
                    f"'{file}' is not {codec}: byte {error.start:,} cannot be decoded.",
                    hint="Name the encoding of the files with --encoding.",
                ) from None
        name = utf8_name(file.relative_to(path).as_posix())
        label = (utf8_name(file.parent.name),) if labelled else ()
        yield number, (name, *label, text)


def _detected(files: list[Path]) -> str:
    """The encoding of those of the files that are not UTF-8."""
    first = ""
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder, "sample.txt")
        with sample.open("wb") as stream:
            for file in files:
                content = file.read_bytes()
                if _utf8(content) is None:
                    first = first or str(file)
                    stream.write(content)
                if stream.tell() > _SAMPLE:
                    break
        return detect(sample, first)


def _utf8(content: bytes) -> str | None:
    """The text, or None where it is none or in another encoding (UTF-16 is full of NULs)."""
    return None if b"\0" in content else decoded(content)


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
    return _in_order(entry for entry in _entries(folder) if _is_text(entry))


def _has_text(folder: Path) -> bool:
    return any(_is_text(entry) for entry in _entries(folder))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _is_text(entry: os.DirEntry[str]) -> bool:
    # The 20 newsgroups' files are called by numbers alone.
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - many, and Path is slow
    return (suffix in _TEXTS or entry.name.isdigit()) and entry.is_file()


def _in_order(entries: Iterable[os.DirEntry[str]]) -> list[Path]:
    return [Path(entry.path) for entry in sorted(entries, key=lambda entry: by_number(entry.name))]
