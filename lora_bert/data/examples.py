"""Labelled rows, as every later step takes them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lora_bert.data.columns import find_columns, id_column, label_columns
from lora_bert.data.labels import labels_of_columns, read_labels
from lora_bert.data.rows import Files, Positioned
from lora_bert.data.stored import hashes, kept, numbers_at, taken
from lora_bert.data.tables import Table
from lora_bert.data.tag_schemes import Tagging
from lora_bert.errors import DataError
from lora_bert.wording import counted, listed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examples(Positioned):
    """Rows of one set. Strings and numbers of many rows lie in files.

    Attributes:
        texts: The texts as they stand in the file.
        labels: Their labels, as many; empty when the rows have none.
        lines: As in :class:`Table`, like ``source``, ``unit`` and ``files``.
        ids: What the file's own column of ids calls the rows; empty where it has none.
        tagging: How words are tagged, where labels are entities; see
            :mod:`lora_bert.data.tagged`.
    """

    texts: Sequence[str]
    labels: Sequence[str]
    lines: Sequence[int] | np.ndarray
    source: str
    unit: str = "line"
    ids: Sequence[str] = ()
    files: Files | None = None
    tagging: Tagging | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def mark(self, row: int) -> int | str:
        """Where a row stands, for a table: its line; of several files ``"b.csv:3"``."""
        line = int(self.lines[row])
        return line if self.files is None else self.files.mark(line)

    def take(self, indices: Sequence[int] | np.ndarray) -> Examples:
        """The rows at ``indices``, in that order."""
        rows = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            texts=taken(self.texts, rows),
            labels=taken(self.labels, rows) if self.labels else (),
            lines=numbers_at(self.lines, rows),
            ids=taken(self.ids, rows) if self.ids else (),
        )


def examples_from(
    table: Table,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    label_names: Mapping[str, str] = {},
    known_labels: Collection[str] = (),
    need_labels: bool = True,
) -> Examples:
    """The examples in a table; rows with an empty text or label are dropped, and a log says so.

    The columns are found as :func:`find_columns` does; without ``need_labels`` only the texts are
    taken, unless ``label_column`` is given. ``label_names`` replace labels, ``known_labels`` are
    what training took for one label, whatever it looks like.

    Raises:
        DataError: A column is not there, or no row is left.
    """
    text_name, label_name = find_columns(
        table.columns, text=text_column, label=label_column, need_label=need_labels,
        cells=table.values, source=table.source,
    )  # fmt: skip
    texts = table.values[text_name]
    rows = with_text = _filled(map(str.strip, texts), len(texts))
    labels: list[str] = []
    if label_name:
        labels = _labels(table, label_name, with_text, label_names, known_labels)
    if labels:
        rows = with_text[_filled(labels, len(with_text))]
    _say_dropped(table, text=len(texts) - len(with_text), label=len(with_text) - len(rows))
    return Examples(
        texts=taken(texts, rows),
        labels=kept(filter(None, labels)),
        lines=numbers_at(table.lines, rows),
        source=table.source,
        unit=table.unit,
        ids=_ids(table, rows, (text_name, *label_columns(label_name, table.columns))),
        files=table.files,
    )


def _filled(strings: Iterable[str], count: int) -> np.ndarray:
    """Which of ``count`` strings are not empty."""
    return np.flatnonzero(np.fromiter(map(bool, strings), bool, count))


def _labels(
    table: Table, column: str, rows: np.ndarray, names: Mapping[str, str], known: Collection[str]
) -> list[str]:
    """The label of each of ``rows``, "" where one has none."""

    def at(row: int) -> str:
        return table.at(int(rows[row]))

    several = label_columns(column, table.columns)
    if len(several) > 1:
        bits = {name: taken(table.values[name], rows) for name in several}
        labels = labels_of_columns(bits, at=at)
    else:
        first: dict[str, str] = {}  # equal labels as one object
        stripped = map(str.strip, taken(table.values[column], rows))
        cells = [first.setdefault(cell, cell) for cell in stripped]
        labels = read_labels(cells, {*names, *known}, source=table.source, at=at)
    if names and labels and names.keys().isdisjoint(labels):
        logger.warning(
            "None of the labels to rename (%s) stands in '%s'; it has %s.",
            listed(names), table.source, listed(dict.fromkeys(labels)),
        )  # fmt: skip
    return [names.get(label, label) for label in labels] if names else labels


def _ids(table: Table, rows: np.ndarray, columns: Sequence[str]) -> Sequence[str]:
    """The cells of the column of ids, where there is one and it tells the rows apart."""
    name = id_column(table.columns, columns)
    if name is None:
        return ()
    ids = taken(table.values[name], rows)
    different = len(np.unique(hashes(ids, len(ids))))
    return ids if different == len(ids) and all(ids) else ()


def _say_dropped(table: Table, **dropped: int) -> None:
    reasons = " and ".join(f"{counted(number, 'row')} with an empty {what}"
                           for what, number in dropped.items() if number)  # fmt: skip
    if sum(dropped.values()) == len(table):
        raise DataError(f"'{table.source}' has nothing left: {reasons}.")
    if reasons:
        logger.warning("Dropped %s from '%s'.", reasons, table.source)
