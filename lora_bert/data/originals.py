"""A file's rows in their own types, for those who write them back unchanged.

:func:`~lora_bert.data.tables.iter_tables` makes every value a string; these run in step with it
over the formats that know more types. It has checked each piece before it is asked for here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lora_bert.data.opening import data_suffix, open_text, to_seek_in
from lora_bert.data.rows import ReadOptions
from lora_bert.data.sniffing import kind_of
from lora_bert.data.tables import codec_of
from lora_bert.errors import DataError
from lora_bert.wording import position


def holds_objects(path: Path, options: ReadOptions) -> bool:
    """Whether :func:`iter_objects` reads a file: one called JSON lines that holds them."""
    if not path.is_file() or data_suffix(path) not in (".jsonl", ".ndjson"):
        return False
    codec = codec_of(path, str(path), options, quiet=True)
    return kind_of(path, codec, str(path), data_suffix(path), quiet=True) == "jsonl"


def iter_objects(
    paths: Sequence[Path], options: ReadOptions, *, rows: int
) -> Iterator[list[dict[str, Any]]]:
    """The objects of JSON lines files, at most ``rows`` of one of them at a time.

    Raises:
        DataError: A whole number is longer than Python reads.
    """
    for path in paths:
        with open_text(path, codec_of(path, str(path), options, quiet=True)) as stream:
            # Python strips more white space than JSON knows.
            lines = ((number, line.strip()) for number, line in enumerate(stream, start=1))
            objects = (_parsed(line, number, path) for number, line in lines if line)
            while piece := list(islice(objects, rows)):
                yield piece


def _parsed(line: str, number: int, path: Path) -> Any:
    try:
        return json.loads(line.removesuffix(","))
    except ValueError as error:
        raise DataError(
            f"{position(str(path), number)}: a number has too many digits to be written back.",
            hint="Put it in quotes, or name another format with --output.",
        ) from error


def iter_batches(paths: Sequence[Path], *, rows: int) -> Iterator[Any]:
    """The rows of parquet files as pyarrow tables, at most ``rows`` of one of them at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    for path in paths:
        with parquet.ParquetFile(to_seek_in(path)) as file:
            waiting = file.schema_arrow.empty_table()
            for batch in file.iter_batches(batch_size=rows):
                # Row groups end where they like; pieces must not.
                waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
                while len(waiting) >= rows:
                    yield waiting.slice(0, rows)
                    waiting = waiting.slice(rows)
        if len(waiting):
            yield waiting
