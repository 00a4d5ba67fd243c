"""Excel workbooks: the first sheet that holds a table; positions are Excel's row numbers.

A workbook is read whole, by python-calamine (the extra ``xlsx``).
"""

from __future__ import annotations

import logging
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lora_bert.data.header import column_names, titles
from lora_bert.data.opening import to_seek_in
from lora_bert.data.rows import HEAD_ROWS, OpenTable, ReadOptions
from lora_bert.errors import DataError, UnavailableError
from lora_bert.wording import amount, listed, reason

logger = logging.getLogger(__name__)

_LARGEST = 2_000_000_000
"""Bytes of XML in a workbook: a million rows of texts of 500 characters hold less."""
_MOST_CELLS = 20_000_000
"""The most cells of the rectangle around all filled ones, which is read as a whole."""
_CELL_NAME = re.compile(rb"""\br\s*=\s*["']([A-Z]*)([0-9]+)["']""")
_CELL = re.compile(rb"<(?:\w+:)?c\b")
_OVERLAP = 200


def read(path: Path, source: str, options: ReadOptions) -> OpenTable:
    """Open a workbook; numbers, dates and truth values come as Excel shows them.

    Raises:
        UnavailableError: python-calamine is not installed.
        DataError: It is no workbook, damaged, encrypted, too large, or holds no rows.
    """
    try:
        import python_calamine
    except ImportError:
        raise UnavailableError(
            f"'{source}' is an Excel workbook: reading it needs python-calamine, which is not "
            "installed.",
            hint="pip install 'lora-bert[xlsx]', or save the sheet as csv.",
        ) from None
    where = to_seek_in(path)
    if zipfile.is_zipfile(where):
        _check_size(where, source)
    if not isinstance(where, Path):
        where.seek(0)
    try:
        workbook = python_calamine.load_workbook(where)
        rows = _first_filled(workbook, source)
    except (python_calamine.CalamineError, python_calamine.ZipError, OSError, ValueError) as error:
        raise _unreadable(source, error) from None
    return _table(rows, options, source)


def _check_size(where: Path | BinaryIO, source: str) -> None:
    """Refuse what would not fit into memory, by unpacking it once."""
    done = 0
    try:
        with zipfile.ZipFile(where) as archive:
            for entry in archive.infolist():
                columns = rows = 0
                kept = b""
                for block in _blocks(archive, entry):
                    done += len(block)
                    if done > _LARGEST:
                        raise _too_large(source, f"holds more than {amount(_LARGEST)} unpacked")
                    if entry.filename.startswith("xl/worksheets/"):
                        columns, rows = _extent(kept + block, columns, rows)
                        kept = block[-_OVERLAP:]
                if columns * rows > _MOST_CELLS:
                    cells = f"has a cell in row {rows:,} and one in column {columns:,}"
                    raise _too_large(source, cells)
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, ValueError,
            zlib.error) as error:  # fmt: skip
        raise _unreadable(source, error) from None


def _blocks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(entry) as stream:
        while block := stream.read(1 << 20):
            yield block


def _extent(block: bytes, columns: int, rows: int) -> tuple[int, int]:
    """The last column and row that a piece of a sheet names, if beyond those given."""
    cells = _CELL_NAME.findall(block)
    letters = max({name for name, _ in cells}, key=lambda name: (len(name), name), default=b"")
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    by_row = block.split(b"<row")
    # A cell that does not say where it is stands behind the one before; rows likewise.
    widest = max(len(_CELL.findall(row)) for row in by_row)
    lowest = max((int(digits) for _, digits in cells), default=0)
    return max(columns, number, widest), max(rows + len(by_row) - 1, lowest)


def _first_filled(workbook: Any, source: str) -> list[list[str]]:
    """The cells of the first sheet that has some, from the sheet's first row on.

    A sheet of a single row or column, such as remarks, counts only where there is no table.
    """
    filled: dict[str, list[list[Any]]] = {}
    for sheet in workbook.sheets_metadata:
        if "WorkSheet" not in str(sheet.typ):
            continue
        cells = workbook.get_sheet_by_name(sheet.name).to_python(skip_empty_area=False)
        if any(cell not in ("", None) for row in cells for cell in row):
            filled[sheet.name] = cells
    if not filled:
        raise DataError(f"'{source}' holds no rows.")
    first = next((name for name, cells in filled.items() if _is_table(cells)), next(iter(filled)))
    others = [name for name in filled if name != first]
    if others:
        logger.info(
            "'%s': using the sheet '%s'; there are rows in %s too.", source, first, listed(others)
        )
    return [[_shown(cell) for cell in row] for row in filled[first]]


def _is_table(cells: Sequence[Sequence[Any]]) -> bool:
    """Whether a sheet has two rows of two cells."""
    wide = (row for row in cells if sum(cell not in ("", None) for cell in row) > 1)
    return next(wide, None) is not None and next(wide, None) is not None


def _table(rows: Sequence[Sequence[str]], options: ReadOptions, source: str) -> OpenTable:
    width = max(at + 1 for row in rows for at, cell in enumerate(row) if cell)
    first_column = min(at for row in rows for at, cell in enumerate(row) if cell)
    filled = [
        (number, [*row[first_column:width]]) for number, row in enumerate(rows, start=1) if any(row)
    ]
    filled = filled[titles([cells for _, cells in filled[:HEAD_ROWS]], options, source) :]
    others = [cells for _, cells in filled[1 : HEAD_ROWS + 1]]
    columns, has_header = column_names(filled[0][1], others, options, source)
    return OpenTable(columns, iter(filled[has_header:]), unit="row", renamed=True)


def _shown(cell: Any) -> str:
    """A cell's value as Excel shows it where no format is set."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.15g}"
    return str(cell)


def _too_large(source: str, what: str) -> DataError:
    return DataError(
        f"'{source}' {what}: too large to be read whole.",
        hint="Save the sheet as csv, without cells that lie far off.",
    )


def _unreadable(source: str, error: Exception) -> DataError:
    return DataError(
        f"'{source}' is not a readable workbook ({reason(error)}).",
        hint="If it is text by another name, give it that format's ending, such as .csv.",
    )
