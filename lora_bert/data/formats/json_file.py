"""JSON lines, one object a line; and JSON documents: a list of objects, or as pandas writes tables.

A document is read whole: for files larger than memory there is JSON lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from lora_bert.data.columns import LABEL_NAMES, TEXT_NAMES
from lora_bert.data.formats import label_studio, squad
from lora_bert.data.formats.json_values import DECODER, cell, decoded, not_json
from lora_bert.data.header import column_names
from lora_bert.data.opening import open_text
from lora_bert.data.rows import HEAD_ROWS, OpenTable, ReadOptions
from lora_bert.errors import DataError
from lora_bert.wording import counted, listed, position, repeated, shortened

Members = Mapping[str, Any]
_KNOWN = frozenset((*TEXT_NAMES, *LABEL_NAMES))
_DEEPEST = 4
_HINT = 'Write a list of objects, [{"text": "…", "label": "…"}, …], or JSON lines.'


def read(path: Path, source: str, codec: str, options: ReadOptions) -> OpenTable:
    """Open a JSON document; a key that an object does not have is an empty cell.

    Raises:
        DataError: It is not JSON, or holds no table.
    """
    with open_text(path, codec) as stream:
        text = stream.read()
    if not text.strip():
        raise DataError(f"'{source}' is empty.")
    items = _objects_of(_document(text, source), source)
    if items and all(isinstance(item, list) for item in items):
        return _without_names(items, options, source)
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise DataError(f"{position(source, number, 'record')}: not a JSON object.", hint=_HINT)
    records = list(_flat(enumerate(items, start=1), source))
    if len(records) > len(items):  # questions, of which a record holds many
        records = [(number, members) for number, (_, members) in enumerate(records, start=1)]
    columns = tuple(dict.fromkeys(name for _, members in records for name in members))
    rows = ((number, [cell(members.get(name)) for name in columns]) for number, members in records)
    return OpenTable(columns, rows, unit="record", exact=True)


def read_lines(path: Path, source: str, codec: str) -> OpenTable:
    """Open a file of JSON lines; a key that a line does not have is an empty cell.

    The file is read twice, the first time for the keys, so that memory does not grow with it.
    """
    first = _flat(_by_line(path, source, codec), source, quiet=True)
    columns = tuple(dict.fromkeys(name for _, members in first for name in members))
    second = _flat(_by_line(path, source, codec), source)
    rows = ((line, [cell(members.get(name)) for name in columns]) for line, members in second)
    return OpenTable(columns, rows, exact=True)


def _flat(
    objects: Iterable[label_studio.Row], source: str, *, quiet: bool = False
) -> Iterator[label_studio.Row]:
    """Objects as flat rows, where programs nest them."""
    return squad.flat_rows(label_studio.flat_rows(objects, source, quiet=quiet), source)


def _by_line(path: Path, source: str, codec: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with open_text(path, codec) as stream:
        for line, text in enumerate(stream, start=1):
            if text.strip():
                yield line, _object(text.strip(), line, source)


def _object(text: str, line: int, source: str) -> dict[str, Any]:
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text[error.pos :].strip() == ",":
            return _object(text[: error.pos], line, source)
        raise not_json(source, line, text, error) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{source}', line {line:,}: {error}.") from None
    if not isinstance(value, dict):
        raise DataError(
            f"'{source}', line {line:,}: not a JSON object but '{shortened(text, 40)}'.",
            hint='Every line is one object, such as {"text": "…", "label": "…"}.',
        )
    return value


def _document(text: str, source: str) -> Any:
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
                hint=_HINT,
            )
        cells.append((number, [cell(value) for value in item]))
    if options.header is None and options.columns:
        options = replace(options, header=_is_header(items[0]))
    others = [row for _, row in islice(cells, 1, HEAD_ROWS)]
    columns, has_header = column_names(cells[0][1], others, options, source)
    return OpenTable(columns, iter(cells[has_header:]), unit="record", renamed=True)


def _objects_of(document: Any, source: str) -> list[Any]:
    """The rows of a document, objects or, of one without names, lists.

    Raises:
        DataError: It holds no rows, or several lists of them.
    """
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise DataError(f"'{source}' holds neither a list nor an object.", hint=_HINT)
    document = _unwrapped(document)
    rows = _split(document, source) or _of_server(document) or _lists(document)
    rows = rows or _objects(document)
    if rows is not None:
        return rows
    lists = {name: value for name, value in document.items() if _is_rows(value)}
    filled = [name for name, value in lists.items() if value]
    if len(filled) > 1:
        raise DataError(
            f"'{source}' is an object with several lists of rows, {listed(filled)}.",
            hint="Write each list into a file of its own, in one directory: "
            f"{', '.join(f'{name}.json' for name in filled[:3])}.",
        )
    if not lists:
        raise DataError(f"'{source}' is an object with no list of rows.", hint=_HINT)
    return list(lists[filled[0]]) if filled else []


def _is_header(cells: Iterable[Any]) -> bool:
    """Whether the first of rows without names holds usual names of columns."""
    return any(isinstance(name, str) and name.strip().lower() in _KNOWN for name in cells)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _unwrapped(document: Members) -> Members:
    """The object that holds the rows, where it is the only one in an object, and that in another.

    Rasa writes ``{"rasa_nlu_data": {"common_examples": [{…}, …]}}``.
    """
    for _ in range(_DEEPEST):
        inner = [value for value in document.values() if isinstance(value, dict)]
        if len(inner) != 1 or any(isinstance(value, list) for value in document.values()):
            return document
        if not any(_is_rows(value) or isinstance(value, dict) for value in inner[0].values()):
            return document
        if _is_header(document) or _is_header(inner[0]):
            return document
        document = inner[0]
    return document


def _of_server(document: Members) -> list[Any] | None:
    """``{"features": […], "rows": [{"row_idx": 0, "row": {…}}, …]}``, as the hub's server says."""
    rows = document.get("rows")
    if not isinstance(rows, list) or not rows:
        return None
    inner = [row.get("row") for row in rows if isinstance(row, dict)]
    return inner if len(inner) == len(rows) and _is_rows(inner) else None


