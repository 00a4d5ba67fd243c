"""Labels that are numbers: how they are written, and whether they are amounts or classes."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, cast

from lora_bert.data.columns import label_column_of, label_columns
from lora_bert.data.data_options import DataOptions
from lora_bert.data.rows import Positioned
from lora_bert.data.tables import Table
from lora_bert.errors import DataError
from lora_bert.wording import counted, shortened

logger = logging.getLogger(__name__)

Mark = Literal[".", ","]
"""What stands before the decimals of a number."""

_NUMBERS = {
    ".": re.compile(r"[-+−]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\d{1,3}(?:,\d{3})+(?:\.\d+)?)"),
    ",": re.compile(r"[-+−]?(?:\d+(?:,\d+)?|\d{1,3}(?:\.\d{3})+(?:,\d+)?)"),
}
"""By that mark: numbers, also with the other mark before every third digit."""
_FEW_AMOUNTS = 6
"""Fewer different numbers with decimals may be classes."""
_FEW_CLASSES = 20
"""So many different whole numbers, or fewer, are classes."""
_MANY = 200
"""So many different whole numbers, or more, may always be amounts."""
_ROWS_OF_A_CLASS = 5
_ODD = 0.1
"""Of many different labels so many may be no numbers where the others are amounts."""


def number(cell: str, mark: Mark) -> float:
    """The number that a cell holds, without white space around it.

    Raises:
        ValueError: It holds none that is written with this mark.
    """
    if not _NUMBERS[mark].fullmatch(cell):
        raise ValueError(cell)
    grouping = "," if mark == "." else "."
    return float(cell.replace("−", "-").replace(grouping, "").replace(mark, "."))


def decimal_mark(cells: Iterable[str]) -> Mark:
    """What stands before the decimals of numbers, as all of them together say it.

    A point does where no number has a comma. ``3,5`` and ``1.234,5`` say that a comma does,
    ``1,234,567`` and ``1,234.5`` that a point does; ``1,234`` alone may be either.

    Raises:
        ValueError: Of a cell that is no number, contradicts those before it, or leaves it open,
            with the cell.
    """
    fit, comma = {".", ","}, ""
    for cell in cells:
        fit = {mark for mark in fit if _NUMBERS[mark].fullmatch(cell)}
        comma = comma or (cell if "," in cell else "")
        if not fit:
            raise ValueError(cell)
    if len(fit) == 2 and comma:
        raise ValueError(comma)
    return "." if "." in fit else ","


def numbers_of(
    labels: Sequence[str], mark: Mark | None, rows: Positioned
) -> tuple[list[float], Mark]:
    """The numbers that rows have for labels, and the mark before their decimals.

    Where the labels leave the mark open it is ``mark``, that of the training; None where nothing is
    known.

    Raises:
        DataError: A label is no number, or not clearly one; names the row.
    """
    different = dict.fromkeys(labels)
    try:
        found = decimal_mark(different)
    except ValueError as error:
        cell = str(error)
        fit = _forms_of(cell)
        if mark is None or len(fit) < 2 or not all(map(_NUMBERS[mark].fullmatch, different)):
            raise _no_number(rows.at(list(labels).index(cell)), cell, fit) from None
        found = mark
    values = {label: number(label, found) for label in different}
    return [values[label] for label in labels], found


def _no_number(place: str, cell: str, fit: Sequence[str]) -> DataError:
    if not fit:
        return DataError(
            f"{place}: the label '{shortened(cell, 40)}' is no number.",
            hint="--task regression learns numbers; --task single-label learns classes.",
        )
    if len(fit) == 2:
        values = " or ".join(f"{number(cell, cast(Mark, each)):g}" for each in fit)
        return DataError(
            f"{place}: the label '{cell}' may be {values}.",
            hint="Write the numbers with a point before their decimals, and no commas.",
        )
    return DataError(
        f"{place}: the label '{cell}' has a '{fit[0]}' before its decimals, and rows before it "
        "have the other mark.",
        hint="Write all numbers with a point before their decimals, and no commas.",
    )


def amounts_in(table: Table, options: DataOptions) -> str:
    """Why the labels of a table are amounts, in words; "" where they are not numbers, or classes.

    A log says if nearly all of them are numbers.

    Raises:
        DataError: They are so many different whole numbers that they may be amounts or names, or
            what their commas mean is not clear.
    """
    label = label_column_of(
        table.columns, text=options.text_column, label=options.label_column,
        training=options.read.training, cells=table.values, source=table.source,
    )  # fmt: skip
    if label is None or len(label_columns(label, table.columns)) != 1 or options.label_names:
        return ""
    cells = Counter(map(str.strip, table.values[label]))
    different = [cell for cell in cells if cell]
    values: list[float] = []
    try:
        mark = decimal_mark(different)
        values = sorted({number(cell, mark) for cell in different})
    except ValueError as error:
        if len(different) > _FEW_CLASSES:
            _look_at_odd(table, label, different, str(error))
    if len(values) < 2:
        return ""
    if not all(value.is_integer() for value in values):
        said = f"the labels are numbers, {values[0]:g} to {values[-1]:g}, {len(values):,} different"
        return said if len(values) >= _FEW_AMOUNTS else ""
    if len(values) <= _FEW_CLASSES or _are_ids(values, cells.total() - cells[""]):
        return ""
    numbers = counted(len(values), "different whole number")
    raise DataError(
        f"'{table.source}': column '{label}' holds {numbers}, {values[0]:g} to {values[-1]:g}: "
        "they may be amounts, or numbers of classes.",
        hint="--task regression if they are amounts; --task single-label if each is a class. If "
        "they number the rows, name another column with --label-column.",
    )


def _look_at_odd(table: Table, label: str, different: Sequence[str], odd: str) -> None:
    """Say so where nearly all of many labels are numbers; DataError where all may be."""
    others = [cell for cell in different if not _forms_of(cell)]
    place = table.at(next(row for row, cell in enumerate(table.values[label])
                          if cell.strip() == (others[0] if others else odd)))  # fmt: skip
    if not others:
        raise _no_number(place, odd, _forms_of(odd))
    if len(others) <= _ODD * len(different):
        logger.warning(
            "%s: the label '%s' is no number, and nearly all others are: they are taken as %s. "
            "If they are amounts, mend or leave out what is none and say --task regression.",
            place, shortened(others[0], 40), counted(len(different), "class", "classes"),
        )  # fmt: skip


def _forms_of(cell: str) -> list[Mark]:
    """The marks with which a cell is a number."""
    marks: tuple[Mark, ...] = (".", ",")
    return [mark for mark in marks if _NUMBERS[mark].fullmatch(cell)]


def _are_ids(values: Sequence[float], rows: int) -> bool:
    """Whether whole numbers run from 0 or 1 on without a gap, each with some rows, as ids do."""
    running = values[0] in (0, 1) and values[-1] - values[0] == len(values) - 1
    return running and len(values) < _MANY and rows >= _ROWS_OF_A_CLASS * len(values)
