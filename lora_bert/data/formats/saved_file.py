"""Directories written by ``datasets.Dataset.save_to_disk``; positions are row numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_bert.data.formats.arrow_values import class_names, strings
from lora_bert.data.rows import OpenTable
from lora_bert.errors import DataError

_BATCH = 2_000


def is_saved(path: Path) -> bool:
    """Whether ``path`` is such a directory of one split."""
    return (path / "state.json").is_file()


def read(path: Path, source: str) -> OpenTable:
    """Open a saved dataset; label ids come as their names.

    Raises:
        DataError: It is damaged.
    """
    import datasets

    try:
        dataset = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise DataError(f"'{source}' is not a readable saved dataset ({reason}).") from None
    return OpenTable(tuple(dataset.column_names), rows_of(dataset, source), unit="row")


def rows_of(dataset: Any, source: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The rows of a ``datasets.Dataset``, numbered from 1; label ids come as their names."""
    names = class_names(dataset.features.to_dict())
    row = 0
    for table in dataset.with_format("arrow").iter(batch_size=_BATCH):
        columns = [
            strings(table.column(name).combine_chunks(), names.get(name), name, source)
            for name in dataset.column_names
        ]
        for cells in zip(*columns, strict=True):
            row += 1
            yield row, cells
