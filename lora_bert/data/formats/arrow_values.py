"""Arrow columns as strings: what parquet files and saved datasets have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lora_bert.errors import DataError
from lora_bert.wording import counted

BATCH_ROWS = 2_000
"""Rows that are made strings at once."""


def class_names(features: Any) -> dict[str, list[str]]:
    """The label names that a description of features (of Hugging Face datasets) declares.

    Those of a list's items count as the column's.
    """
    if not isinstance(features, dict):
        return {}
    declared = {column: _names_of(feature) for column, feature in features.items()}
    return {column: names for column, names in declared.items() if names}


def _names_of(feature: Any) -> list[str]:
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    if isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        feature = feature.get("feature")
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return []
    names: Any = feature.get("names")
    well_formed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if well_formed else []


def declared_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """The label names that the metadata of an Arrow schema declares."""
    written = (metadata or {}).get(b"huggingface")
    if not written:
        return {}
    try:
        description = json.loads(written)
    except (ValueError, RecursionError):
        return {}  # whoever wrote it, it is no description
    info = description.get("info") if isinstance(description, dict) else None
    return class_names(info.get("features") if isinstance(info, dict) else None)


def numbered_rows(
    batches: Iterable[tuple[Sequence[str], Sequence[Any]]],
    label_names: Mapping[str, Sequence[str]],
    source: str,
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The rows of batches of Arrow arrays as strings, numbered from 1.

    Args:
        batches: The names of the columns and their arrays.
        label_names: The names of labels for columns that hold their numbers.
        source: How to name the file in messages.
    """
    row = 0
    for names, arrays in batches:
        columns = [
            _strings(array, label_names.get(name), name, source)
            for name, array in zip(names, arrays, strict=True)
        ]
        for cells in zip(*columns, strict=True):
            row += 1
            yield row, cells


def _strings(array: Any, names: Sequence[str] | None, column: str, source: str) -> list[str]:
    """The values of one Arrow array; ``names`` are the labels that its integers stand for.

    Raises:
        DataError: An integer has no name, or bytes are not UTF-8.
    """
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if names and types.is_integer(kind):
        return [_name(number, names, column, source) for number in array.to_pylist()]
    if names and types.is_nested(kind):
        return [_names(value, names, column, source) for value in array.to_pylist()]
    if types.is_floating(kind):
        # numpy prints the shortest digits that say the number, also for single precision.
        values = zip(array.to_numpy(zero_copy_only=False), array.is_null().to_pylist(), strict=True)
        return ["" if null else str(value) for value, null in values]
    if types.is_boolean(kind):
        return ["" if value is None else str(value).lower() for value in array.to_pylist()]
    if types.is_nested(kind):
        return ["" if value is None else _json(value) for value in array.to_pylist()]
    try:
        return [value or "" for value in array.cast(pa.large_string()).to_pylist()]
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(
            f"'{source}': column '{column}' of type {kind} cannot be read as text ({error})."
        ) from None


def _name(number: int | None, names: Sequence[str], column: str, source: str) -> str:
    if number is None or number == -1:  # what datasets writes for "no label"
        return ""
    if not 0 <= number < len(names):
        raise DataError(
            f"'{source}': label {number} in column '{column}' has no name; "
            f"the file names {counted(len(names), 'label')}."
        )
    return names[number]


def _names(value: Any, names: Sequence[str], column: str, source: str) -> str:
    """A list of labels' numbers as the JSON text of their names."""
    if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
        return "" if value is None else _json(value)
    named = [_name(number, names, column, source) for number in value]
    return _json([name for name in named if name])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
