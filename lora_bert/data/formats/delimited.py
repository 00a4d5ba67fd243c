"""Lines of separated cells: csv and tsv files.

The standard library's parser is used because it streams, is strict when asked, and knows the line a
row starts on.
"""

from __future__ import annotations

import csv
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

from lora_bert.data.formats.dialect import SPOKEN, Dialect, sniff, sniff_tsv
from lora_bert.data.header import column_names, titles
from lora_bert.data.opening import open_text
from lora_bert.data.rows import HEAD_ROWS, OpenTable, ReadOptions
from lora_bert.errors import DataError
from lora_bert.wording import counted

logger = logging.getLogger(__name__)

Record = tuple[int, list[str]]
_FEWEST = 3
"""Columns of a table whose rows may have cells more."""
_RULE = re.compile(r"\s*:?-{2,}:?\s*")


def read(path: Path, source: str, codec: str, options: ReadOptions, kind: str) -> OpenTable:
    """Open a file of a ``kind``, csv or tsv; says (log) what is unusual about its separators.

    Raises:
        DataError: The file is empty or has no header; while rows are read: a row of another width,
            a quote that is never closed, or closed in the middle of a cell.
    """
    dialect = sniff(path, codec, ",") if kind == "csv" else sniff_tsv(path, codec, options)
    for note in dialect.notes:
        logger.info("'%s'%s.", source, note)
    records = _records(path, source, codec, dialect)
    if dialect.delimiter == "|":
        records = _without_rule(records, source)
    head = list(islice(records, HEAD_ROWS + 1))
    if not head:
        raise DataError(f"'{source}' is empty.")
    head = head[titles([cells for _, cells in head], options, source) :]
    others = [cells for _, cells in head[1:]]
    widths = {len(cells) for cells in others if not _is_blank(cells, len(head[0][1]))}
    common = widths.pop() if len(widths) == 1 else 0
    first = _fitted(head[0][1], others, common, options, source)
    narrow, _ = _widths((cells for _, cells in head), dialect)
    columns, has_header = column_names(first[: narrow or None], others, options, source)
    if has_header and narrow:
        columns, _ = column_names(first, others, options, source)
    elif not has_header:
        every = (cells for _, cells in _records(path, source, codec, dialect))
        narrow, wide = _widths(every, dialect)
        records = _without_remarks(chain(head, records), narrow, wide, source)
        head = list(islice(records, len(head)))
    width = len(columns)
    ends_empty = has_header and width > 1 and not _beyond(others, width)
    widest = max(map(len, others)) if ends_empty else width
    hint = partial(_width_hint, width, common, dialect.delimiter)
    rows = _of_width(chain(head[has_header:], records), width, widest, source, hint)
    rows = _watched(rows, _short_values(others, width), source, dialect)
    return OpenTable(columns, rows, renamed=True)


def _records(path: Path, source: str, codec: str, dialect: Dialect) -> Iterator[Record]:
    """The rows of a file, each with the line it starts on; blank lines are skipped."""
    with open_text(path, codec, newline="") as stream:
        reader = dialect.reader(stream)
        while True:
            line = reader.line_num + dialect.skip + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                end = reader.line_num + dialect.skip
                raise _malformed(source, line, end, str(error)) from None
            if cells:
                yield line, cells


def _without_rule(records: Iterator[Record], source: str) -> Iterator[Record]:
    """The same records; of a table of Markdown without rule, outer bars and spaces in cells.

    Text databases print such tables too. Without a second line of dashes it is none.
    """
    head = list(islice(records, 2))
    dashes = [cell for cell in head[1][1] if cell.strip()] if len(head) > 1 else []
    if len(dashes) < 2 or not all(map(_RULE.fullmatch, dashes)):
        return chain(head, records)
    logger.info("'%s' is a table with a rule under its header, which is left out.", source)
    names = head[0][1]
    inner = slice(int(not names[0].strip()), len(names) - int(not names[-1].strip()))
    return (
        (line, [cell.strip() for cell in (cells[inner] if len(cells) == len(names) else cells)])
        for line, cells in chain(head[:1], records)
    )


def _widths(rows: Iterable[Sequence[str]], dialect: Dialect) -> tuple[int, int]:
    """The cells that all rows have, and those that some have; 0 where that is not certain.

    That is in tabs: some rows end with several cells more, all with as many, such as remarks. One
    cell more may be a tab in a text.
    """
    if dialect.delimiter != "\t":
        return 0, 0
    widths = Counter(len(cells) for cells in rows if not _is_blank(cells, _FEWEST))
    if len(widths) != 2 or min(widths.values()) < 2:
        return 0, 0
    narrow, wide = sorted(widths)
    return (narrow, wide) if narrow >= _FEWEST and wide - narrow > 1 else (0, 0)


