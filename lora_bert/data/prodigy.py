"""What annotators said of Prodigy's examples as a whole: accepted, rejected, ignored."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from lora_bert.data.stored import numbers_at, taken
from lora_bert.data.tables import Table
from lora_bert.wording import counted

logger = logging.getLogger(__name__)

_SAID = "answer"
_ACCEPTED = "accept"
_ANSWERS = {_ACCEPTED, "reject", "ignore"}
_OF_PRODIGY = {"label", "spans", "accept", "_task_hash"}
"""One of these columns stands beside; else what was said may be the label."""


def accepted(table: Table, label_column: str | None) -> Table:
    """The rows whose label or marked parts an annotator accepted; of other tables all.

    A log says how many there are of the others, which say what is not true, or nothing.
    ``label_column`` is the one that is named.
    """
    cells = table.values.get(_SAID, ())
    if label_column == _SAID or _OF_PRODIGY.isdisjoint(table.columns) or not len(cells):
        return table
    if not all(cell.strip() in _ANSWERS for cell in cells):
        return table
    are = (cell.strip() == _ACCEPTED for cell in cells)
    left = np.flatnonzero(np.fromiter(are, bool, len(table)))
    if len(left) in (0, len(table)):
        return table
    logger.warning(
        "Dropped %s from '%s': rejected or ignored by the annotator (column '%s').",
        counted(len(table) - len(left), "row"), table.source, _SAID,
    )  # fmt: skip
    values = {name: taken(column, left) for name, column in table.values.items()}
    return replace(table, values=values, lines=numbers_at(table.lines, left))
