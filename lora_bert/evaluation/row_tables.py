"""Single rows written out for a person to read: mistakes, doubtful labels."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lora_bert.data.examples import Examples
from lora_bert.data.texts import parts_of
from lora_bert.files import atomic_file
from lora_bert.tasks.judgement import Judgement

TABLES = {
    "wrong": ("prediction", "score"),
    "suspects": ("suggestion", "label_score", "suggestion_score"),
    "residuals": ("prediction", "error"),
}
"""What a judgement and a file call it -> the columns behind a row's label: the likelier label and
probabilities, or numbers."""
_NUMBERS = ("residuals",)


_TEXTS = ("text", "text_pair")


def table_rows(
    judged: Judgement, table: str, rows: Examples, *, most: int | None = None
) -> list[dict[str, Any]]:
    """The rows of a table, the worst first, by column: ``most`` of them; [] without that table."""
    labels = judged.answers or (judged.by_class.labels if judged.by_class else ())
    listed = []
    for at, *cells in getattr(judged, table)[:most]:
        row = {"line": rows.mark(at), **({"id": rows.ids[at]} if rows.ids else {})}
        row |= dict(zip(_TEXTS, parts_of(rows.texts[at]), strict=False))
        row["label"] = ", ".join(rows.each(rows.labels[at]))
        if table not in _NUMBERS:
            cells[0] = labels[cells[0]]
        listed.append(row | dict(zip(TABLES[table], cells, strict=True)))
    return listed


def tables_of(judged: Judgement) -> list[str]:
    """The tables that a judgement can have rows in."""
    if judged.by_class or judged.answers:
        return [table for table in TABLES if table not in _NUMBERS]
    return list(_NUMBERS) if judged.errors else []


def table_columns(table: str, rows: Examples) -> list[str]:
    """The columns: the position, by what it counts, the file's own id, text, label, the table's.

    Of pairs there is ``text_pair`` behind ``text``.
    """
    ids = ["id"] if rows.ids else []
    return [rows.unit, *ids, *_TEXTS[: rows.inputs], "label", *TABLES[table]]


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as UTF-8 csv in the order they come, texts unchanged; replaces a file.

    Fractions are rounded to four decimals.

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