def _split(document: Members, source: str) -> list[Any] | None:
    """``{"columns": ["text", …], "index": […], "data": [["…", …], …]}``."""
    names, rows = document.get("columns"), document.get("data")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return None
    if document.keys() - {"columns", "index", "data"} or {*map(len, rows)} - {len(names)}:
        return None
    if twice := repeated(names):
        raise DataError(f"'{source}' has more than one column of the same name: {listed(twice)}.")
    index = document.get("index")
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    return _with_index(objects, index if isinstance(index, list) else ())


def _lists(document: Members) -> list[Any] | None:
    """``{"text": ["…", …], "label": ["…", …]}``."""
    columns = list(document.values())
    if len(columns) < 2 or not all(isinstance(column, list) and column for column in columns):
        return None
    if len({len(column) for column in columns}) > 1 or all(map(_is_rows, columns)):
        return None
    return [dict(zip(document, row, strict=True)) for row in zip(*columns, strict=True)]


def _objects(document: Members) -> list[Any] | None:
    """``{"text": {"0": "…", …}, …}`` by columns, or ``{"0": {"text": "…", …}, …}`` by rows."""
    if not document or not all(isinstance(value, dict) and value for value in document.values()):
        return None
    inner = dict.fromkeys(name for value in document.values() for name in value)
    if _is_by_columns(document, inner):
        rows = [
            {name: column[at] for name, column in document.items() if at in column} for at in inner
        ]
        return _with_index(rows, list(inner))
    return _with_index(list(document.values()), list(document))


def _is_by_columns(outer: Members, inner: Members) -> bool:
    """Whether the outer keys are the columns: usual names, else not numbers, else the fewer."""
    if _is_header(outer) != _is_header(inner):
        return _is_header(outer)
    numbers = [all(name.isdecimal() for name in names) for names in (outer, inner)]
    if numbers[0] != numbers[1]:
        return numbers[1]
    return len(outer) <= len(inner)


def _with_index(rows: list[Any], index: Sequence[Any]) -> list[Any]:
    """The rows with a column ``index``, where that says more than their number."""
    if len(index) != len(rows) or any("index" in row for row in rows):
        return rows
    numbers = [str(number) for number in range(len(rows))]
    if [*map(str, index)] == numbers or any(isinstance(name, list | dict) for name in index):
        return rows
    return [{"index": name, **row} for name, row in zip(index, rows, strict=True)]
