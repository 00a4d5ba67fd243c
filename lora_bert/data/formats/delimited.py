"""Lines of separated cells: what csv and tsv have in common.

The standard library's parser is used because it streams, is strict when asked, and knows the line a
row starts on.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from lora_bert.data.header import column_names
from lora_bert.data.rows import ReadOptions, Rows
from lora_bert.data.wording import counted
from lora_bert.errors import DataError

logger = logging.getLogger(__name__)

_LONGEST_CELL = 1 << 24
_LOOK_AHEAD = 1000

Record = tuple[int, list[str]]


def records(
    lines: Iterable[str], source: str, *, delimiter: str, quoting: bool
) -> Iterator[Record]:
    """The rows that ``lines`` hold, each with the line it starts on; blank lines are skipped.

    Raises:
        DataError: A quote is never closed, or closed in the middle of a cell.
    """
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        strict=True,
        quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
    )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _malformed(source, line, reader.line_num, str(error)) from None
        if cells:
            yield line, cells


def table_rows(
    found: Iterator[Record], options: ReadOptions, source: str, *, delimiter: str
) -> Rows:
    """Columns and rows of a file whose records are ``found``.

    Raises:
        DataError: The file is empty or has no header; while rows are read: a row of another width.
    """
    head = list(islice(found, _LOOK_AHEAD + 1))
    if not head:
        raise DataError(f"'{source}' is empty.")
    first, others = head[0][1], [cells for _, cells in head[1:]]
    columns, has_header = column_names(first, others, options, source)
    body = head[1:] if has_header else head
    if not body:
        raise DataError(f"'{source}' holds a header and no rows.")
    rows = _of_width(chain(body, found), len(columns), source)
    return Rows(columns, _watched(rows, _short_values(others, len(columns)), source, delimiter))


def is_blank(cells: Sequence[str], width: int) -> bool:
    """Whether a line holds only white space, in a table of more than one column."""
    return width > 1 and len(cells) == 1 and not cells[0].strip()


def _of_width(found: Iterator[Record], width: int, source: str) -> Iterator[Record]:
    for line, cells in found:
        if len(cells) == width:
            yield line, cells
        elif not is_blank(cells, width):
            problem = "too few" if len(cells) < width else "too many"
            raise DataError(
                f"'{source}', line {line:,}: {counted(len(cells), 'cell')} where there are "
                f"{counted(width, 'column')}, {problem}.",
                hint="A cell that contains the separator or a line break must stand in quotes.",
            )


def _short_values(rows: Sequence[Sequence[str]], width: int) -> list[set[str]]:
    """For each column the short values it has, such as labels."""
    return [
        {row[at] for row in rows if len(row) == width and 0 < len(row[at]) <= 40}
        for at in range(width)
    ]


def _watched(
    rows: Iterator[Record], values: Sequence[set[str]], source: str, delimiter: str
) -> Iterator[Record]:
    """Warn once of a quoted cell that holds what looks like rows: two stray quotes do that."""
    warned = False
    for line, cells in rows:
        if not warned and any(
            "\n" in cell and _holds_rows(cell, values, delimiter) for cell in cells
        ):
            warned = True
            logger.warning(
                "'%s', line %s: a quoted cell runs over several lines that look like rows of their "
                "own; check where its quote is closed.",
                source,
                f"{line:,}",
            )
        yield line, cells


def _holds_rows(cell: str, values: Sequence[set[str]], delimiter: str) -> bool:
    for line in cell.splitlines()[1:]:
        parts = line.split(delimiter)
        if len(parts) == len(values) > 1:
            return any(part in known for part, known in zip(parts, values, strict=True))
    return False


def _malformed(source: str, start: int, line: int, message: str) -> DataError:
    """The sentence for what the csv parser found wrong in the row from ``start`` to ``line``."""
    if "expected after" in message:
        return DataError(
            f"'{source}', line {start:,}: a quote opened in the row that starts here is closed "
            f"in the middle of a cell on line {line:,}.",
            hint="Close the quote, or double every quote inside a quoted cell.",
        )
    return DataError(
        f"'{source}', line {start:,}: a quote opened in the row that starts here is never closed.",
        hint="Close the quote, or double it if it belongs to the text.",
    )
