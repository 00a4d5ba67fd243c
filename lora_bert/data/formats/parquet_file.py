"""Parquet files; positions are row numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lora_bert.data.formats.arrow_values import BATCH_ROWS, declared_names, numbered_rows
from lora_bert.data.opening import to_seek_in
from lora_bert.data.rows import OpenTable
from lora_bert.errors import DataError
from lora_bert.wording import reason


def read(path: Path, source: str) -> OpenTable:
    """Open a parquet file; labels that it declares by name come as names.

    Raises:
        DataError: It is not parquet, or damaged.
    """
    from pyarrow import parquet

    with _sentences(source):
        file = parquet.ParquetFile(to_seek_in(path))
        schema = file.schema_arrow
        columns = tuple(schema.names)
    names = declared_names(schema.metadata)
    return OpenTable(columns, numbered_rows(_batches(file, source), names, source), unit="row")


def _batches(file: Any, source: str) -> Iterator[Any]:
    with file, _sentences(source):
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            yield batch.schema.names, batch.columns


@contextmanager
def _sentences(source: str) -> Iterator[None]:
    """Say in words what pyarrow raises."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{source}' is not a readable parquet file ({reason(error)}).") from None