def _without_remarks(
    records: Iterator[Record], narrow: int, wide: int, source: str
) -> Iterator[Record]:
    """The records; those of ``wide`` cells, where there are any, have ``narrow`` ones too."""
    if not narrow:
        return records
    logger.warning(
        "'%s': rows of %s cells are read without the last %s, which other rows do not have.",
        source, wide, wide - narrow,
    )  # fmt: skip
    return ((line, cells[:narrow]) for line, cells in records)


def _beyond(rows: Sequence[Sequence[str]], width: int) -> bool:
    return any(cell.strip() for cells in rows for cell in cells[width:])


def _fitted(
    first: list[str],
    others: Sequence[Sequence[str]],
    common: int,
    options: ReadOptions,
    source: str,
) -> list[str]:
    """The first line, as wide as all rows behind it where only empty cells make the difference."""
    width = len(first)
    if options.header is False or common == width:
        return first
    if common == 0:
        return _named_part(first, others, source)
    if common < width and common > 1 and not any(name.strip() for name in first[common:]):
        logger.info("'%s': the header ends with empty names, which no row has cells for.", source)
        return first[:common]
    if common > width and len(options.columns) == common:
        return [*first, *[""] * (common - width)]
    if common > width > 1 and not _beyond(others, width):
        logger.info(
            "'%s': its rows end with %s more than the header; left out.",
            source,
            counted(common - width, "empty cell"),
        )
    return first


def _named_part(first: list[str], others: Sequence[Sequence[str]], source: str) -> list[str]:
    """The first line without the empty names at its end, where rows of several widths fill none."""
    named = max((at + 1 for at, name in enumerate(first) if name.strip()), default=0)
    filled = [cells for cells in others if not _is_blank(cells, named)]
    if named < 2 or not filled or min(map(len, filled)) < named or _beyond(filled, named):
        return first
    logger.info("'%s': some rows end with empty cells that have no name; left out.", source)
    return first[:named]


def _is_blank(cells: Sequence[str], width: int) -> bool:
    """Whether a line holds only white space, in a table of more than one column."""
    return width > 1 and len(cells) == 1 and not cells[0].strip()


def _of_width(
    records: Iterator[Record], width: int, widest: int, source: str, hint: Callable[[int], str]
) -> Iterator[Record]:
    """The rows of ``width`` cells; empty ones, up to the ``widest``, may follow."""
    for line, cells in records:
        if len(cells) == width:
            yield line, cells
        elif width < len(cells) <= widest and not any(cell.strip() for cell in cells[width:]):
            yield line, cells[:width]
        elif not _is_blank(cells, width):
            problem = "too few" if len(cells) < width else "too many"
            raise DataError(
                f"'{source}', line {line:,}: {counted(len(cells), 'cell')} where there are "
                f"{counted(width, 'column')}, {problem}.",
                hint=hint(len(cells)),
            )


def _width_hint(width: int, common: int, delimiter: str, cells: int) -> str:
    """What to do about a row of so many ``cells``; the first rows have ``common``, 0 if various."""
    spoken = SPOKEN.get(delimiter, f"'{delimiter}'")
    if cells == common > width:
        return (
            f"All rows have {counted(cells, 'cell')}. If the header lacks a name, name all columns "
            f"with --columns; if the texts hold {spoken}, put them in double quotes."
        )
    if width == 1:
        return (
            f"The first line has one cell and no separator. If the texts hold {spoken}, put them "
            "in double quotes, or call the file .txt: then every line is one text."
        )
    if cells > width:
        return (
            f"A cell that contains the separator ({spoken}) must stand in double quotes: put the "
            "text of this line in quotes."
        )
    return (
        "A cell that contains a line break must stand in double quotes; an empty cell keeps its "
        "separator."
    )


def _short_values(rows: Sequence[Sequence[str]], width: int) -> list[set[str]]:
    """For each column the short values it has, such as labels."""
    return [
        {row[at] for row in rows if len(row) == width and 0 < len(row[at]) <= 40}
        for at in range(width)
    ]


def _watched(
    rows: Iterator[Record], values: Sequence[set[str]], source: str, dialect: Dialect
) -> Iterator[Record]:
    """Warn once of a quoted cell that holds what looks like rows: two stray quotes do that.

    And once of a quote behind a space, which is part of the cell where the file's beginning has
    none.
    """
    warned = dialect.quote is None
    spaced = dialect.skip_space or dialect.quote is None
    for line, cells in rows:
        joined = "\0".join(cells)
        if not spaced and ('\0 "' in joined or joined.startswith(' "')):
            spaced = True
            logger.warning(
                "'%s', line %s: a quote behind a space is part of the cell; leave the space out "
                "if it is to quote.",
                source,
                f"{line:,}",
            )
        if (
            not warned
            and "\n" in joined
            and any("\n" in cell and _holds_rows(cell, values, dialect.delimiter) for cell in cells)
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
            hint="Close the quote, or double every quote inside a quoted cell; a backslash before "
            "it counts only where all backslashes of the file do that.",
        )
    return DataError(
        f"'{source}', line {start:,}: a quote opened in the row that starts here is never closed.",
        hint="Close the quote, or double it if it belongs to the text.",
    )
