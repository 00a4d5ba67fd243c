"""Opening a data file: the one place where its bytes come from, unpacked where they are packed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, TextIO, cast

from lora_bert.data.zstd_frames import check_whole
from lora_bert.errors import ConfigError, DataError
from lora_bert.wording import amount, listed, reason

PACKINGS = {".gz": "gzip", ".zst": "zstd", ".zip": "zip", ".bz2": "bzip2", ".xz": "xz"}
"""Endings of packed files and the programs that pack them."""
WORKBOOKS = (".xlsx", ".xlsm")
"""Zip archives that are one document."""

TEXT_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
"""The endings of text files that can be read, and the formats they stand for."""
TAGGED = (".conll", ".bio", ".iob", ".iob2", ".bioes", ".bmes")
"""The endings of files of tagged words."""
SHEETS = (*WORKBOOKS, ".xls")
"""The endings of Excel's files."""
SUFFIXES = (*TEXT_FORMATS, ".parquet", *SHEETS, *TAGGED)
"""The endings of all files that can be read."""

_MAGIC = {
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
}
_ARCHIVES = (".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar")
_TAR = slice(257, 262)  # where a tar archive says "ustar"
_PADDING = ("__macosx", "thumbs.db", "desktop.ini")
_BLOCK = 1 << 16
_LIMIT = 16.0
_SUSPICIOUS, _RATIO = 100_000_000, 200
"""A file of more than so many bytes that is unpacked to so many times its size is a bomb."""


@dataclass(frozen=True)
class Packed:
    """How a file is packed: a value of :data:`PACKINGS`, and the file that a zip holds."""

    kind: str
    member: str = ""


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a data file as a stream, unpacked (gzip, zstd, zip of one file, bzip2, xz).

    Raises:
        DataError: While it is read: the packed file is damaged, holds several files, or more than
            ``$LORA_BERT_UNPACK_LIMIT`` gigabytes (default: 16).
    """
    packed = packing(path)
    if packed is None:
        with path.open("rb") as stream:
            yield stream
        return
    with _Unpacked(path, packed) as raw, io.BufferedReader(raw, _BLOCK) as buffered:
        # It reads, seeks to the start and closes, which is all that readers do.
        yield cast(BinaryIO, buffered)


@contextmanager
def open_text(path: Path, codec: str, *, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file behind its byte order mark, if it has one; ``newline`` as in ``open``."""
    with open_bytes(path) as data, io.TextIOWrapper(data, codec, newline=newline) as stream:
        if stream.read(1) != "\ufeff":
            stream.seek(0)
        yield stream


def to_seek_in(path: Path) -> Path | BinaryIO:
    """A data file for readers that jump about in it; a packed one is unpacked on the disk first."""
    if packing(path) is None:
        return path
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever reads
    with open_bytes(path) as stream:
        shutil.copyfileobj(stream, spool, _BLOCK)
    spool.seek(0)
    return cast(BinaryIO, spool)


def packing(path: Path) -> Packed | None:
    """How a file is packed, by its first bytes; None where it is not.

    Raises:
        DataError: It is a zip archive that holds no file, several, or an encrypted one.
    """
    with path.open("rb") as stream:
        kind = _kind(stream.read(16))
    if kind != "zip":
        return Packed(kind) if kind else None
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        if path.suffix.lower() != ".zip":
            return None  # it only begins like one
        raise _damaged(path, "zip", error) from None
    if any(entry.filename in ("[Content_Types].xml", "mimetype") for entry in entries):
        return None  # an office document
    return Packed("zip", _only(entries, path).filename)


def data_suffix(path: Path) -> str:
    """The ending that names a file's format, in lower case: of the file within, if it is packed.

    Raises:
        DataError: As :func:`packing`, or it is another kind of archive.
    """
    packed = packing(path)
    name = PurePath((packed and packed.member) or path.name)
    suffix = _without_packing(name).suffix.lower()
    if suffix in _ARCHIVES:
        raise _archive(path)
    return suffix


def data_stem(name: str) -> str:
    """A file's name without the endings that name its format and its packing."""
    return _without_packing(PurePath(name)).stem


def _without_packing(name: PurePath) -> PurePath:
    return name.with_suffix("") if name.suffix.lower() in PACKINGS else name


