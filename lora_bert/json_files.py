"""The JSON files of models and adapters, whoever wrote them; and files that were not fetched."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from lora_bert.errors import LoraBertError

LARGEST = 64_000_000
"""Bytes. Tokenizers are the largest: that of 250,000 pieces has 17 MB."""

_POINTER = b"version https://git-lfs.github.com/spec/"


def json_text(value: Any) -> str:
    """``value`` as indented JSON that UTF-8 can hold: half an emoji becomes its escape."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=plain)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value: Any) -> Any:
    """What JSON has for a number or an array of numpy.

    Raises:
        TypeError: It is neither.
    """
    if not hasattr(value, "tolist"):
        raise TypeError(f"{type(value).__name__} is no JSON value")
    return value.tolist()


def read_object(path: Path, error: type[LoraBertError]) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        error: It is missing, not readable, too large, nested too deeply, not JSON, or no object.
    """
    written = read_json(path, error)
    if not isinstance(written, dict):
        raise error(f"'{path}' does not hold a JSON object.")
    return written


def read_own(path: Path) -> dict[str, Any]:
    """The JSON object in a file that we can do without; an empty one where it cannot be read."""
    try:
        return read_object(path, LoraBertError)
    except LoraBertError:
        return {}


def read_json(path: Path, error: type[LoraBertError]) -> Any:
    """What a JSON file says.

    Raises:
        error: As :func:`read_object`, but for what it holds.
    """
    text = read_text(path, error)
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise error(f"'{path}' is not valid JSON: {problem}.") from problem
    except ValueError as problem:
        raise error(f"'{path}' holds a number with more digits than are read.") from problem
    except RecursionError:
        raise error(f"'{path}' is nested too deeply.") from None


def read_text(path: Path, error: type[LoraBertError]) -> str:
    """The text of a file that is to be JSON, without a byte order mark.

    Raises:
        error: As :func:`read_bytes`, or it is not UTF-8.
    """
    try:
        return read_bytes(path, error).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"'{path}' is not valid JSON: {problem}.") from problem


def read_bytes(path: Path, error: type[LoraBertError]) -> bytes:
    """What a file of at most :data:`LARGEST` bytes holds.

    Raises:
        error: It is missing, not readable, or too large.
    """
    check_fetched(path, error)
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise error(f"'{path}' has {size / 1e6:,.0f} MB; more than 64 are not read.")
        return path.read_bytes()
    except OSError as problem:
        raise error(f"'{path}' cannot be read: {problem.strerror or problem}.") from problem


def check_fetched(path: Path, error: type[LoraBertError]) -> None:
    """Check that a file is not what Git leaves in place of a large one that it has not fetched.

    Raises:
        error: It is a pointer of Git LFS.
    """
    with suppress(OSError), path.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise error(
                f"'{path}' is a pointer of Git LFS, not the file itself.",
                hint="Fetch the file: git lfs pull, where it was cloned.",
            )
