"""Parquet files, and directories that ``datasets.Dataset.save_to_disk`` wrote; rows are counted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lora_bert.data.opening import to_seek_in
from lora_bert.data.rows import OpenTable
from lora_bert.errors import DataError
from lora_bert.wording import counted, reason

_BATCH_ROWS = 2_000
"""Rows that are made strings at once."""


def read_parquet(path: Path, source: str) -> OpenTable:
    """Open a parquet file; labels that it declares by name come as names.

    Raises:
        DataError: It is not parquet, or damaged.
    """
    from pyarrow import parquet

    with _sentences(source, "parquet file"):
        file = parquet.ParquetFile(to_seek_in(path))
        schema = file.schema_arrow
        columns = tuple(schema.names)
    names = _declared_names(schema.metadata)
    return OpenTable(columns, _numbered_rows(_batches(file, source), names, source), unit="row",
                     exact=True)  # fmt: skip


def _batches(file: Any, source: str) -> Iterator[Any]:
    with file, _sentences(source, "parquet file"):
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            yield batch.schema.names, batch.columns


@contextmanager
def _sentences(source: str, kind: str) -> Iterator[None]:
    """Say in words what pyarrow and datasets raise."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{source}' is not a readable {kind} ({reason(error)}).") from None


def is_saved(path: Path) -> bool:
    """Whether ``path`` is a saved dataset of one split."""
    return (path / "state.json").is_file()


def read_saved(path: Path, source: str) -> OpenTable:
    """Open a saved dataset; label ids come as their names.

    Raises:
        DataError: It is damaged.
    """
    import datasets

    with _sentences(source, "saved dataset"):
        dataset = datasets.load_from_disk(str(path))
    return OpenTable(tuple(dataset.column_names), rows_of(dataset, source), unit="row", exact=True)


def rows_of(dataset: Any, source: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The rows of a ``datasets.Dataset``, numbered from 1; label ids come as their names."""
    columns = dataset.column_names
    batches = (
        (columns, [table.column(name).combine_chunks() for name in columns])
        for table in dataset.with_format("arrow").iter(batch_size=_BATCH_ROWS)
    )
    return _numbered_rows(batches, _class_names(dataset.features.to_dict()), source)


def _class_names(features: Any) -> dict[str, list[str]]:
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


def _declared_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """The label names that the metadata of an Arrow schema declares."""
    try:
        description = json.loads((metadata or {}).get(b"huggingface") or b"{}")
    except (ValueError, RecursionError):
        return {}  # whoever wrote it, it is no description
    info = description.get("info") if isinstance(description, dict) else None
    return _class_names(info.get("features") if isinstance(info, dict) else None)


def _numbered_rows(
    batches: Iterable[tuple[Sequence[str], Sequence[Any]]],
    label_names: Mapping[str, Sequence[str]],
    source: str,
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The rows of batches (names of columns, Arrow arrays) as strings, labels' numbers as names."""
    columns = (
        [_strings(array, label_names.get(name), name, source)
         for name, array in zip(names, arrays, strict=True)]
        for names, arrays in batches
    )  # fmt: skip
    return enumerate((cells for piece in columns for cells in zip(*piece, strict=True)), start=1)


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
    if types.is_boolean(kind) or types.is_nested(kind):
        return [_json(value) for value in array.to_pylist()]
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
        return _json(value)
    named = [_name(number, names, column, source) for number in value]
    return _json([name for name in named if name])


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
