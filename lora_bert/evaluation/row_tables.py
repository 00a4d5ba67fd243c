"""Single rows written out for a person to read: mistakes, doubtful labels."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lora_bert.data.examples import Examples
from lora_bert.files import atomic_file
from lora_bert.tasks.base import Judgement

WRONG = ("prediction", "score")
"""Of a row whose label was not predicted: the prediction, and its probability."""
SUSPECT = ("suggestion", "label_score", "suggestion_score")
"""Of a row whose label is doubted: the likelier one, and the probabilities of the two."""


def wrong_rows(judged: Judgement, rows: Examples) -> list[dict[str, Any]]:
    """The mistakes, the most confident first, by column; none where there are no classes."""
    labels = judged.by_class.labels if judged.by_class else []
    return [_row(rows, at, WRONG, labels[answer], score) for at, answer, score in judged.wrong]


def suspect_rows(judged: Judgement, rows: Examples) -> list[dict[str, Any]]:
    """The rows whose label is doubted, the most doubtful first; none where there are no classes."""
    labels = judged.by_class.labels if judged.by_class else []
    return [_row(rows, at, SUSPECT, labels[other], *more) for at, other, *more in judged.suspects]


def columns_of(rows: Examples, more: Sequence[str]) -> list[str]:
    """The columns: the position, by what it counts, the file's own id, text and label, ``more``."""
    return [rows.unit, *(["id"] if rows.ids else []), "text", "label", *more]


def _row(rows: Examples, at: int, names: Sequence[str], *values: Any) -> dict[str, Any]:
    row = {"line": rows.mark(at), **({"id": rows.ids[at]} if rows.ids else {})}
    row |= {"text": rows.texts[at], "label": rows.labels[at]}
    return row | dict(zip(names, values, strict=True))


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