class _Unpacked(io.RawIOBase):
    """The bytes within a packed file; can only go back to the start."""

    def __init__(self, path: Path, packed: Packed) -> None:
        self._path, self._packed = path, packed
        self._most = _limit()
        self._start()

    def _start(self) -> None:
        self._done = 0
        with self._sentences():
            self._stream = _opened(self._path, self._packed)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._done

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset or whence:
            raise io.UnsupportedOperation("a packed file is read from its start")
        self._stream.close()
        self._start()
        return 0

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        with self._sentences():
            block = self._stream.read(len(buffer))
        if not self._done:
            self._refuse_archives(block)
        self._done += len(block)
        self._refuse_bombs()
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """Say in words what the unpacking libraries raise."""
        try:
            yield
        except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError, RuntimeError,
                zipfile.BadZipFile) as error:  # fmt: skip
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise _damaged(self._path, self._packed.kind, error) from None

    def _refuse_archives(self, block: bytes) -> None:
        if block[_TAR] == b"ustar":
            raise _archive(self._path)
        suffix = PurePath(self._packed.member or self._path.stem).suffix.lower()
        if _kind(block) and suffix not in WORKBOOKS:
            raise DataError(
                f"'{self._path}' is packed twice: what it holds is packed too.",
                hint="Unpack it, and name the file within.",
            )

    def _refuse_bombs(self) -> None:
        size = self._path.stat().st_size if self._done > _SUSPICIOUS else 0
        swollen = size and "LORA_BERT_UNPACK_LIMIT" not in os.environ and self._done > _RATIO * size
        if self._done > self._most or swollen:
            most = _RATIO * size if swollen else self._most
            raise DataError(
                f"'{self._path}' holds more than {amount(int(most))} when it is unpacked.",
                hint="If that is meant, raise $LORA_BERT_UNPACK_LIMIT (gigabytes), or unpack it.",
            )


def _opened(path: Path, packed: Packed) -> BinaryIO:
    if packed.kind == "zstd":
        import pyarrow as pa

        check_whole(path)
        return cast(BinaryIO, pa.input_stream(str(path), compression="zstd"))
    if packed.kind == "zip":
        return cast(BinaryIO, zipfile.ZipFile(path).open(packed.member))
    library = {"gzip": gzip, "bzip2": bz2, "xz": lzma}[packed.kind]
    return cast(BinaryIO, library.open(path))


def _kind(head: bytes) -> str:
    for magic, kind in _MAGIC.items():
        if head.startswith(magic) and (kind != "bzip2" or head[4:10] == b"1AY&SY"):
            return kind
    return ""


def _only(entries: list[zipfile.ZipInfo], path: Path) -> zipfile.ZipInfo:
    """The one file of an archive, not counting what file managers add."""
    named = [entry for entry in entries if entry.filename]  # without a name is_dir() stumbles
    files = [entry for entry in named if not entry.is_dir() and not _is_padding(entry.filename)]
    if not files:
        raise DataError(f"'{path}' holds no file.")
    if len(files) > 1:
        raise DataError(
            f"'{path}' holds several files: {listed(entry.filename for entry in files)}.",
            hint="Unpack it, and name the file that is meant.",
        )
    if files[0].flag_bits & 1:
        raise DataError(
            f"'{path}' is encrypted.", hint="Unpack it with its password, and name the file within."
        )
    return files[0]


def _is_padding(name: str) -> bool:
    return any(part.lower() in _PADDING or part.startswith(".") for part in PurePath(name).parts)


def _limit() -> float:
    """The most bytes that a packed file may hold."""
    written = os.environ.get("LORA_BERT_UNPACK_LIMIT", "").strip()
    try:
        limit = float(written or _LIMIT)
    except ValueError:
        limit = math.nan
    if not limit >= 0:
        raise ConfigError(
            f"$LORA_BERT_UNPACK_LIMIT: '{written}' is not a number of gigabytes.",
            hint="For example: LORA_BERT_UNPACK_LIMIT=50",
        )
    return limit * 1e9


def _archive(path: Path) -> DataError:
    return DataError(
        f"'{path}' is an archive of several files.",
        hint="Unpack it, and name the file that is meant.",
    )


def _damaged(path: Path, kind: str, error: Exception) -> DataError:
    cause = reason(error) or type(error).__name__
    return DataError(f"'{path}' cannot be unpacked ({kind}: {cause}).")
