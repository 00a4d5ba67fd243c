"""The rows a classifier gets wrong, written out for a person to read."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lora_bert.evaluation.metrics import Floats
from lora_bert.files import atomic_file

COLUMNS = ("line", "text", "label", "prediction", "score")


def write_wrong_rows(
    path: Path,
    *,
    texts: Sequence[str],
    lines: Sequence[int],
    true_labels: Sequence[str],
    predicted_labels: Sequence[str],
    confidence: Floats | Sequence[float],
) -> int:
    """Write the wrongly predicted rows as UTF-8 csv, the most confident mistakes first.

    All sequences are aligned, one entry a row; the rows predicted right are left out. Confident
    mistakes come first because they are where wrong labels in the data show.

    Args:
        path: The csv file; replaced if it exists.
        texts: The texts, written unchanged.
        lines: Where each row stands in its file.
        true_labels: The labels given.
        predicted_labels: The labels predicted.
        confidence: Probability of the predicted label, 0…1; rounded to four decimals.

    Returns:
        How many rows were written.

    Raises:
        OutputError: The file cannot be written.
    """
    rows = zip(lines, texts, true_labels, predicted_labels, np.asarray(confidence), strict=True)
    wrong = [row for row in rows if row[2] != row[3]]
    wrong.sort(key=lambda row: -row[4])
    # JSON can hold half a surrogate pair, UTF-8 cannot: it is written as an escape.
    with (
        atomic_file(path) as work,
        work.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        # Texts are always quoted: a lone carriage return left bare ends the row for readers.
        writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(COLUMNS)
        writer.writerows((*row[:4], round(float(row[4]), 4)) for row in wrong)
    return len(wrong)
