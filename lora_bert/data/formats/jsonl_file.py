"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_bert.data.formats import label_studio
from lora_bert.data.formats.json_values import DECODER, cell, not_json
from lora_bert.data.opening import open_text
from lora_bert.data.rows import OpenTable
from lora_bert.errors import DataError
from lora_bert.wording import shortened


def read(path: Path, source: str, codec: str) -> OpenTable:
    """Open a file of JSON lines; a key that a line does not have is an empty cell.

    The file is read twice, the first time for the keys, so that memory does not grow with it.
    """
    first = label_studio.flat_rows(_objects(path, source, codec), source, quiet=True)
    columns = tuple(dict.fromkeys(name for _, members in first for name in members))
    second = label_studio.flat_rows(_objects(path, source, codec), source)
    rows = ((line, [cell(members.get(name)) for name in columns]) for line, members in second)
    return OpenTable(columns, rows)


def _objects(path: Path, source: str, codec: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with open_text(path, codec) as stream:
        for line, text in enumerate(stream, start=1):
            if text.strip():
                yield line, _decoded(text.strip(), line, source)


def _decoded(text: str, line: int, source: str) -> dict[str, Any]:
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text[error.pos :].strip() == ",":
            return _decoded(text[: error.pos], line, source)
        raise not_json(source, line, text, error) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{source}', line {line:,}: {error}.") from None
    if not isinstance(value, dict):
        raise DataError(
            f"'{source}', line {line:,}: not a JSON object but '{shortened(text, 40)}'.",
            hint='Every line is one object, such as {"text": "…", "label": "…"}.',
        )
    return value
