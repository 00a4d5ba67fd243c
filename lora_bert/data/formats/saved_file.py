"""Directories written by ``datasets.Dataset.save_to_disk``; positions are row numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_bert.data.formats.arrow_values import BATCH_ROWS, class_names, numbered_rows
from lora_bert.data.rows import OpenTable
from lora_bert.errors import DataError
from lora_bert.wording import reason


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
        raise DataError(f"'{source}' is not a readable saved dataset ({reason(error)}).") from None
    return OpenTable(tuple(dataset.column_names), rows_of(dataset, source), unit="row")


def rows_of(dataset: Any, source: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The rows of a ``datasets.Dataset``, numbered from 1; label ids come as their names."""
    columns = dataset.column_names
    batches = (
        (columns, [table.column(name).combine_chunks() for name in columns])
        for table in dataset.with_format("arrow").iter(batch_size=BATCH_ROWS)
    )
    return numbered_rows(batches, class_names(dataset.features.to_dict()), source)
