"""Parquet files; positions are row numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_bert.data.formats.arrow_values import declared_names, strings
from lora_bert.data.opening import to_seek_in
from lora_bert.data.rows import OpenTable
from lora_bert.errors import DataError

_BATCH = 2_000


def read(path: Path, source: str) -> OpenTable:
    """Open a parquet file; labels that it declares by name come as names.

    Raises:
        DataError: It is not parquet, or damaged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(to_seek_in(path))
        names = tuple(file.schema_arrow.names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(source, error) from None
    return OpenTable(names, _rows(file, source), unit="row")


def _rows(file: Any, source: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    import pyarrow as pa

    names = declared_names(file.schema_arrow.metadata)
    row = 0
    with file:
        batches = file.iter_batches(batch_size=_BATCH)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise _damaged(source, error) from None
            columns = [
                strings(array, names.get(name), name, source)
                for name, array in zip(batch.schema.names, batch.columns, strict=True)
            ]
            for cells in zip(*columns, strict=True):
                row += 1
                yield row, cells


def _damaged(source: str, error: Exception) -> DataError:
    reason = (str(error).splitlines() or [""])[0].rstrip(".")
    return DataError(f"'{source}' is not a readable parquet file ({reason}).")
