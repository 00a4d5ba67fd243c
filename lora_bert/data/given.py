"""Rows that a Python program has in memory, as a table such as files give.

Lists of dicts or of pairs, columns by name, a DataFrame, a ``datasets.Dataset``: whatever it is, a
cell says the same as it would in a file. pandas and datasets are not imported for it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_bert.data.formats.arrow_file import rows_of
from lora_bert.data.formats.json_values import cell
from lora_bert.data.part_names import DATA_OPTIONS, JUDGED_FIRST, PARTS
from lora_bert.errors import DataError
from lora_bert.wording import listed, position, repeated

_NAMES = {2: ("text", "label"), 3: ("text", "text_pair", "label")}
"""What the values of a tuple are, by their number."""


class Given(str):
    """A name whose rows are in memory: it goes wherever the name of a file goes.

    Attributes:
        cells: Column -> one string for each row.
        parts: The same for each part, of rows that come divided; empty where they do not.
    """

    cells: dict[str, list[str]]
    parts: dict[str, Given]

    def __new__(
        cls, name: str, cells: Mapping[str, list[str]] = {}, parts: Mapping[str, Given] = {}
    ) -> Given:
        """A name with its rows, or with its parts."""
        made = super().__new__(cls, name)
        made.cells, made.parts = dict(cells), dict(parts)
        return made

    def __deepcopy__(self, _: Any) -> Given:
        return self

    @property
    def to_judge(self) -> Given:
        """The test rows of rows that come divided, else the validation rows, else all."""
        return next((self.parts[name] for name in JUDGED_FIRST if name in self.parts), self)

    def update(self, digest: Any) -> None:
        """Feed what stands in the cells to a hash."""
        for name, values in self.cells.items():
            digest.update(_measured(name))
            inner = hashlib.sha256()
            for value in values:
                inner.update(_measured(value))
            digest.update(inner.digest())


def with_given_rows(values: Mapping[str, Any]) -> dict[str, Any]:
    """A function's options, those that hold rows as :class:`Given`.

    Raises:
        DataError: What is given is neither the name of a file nor rows.
    """
    return {key: given_rows(value, key) if key in DATA_OPTIONS else value
            for key, value in values.items()}  # fmt: skip


def given_rows(value: Any, option: str) -> Any:
    """Rows as :class:`Given`; the name of a file, or a list of those, as it is.

    Args:
        value: A list of dicts, of ``(text, label)`` pairs, or of ``(text, second text, label)``
            triples; columns by name; a DataFrame; a
            ``datasets.Dataset``. For ``data`` also a mapping of ``train``, ``validation`` and
            ``test`` to any of them, such as a ``datasets.DatasetDict``.
        option: The option that it is given for, for messages.

    Raises:
        DataError: It is none of them, or holds something else than rows.
    """
    if value is None or isinstance(value, (str, Path)) or (isinstance(value, tuple) and not value):
        return value
    kind = type(value).__name__
    if isinstance(value, Mapping):
        if option == "data" and value and all(_part(name) for name in value):
            return _divided(value, kind)
        return _by_column(value, kind)
    if hasattr(value, "column_names") and hasattr(value, "with_format"):
        return _of_dataset(value, kind)
    if hasattr(value, "columns") and hasattr(value, "__getitem__"):
        return _of_frame(value, kind)
    if isinstance(value, (bytes, bytearray)) or not isinstance(value, Iterable):
        raise _no_rows(option, kind)
    items = list(value)
    if items and all(isinstance(item, (str, Path)) for item in items):
        return items
    return _of_list(items, kind, option)


def _no_rows(option: str, kind: str) -> DataError:
    return DataError(
        f"{option}: {kind} is neither the name of a file nor rows.",
        hint="Rows are a list of dicts or of (text, label) pairs, a DataFrame or a Dataset.",
    )


def _part(name: Any) -> str | None:
    lower = str(name).lower()
    return next((part for part, names in PARTS.items() if lower in names), None)


def _divided(value: Mapping[Any, Any], kind: str) -> Given:
    parts: dict[str, Given] = {}
    for name, value_of_part in value.items():
        part, rows = str(_part(name)), given_rows(value_of_part, str(name))
        if not isinstance(rows, Given):
            raise _no_rows(f"data['{name}']", type(value_of_part).__name__)
        if part in parts:
            raise DataError(f"'{kind}' holds more than one part for {part}: {listed(value)}.")
        parts[part] = Given(f"{kind}['{name}']", rows.cells)
    return Given(kind, parts=parts)


def _by_column(value: Mapping[Any, Any], kind: str) -> Given:
    columns = {}
    for name, cells in value.items():
        if isinstance(cells, (str, bytes)) or not isinstance(cells, Iterable):
            raise DataError(
                f"'{kind}': '{name}' is no column but {type(cells).__name__}.",
                hint="A mapping holds a list of values for each column; rows stand in a list.",
            )
        columns[name] = list(cells)
    return _table(kind, list(columns), list(columns.values()))


def _of_frame(frame: Any, kind: str) -> Given:
    names = list(frame.columns)
    if twice := repeated(list(map(str, names))):
        raise DataError(
            f"'{kind}' has more than one column of the same name: {listed(twice)}.",
            hint="Give every column a name of its own.",
        )
    return _table(kind, names, [list(frame[name]) for name in names])


def _of_dataset(dataset: Any, kind: str) -> Given:
    if dataset.column_names is None or not hasattr(dataset, "__len__"):
        return _of_list(list(dataset), kind, "data")  # streamed: nothing is known beforehand
    rows = [row for _, row in rows_of(dataset, kind)]
    return _table(kind, dataset.column_names, _turned(rows, len(dataset.column_names)))


def _of_list(rows: list[Any], kind: str, option: str) -> Given:
    if rows and all(isinstance(row, Mapping) for row in rows):
        names = list(dict.fromkeys(name for row in rows for name in row))
        return _table(kind, names, [[row.get(name) for row in rows] for name in names])
    first = rows[0] if rows else ()
    width = 3 if isinstance(first, (list, tuple)) and len(first) == 3 else 2
    what = "a (text, second text, label) triple" if width == 3 else "a (text, label) pair"
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, (list, tuple)) or len(row) != width:
            raise DataError(
                f"{option}: row {number:,} is neither a dict nor {what}.",
                hint='For example: [{"text": "…", "label": "…"}], or [("…", "…")].',
            )
    return _table(kind, _NAMES[width], _turned(rows, width))


def _turned(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """The columns of rows that are ``width`` cells wide."""
    return [[row[at] for row in rows] for at in range(width)]


def _table(kind: str, names: Sequence[Any], columns: Sequence[Sequence[Any]]) -> Given:
    if len({len(column) for column in columns}) > 1:
        sizes = ", ".join(f"'{name}' {len(cells):,}"
                          for name, cells in zip(names, columns, strict=True))  # fmt: skip
        raise DataError(f"'{kind}' has columns of different lengths: {sizes}.")
    cells = {str(name): _cells(kind, str(name), column)
             for name, column in zip(names, columns, strict=True)}  # fmt: skip
    if not any(cells.values()):
        raise DataError(f"'{kind}' holds no rows.")
    return Given(kind, cells)


def _cells(kind: str, name: str, column: Sequence[Any]) -> list[str]:
    cells: list[str] = []
    try:
        for value in column:
            cells.append(as_cell(value))
    except UnicodeDecodeError:
        row = position(kind, len(cells) + 1, "row")
        raise DataError(f"{row}: column '{name}' holds bytes that are no UTF-8.") from None
    return cells


def as_cell(value: Any) -> str:
    """A value as a file would have it: an absent one is empty, and none is absent by its spelling.

    Raises:
        UnicodeDecodeError: It is bytes that are no UTF-8.
    """
    if isinstance(value, str):
        return cell(str(value))
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # numpy's
        value = value.item()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else str(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8")
    try:
        return cell(value)
    except (TypeError, ValueError):  # such as a date
        return str(value)


def _measured(text: str) -> bytes:
    written = text.encode("utf-8", "surrogatepass")
    return f"{len(written)}:".encode() + written
