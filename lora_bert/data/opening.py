"""Opening a data file: the one place where its bytes come from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a data file, as a stream."""
    with path.open("rb") as stream:
        yield stream


@contextmanager
def open_text(path: Path, codec: str, *, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file behind its byte order mark, if it has one; ``newline`` as in ``open``."""
    with open_bytes(path) as data, io.TextIOWrapper(data, codec, newline=newline) as stream:
        if stream.read(1) != "\ufeff":
            stream.seek(0)
        yield stream
