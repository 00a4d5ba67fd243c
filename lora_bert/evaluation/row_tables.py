"""Single rows written out for a person to read: mistakes, doubtful labels."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lora_bert.data.examples import Examples
from lora_bert.files import atomic_file
from lora_bert.tasks.base import Judgement


class WrongRow(NamedTuple):
    """A row whose label was not predicted; ``score`` is the probability of the prediction.

    ``id`` is what the file's own column of ids calls the row, "" where it has none.
    """

    line: int | str
    text: str
    label: str
    prediction: str
    score: float
    id: str = ""


class SuspectRow(NamedTuple):
    """A row whose label is doubted; the last two are the probabilities of the two labels."""

    line: int | str
    text: str
    label: str
    suggestion: str
    label_score: float
    suggestion_score: float
    id: str = ""


def wrong_rows(judged: Judgement, rows: Examples) -> list[WrongRow]:
    """The mistakes, the most confident first; none where there are no classes."""
    labels = judged.by_class.labels if judged.by_class else []
    return [
        WrongRow(rows.mark(row), rows.texts[row], rows.labels[row], labels[answer], score,
                 _id(rows, row))
        for row, answer, score in judged.wrong
    ]  # fmt: skip


def suspect_rows(judged: Judgement, rows: Examples) -> list[SuspectRow]:
    """The rows whose label is doubted, the most doubtful first; none where there are no classes."""
    labels = judged.by_class.labels if judged.by_class else []
    return [
        SuspectRow(rows.mark(row), rows.texts[row], rows.labels[row], labels[suggested], given,
                   other, _id(rows, row))
        for row, suggested, given, other in judged.suspects
    ]  # fmt: skip


def _id(rows: Examples, row: int) -> str:
    return rows.ids[row] if rows.ids else ""


def with_ids(
    rows: Sequence[WrongRow] | Sequence[SuspectRow], kind: type[WrongRow | SuspectRow], *,
    unit: str, ids: bool,
) -> tuple[list[str], list[list[object]]]:  # fmt: skip
    """Columns and rows as they are written: the position first, then the file's own id.

    Args:
        rows: What to write.
        kind: What they are, where there are none too.
        unit: What the positions count, which names their column.
        ids: Whether the file has ids.
    """
    first, *others = [name for name in kind._fields if name != "id"]
    own = ["id"] if ids else []
    order = [first, *own, *others]
    return [unit, *own, *others], [[getattr(row, name) for name in order] for row in rows]


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as UTF-8 csv in the order they come, texts unchanged; replaces a file.

    Args:
        path: The csv file.
        columns: Names of the columns.
        rows: Their values; fractions are rounded to four decimals.

    Raises:
        OutputError: The file cannot be written.
    """
    # JSON can hold half a surrogate pair, UTF-8 cannot: it is written as an escape.
    with (
        atomic_file(path) as work,
        work.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        # Texts are always quoted: a lone carriage return left bare ends the row for readers.
        writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        writer.writerows(
            [round(value, 4) if isinstance(value, float) else value for value in row]
            for row in rows
        )
