"""The figures of parts of the rows: by what a column says of them, or by how long their texts are.

A classifier that is right nine times in ten may be right half the time where it matters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lora_bert.data.columns import given_column, id_column, label_columns
from lora_bert.data.examples import Examples
from lora_bert.errors import DataError
from lora_bert.metrics.intervals import Interval
from lora_bert.wording import shortened

if TYPE_CHECKING:
    from lora_bert.tasks.base import Task
    from lora_bert.tokens.tokenized import TokenizedTexts

LENGTH = "length"
"""What stands for the tokens of a text where no column is called so."""
_MOST = 20
"""Slices of a column; where it says more, the rarest stand together."""
_PARTS = 4
"""Of the rows, by their numbers, where a column has more different ones than slices."""
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_NO_NUMBER = frozenset(("", "nan", "none", "null", "inf", "-inf"))
_LARGEST = 1e300
"""Larger numbers are none: differences of them are infinite."""


@dataclass(frozen=True)
class Slice:
    """Rows that have something in common.

    Attributes:
        by: The column that says it, or ``length``.
        value: What they have in common: a cell, or a range of numbers.
        rows: How many they are.
        figures: The task's metrics by name; those are absent that so few or so like rows have none
            of.
        intervals: 95 % bootstrap intervals, by the name of the figure.
    """

    by: str
    value: str
    rows: int
    figures: Mapping[str, float]
    intervals: Mapping[str, Interval]


def columns_of_slices(by: Sequence[str], rows: Examples) -> tuple[str, ...]:
    """The columns that the rows are to be sliced by, each once, or :data:`LENGTH`.

    Args:
        by: What was asked for: columns, or several with commas between.
        rows: The rows, with these columns.

    Raises:
        DataError: There is no such column, or it says too many different things.
    """
    names = dict[str, None]()
    for name in by:
        named = label_columns(name, rows.columns)
        if not named and name != LENGTH:
            given_column(name, rows.columns, rows.source)
        names |= dict.fromkeys(named or (name,))
    for name in names:
        cells = rows.beside.get(name, ())
        different = len(set(cells))
        in_ranges = not id_column([name], ()) and _numbers(cells) is not None
        if _MOST < different > len(cells) / 2 and not in_ranges:
            raise DataError(
                f"--by {name}: '{shortened(name)}' says {different:,} different things of "
                f"{len(cells):,} rows.",
                hint="Take a column that says the same of many rows.",
            )
    return tuple(names)


def slices(
    task: Task, values: np.ndarray, targets: np.ndarray, rows: Examples, tokens: TokenizedTexts,
    by: Sequence[str], *, seed: int = 0,
) -> tuple[Slice, ...]:  # fmt: skip
    """The figures of answered rows, slice by slice, those of one column side by side.

    Args:
        task: Of the classifier.
        values: Its values, ``[rows, …]``.
        targets: Of the same rows' tokens, as :meth:`.Task.targets` gives them.
        rows: With the columns that they are sliced by.
        tokens: Of the rows.
        by: As :func:`columns_of_slices` gives it.
        seed: Of the intervals.
    """
    found = []
    for name in by:
        cells = rows.beside.get(name)
        parts = _by_number(_lengths(tokens)) if cells is None else _by_cell(cells)
        found += [_judged(task, values, targets, (name, value), at, seed) for value, at in parts]
    return tuple(found)


def _judged(
    task: Task, values: np.ndarray, targets: np.ndarray, named: tuple[str, str], at: np.ndarray,
    seed: int,
) -> Slice:  # fmt: skip
    """The figures of the rows ``at`` these places."""
    try:
        judged = task.judge(values[at], task.targets_at(targets, at), seed=seed)
    except DataError:  # of rows that are all alike nothing can be said, as of one relevant answer
        return Slice(*named, len(at), {}, {})
    figures = {metric.name: getattr(judged.scores, metric.name) for metric in judged.shown}
    intervals = {name: ends for name, ends in judged.intervals.items() if name in figures}
    return Slice(*named, len(at), figures, intervals)


def _lengths(tokens: TokenizedTexts) -> np.ndarray:
    """The tokens of each row, of all its windows."""
    rows = tokens.rows_of(np.arange(len(tokens)))
    return np.bincount(rows, np.diff(tokens.starts), minlength=tokens.row_count)


def _by_cell(cells: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """The rows of each value of a column, the most frequent first; numbers of many in ranges."""
    stripped = [cell.strip() for cell in cells]
    counts = Counter(stripped)
    if len(counts) > _MOST and (numbers := _numbers(stripped)) is not None:
        return _by_number(numbers)
    ordered = [value for value, _ in counts.most_common()]
    named = ordered if len(ordered) <= _MOST else ordered[: _MOST - 1]
    place = {value: at for at, value in enumerate(named)}
    parts = np.array([place.get(value, len(named)) for value in stripped])
    names = [value or "(empty)" for value in named]
    if len(named) < len(ordered):
        names.append(f"({len(ordered) - len(named):,} others)")
    return [(name, np.flatnonzero(parts == at)) for at, name in enumerate(names)]


def _by_number(numbers: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The rows in four parts by their numbers, equal ones together, then those without one."""
    there = np.flatnonzero(np.isfinite(numbers))
    known = numbers[there]
    parts = np.searchsorted(np.unique(np.quantile(known, np.arange(1, _PARTS) / _PARTS)), known)
    found = []
    for part in np.unique(parts):
        low, high = known[parts == part].min(), known[parts == part].max()
        name = f"{low:.15g}" if low == high else f"{low:.15g} to {high:.15g}"
        found.append((name, there[parts == part]))
    if len(there) < len(numbers):
        found.append(("(no number)", np.flatnonzero(~np.isfinite(numbers))))
    return found


def _numbers(cells: Sequence[str]) -> np.ndarray | None:
    """Cells as numbers, NaN where one is empty or too large; None where one is anything else."""
    numbers = np.full(len(cells), np.nan)
    for at, cell in enumerate(map(str.strip, cells)):
        if cell.lower() in _NO_NUMBER:
            continue
        if not _NUMBER.fullmatch(cell):
            return None
        numbers[at] = float(cell)
    numbers[np.abs(numbers) > _LARGEST] = np.nan
    return numbers if np.isfinite(numbers).any() else None
