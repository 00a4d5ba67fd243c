"""One JSON document: a list of objects, an object that holds one such list, or JSON lines.

A document is read whole: for files larger than memory there is JSON lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_bert.data.formats import jsonl_file
from lora_bert.data.formats.json_values import DECODER, cell
from lora_bert.data.opening import open_text
from lora_bert.data.rows import Rows
from lora_bert.errors import DataError

_SPACE = re.compile(r"[ \t\n\r]*")
_HINT = 'Write a list of objects, [{"text": "…", "label": "…"}, …], or JSON lines.'


def read(path: Path, source: str, codec: str) -> Rows:
    """Open a JSON file; a key that an object does not have is an empty cell.

    Raises:
        DataError: It is not JSON, or holds no list of objects.
    """
    if _is_lines(path, codec):
        return jsonl_file.read(path, source, codec)
    with open_text(path, codec) as stream:
        text = stream.read()
    if not text.strip():
        raise DataError(f"'{source}' is empty.")
    document = _decoded(text, source)
    found = list(_items(text, _list_start(text, document, source), source))
    columns = tuple(dict.fromkeys(name for _, members in found for name in members))
    rows = ((line, [cell(members.get(name)) for name in columns]) for line, members in found)
    return Rows(columns, rows)


def _is_lines(path: Path, codec: str) -> bool:
    """Whether the first line is a whole object and another line follows."""
    with open_text(path, codec) as stream:
        lines = (line.strip() for line in stream)
        filled = (line for line in lines if line)
        first = next(filled, "")
        if not first.startswith("{") or not next(filled, ""):
            return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


def _decoded(text: str, source: str) -> Any:
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"'{source}', line {error.lineno:,}, column {error.colno:,}: not JSON ({error.msg})."
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{source}': {error}.") from None


def _list_start(text: str, document: Any, source: str) -> int:
    """Where, in ``text``, the one list of rows starts."""
    start = _skip(text, 0)
    if isinstance(document, list):
        return start
    if not isinstance(document, dict):
        raise DataError(f"'{source}' holds neither a list nor an object.", hint=_HINT)
    lists = [name for name, value in document.items() if _is_rows(value)]
    if len(lists) != 1:
        how_many = "several lists" if lists else "no list"
        raise DataError(f"'{source}' is an object with {how_many} of rows.", hint=_HINT)
    return _member(text, start + 1, lists[0])


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _member(text: str, at: int, wanted: str) -> int:
    """Where the value of ``wanted`` starts, in the object that opens before ``at``."""
    while True:
        name, at = DECODER.raw_decode(text, _skip(text, at))
        at = _skip(text, _skip(text, at) + 1)
        if name == wanted:
            return at
        _, at = DECODER.raw_decode(text, at)
        at = _skip(text, at) + 1


def _items(text: str, start: int, source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of the list that opens at ``start``, each with the line it starts on."""
    line, counted, at = 1, 0, _skip(text, start + 1)
    while text[at] != "]":
        line, counted = line + text.count("\n", counted, at), at
        item, end = DECODER.raw_decode(text, at)
        if not isinstance(item, dict):
            raise DataError(f"'{source}', line {line:,}: not a JSON object.", hint=_HINT)
        yield line, item
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
