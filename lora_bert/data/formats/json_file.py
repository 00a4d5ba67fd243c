"""One JSON document: a list of objects, or one of the other shapes of :mod:`.json_tables`.

A document is read whole: for files larger than memory there is JSON lines.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from lora_bert.data.formats import label_studio
from lora_bert.data.formats.json_tables import HINT, is_header, objects_of
from lora_bert.data.formats.json_values import cell, decoded, not_json
from lora_bert.data.header import column_names
from lora_bert.data.opening import open_text
from lora_bert.data.rows import HEAD_ROWS, OpenTable, ReadOptions
from lora_bert.errors import DataError
from lora_bert.wording import counted, position


def read(path: Path, source: str, codec: str, options: ReadOptions) -> OpenTable:
    """Open a JSON file; a key that an object does not have is an empty cell.

    Raises:
        DataError: It is not JSON, or holds no table.
    """
    with open_text(path, codec) as stream:
        text = stream.read()
    if not text.strip():
        raise DataError(f"'{source}' is empty.")
    items = objects_of(_decoded(text, source), source)
    if items and all(isinstance(item, list) for item in items):
        return _without_names(items, options, source)
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise DataError(f"{position(source, number, 'record')}: not a JSON object.", hint=HINT)
    records = list(label_studio.flat_rows(enumerate(items, start=1), source))
    columns = tuple(dict.fromkeys(name for _, members in records for name in members))
    rows = ((number, [cell(members.get(name)) for name in columns]) for number, members in records)
    return OpenTable(columns, rows, unit="record")


def _decoded(text: str, source: str) -> Any:
    try:
        return decoded(text)
    except json.JSONDecodeError as error:
        raise not_json(source, error.lineno, text, error) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{source}': {error}.") from None


def _without_names(items: Sequence[list[Any]], options: ReadOptions, source: str) -> OpenTable:
    """A table of lists: its columns are named as those of a csv file without header are."""
    width = len(items[0])
    cells: list[tuple[int, list[str]]] = []
    for number, item in enumerate(items, start=1):
        if len(item) != width:
            raise DataError(
                f"{position(source, number, 'record')}: {counted(len(item), 'value')} where the "
                f"first record has {width:,}.",
                hint=HINT,
            )
        cells.append((number, [cell(value) for value in item]))
    if options.header is None and options.columns:
        options = replace(options, header=is_header(items[0]))
    others = [row for _, row in islice(cells, 1, HEAD_ROWS)]
    columns, has_header = column_names(cells[0][1], others, options, source)
    return OpenTable(columns, iter(cells[has_header:]), unit="record", renamed=True)
