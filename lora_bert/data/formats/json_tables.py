"""The shapes in which a JSON document holds a table, those of pandas' ``to_json`` among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lora_bert.data.columns import LABEL_NAMES, TEXT_NAMES
from lora_bert.errors import DataError
from lora_bert.wording import listed, repeated

Members = Mapping[str, Any]
_KNOWN = frozenset((*TEXT_NAMES, *LABEL_NAMES))
_DEEPEST = 4
HINT = 'Write a list of objects, [{"text": "…", "label": "…"}, …], or JSON lines.'


def objects_of(document: Any, source: str) -> list[Any]:
    """The rows of a document, objects or, of one without names, lists.

    Raises:
        DataError: It holds no rows, or several lists of them.
    """
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise DataError(f"'{source}' holds neither a list nor an object.", hint=HINT)
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
        raise DataError(f"'{source}' is an object with no list of rows.", hint=HINT)
    return list(lists[filled[0]]) if filled else []


def is_header(cells: Iterable[Any]) -> bool:
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
        if is_header(document) or is_header(inner[0]):
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
    if document.keys() - {"columns", "index", "data"}:
        return None
    if any(len(row) != len(names) for row in rows):
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
    if is_header(outer) != is_header(inner):
        return is_header(outer)
    numbers = [all(name.isdecimal() for name in names) for names in (outer, inner)]
    if numbers[0] != numbers[1]:
        return numbers[1]
    return len(outer) <= len(inner)


def _with_index(rows: list[Any], index: Sequence[Any]) -> list[Any]:
    """The rows with a column ``index``, where that says more than their number."""
    if len(index) != len(rows) or any("index" in row for row in rows):
        return rows
    if [str(name) for name in index] == [str(number) for number in range(len(rows))]:
        return rows
    if any(isinstance(name, list | dict) for name in index):
        return rows
    return [{"index": name, **row} for name, row in zip(index, rows, strict=True)]
