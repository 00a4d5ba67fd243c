"""Arrays that lie in files while they are used, so that memory does not grow with them.

The files have no name, or lose it when they are closed: nothing is left behind, whatever happens.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike

from lora_bert.errors import OutputError
from lora_bert.files import cache_dir

_IN_MEMORY = 1 << 20
"""Bytes up to which an array is not worth a file."""
_PIECE = 1 << 16


class GrowingArray:
    """A flat array that is written piece by piece, into a file once it is large.

    Raises:
        OutputError: While it is written: there is no room on the disk, or no place to write to.
    """

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype, self.size = np.dtype(dtype), 0
        self._pieces: list[np.ndarray] = []
        self._file: IO[bytes] | None = None

    def add(self, piece: np.ndarray) -> None:
        """Put numbers behind those that are there."""
        self.size += len(piece)
        self._pieces.append(np.ascontiguousarray(piece, self.dtype))
        if self._file is None and self.size * self.dtype.itemsize <= _IN_MEMORY:
            return
        try:
            self._file = self._file or _nameless_file()
            for waiting in self._pieces:
                self._file.write(waiting.data)
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from error
        self._pieces.clear()

    def whole(self) -> np.ndarray:
        """All of it; changes of a mapped one stay in this process."""
        if self._file is None:
            return np.concatenate([np.empty(0, self.dtype), *self._pieces])
        return np.memmap(self._file, self.dtype, mode="c", shape=self.size).view(np.ndarray)


class ArrayFile:
    """Arrays in a file, each of which is read where it is needed; by any number of threads.

    Raises:
        OutputError: While one is written: there is no room on the disk, or no place to write to.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def add(self, array: np.ndarray) -> int:
        """Write the bytes of an array; where they begin."""
        try:
            with self._lock:
                self._file = self._file or _nameless_file()
                begin = self._file.seek(0, os.SEEK_END)
                self._file.write(np.ascontiguousarray(array).view(np.uint8).data)
                self._file.flush()
        except OSError as error:
            raise _no_room(error) from error
        return begin

    def read(self, begin: int, size: int) -> np.ndarray:
        """The ``size`` bytes that begin there, uint8."""
        assert self._file is not None
        with self._lock:
            self._file.seek(begin)
            return np.fromfile(self._file, np.uint8, size)


def mapped(array: np.ndarray) -> np.ndarray:
    """The same array; a large one of numbers as a file that is read where and when it is needed.

    Raises:
        OutputError: There is no room on the disk, or no place to write to.
    """
    if array.nbytes <= _IN_MEMORY or array.dtype.hasobject:
        return array
    growing = GrowingArray(array.dtype)
    growing.add(array.reshape(-1))
    return growing.whole().reshape(array.shape)


def pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array piece by piece, for what would make another one as large."""
    return (array[at : at + _PIECE] for at in range(0, len(array), _PIECE))


def _nameless_file() -> IO[Any]:
    """A file in the cache directory, else where the system has such: that may be memory."""
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=cache_dir())
    except OSError:
        return tempfile.TemporaryFile()


def _no_room(error: OSError) -> OutputError:
    return OutputError(
        f"Many rows are kept on the disk, and '{Path(cache_dir())}' takes no more: "
        f"{error.strerror or error}.",
        hint="Make room there, or name another directory with $LORA_BERT_CACHE.",
    )
