"""Labelled rows, as every later step takes them."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from lora_bert.data.columns import (
    find_columns,
    id_column,
    is_unscored,
    label_columns,
    without,
)
from lora_bert.data.data_options import LabelForm
from lora_bert.data.label_sets import read_label_sets, read_set, written_sets
from lora_bert.data.labels import HIDDEN, Labels, labels_of_columns, read_labels, sets_of_columns
from lora_bert.data.literals import literal
from lora_bert.data.pair_columns import find_pair
from lora_bert.data.rows import HEAD_ROWS, NO_TRAINING, Files, Positioned, TrainingFormat
from lora_bert.data.stored import hashes, kept, numbers_at, taken
from lora_bert.data.tables import Table
from lora_bert.data.tag_schemes import Tagging
from lora_bert.data.texts import (
    Text,
    are_lists,
    are_pairs,
    columns_of,
    taken_texts,
    texts_in,
)
from lora_bert.errors import DataError
from lora_bert.wording import counted, listed, shortened

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examples(Positioned):
    """Rows of one set. Strings and numbers of many rows lie in files.

    Attributes:
        texts: The texts, or pairs of texts, as they stand in the file.
        labels: Their labels, as many; empty when the rows have none.
        lines: As in :class:`Table`, like ``source``, ``unit`` and ``files``.
        ids: What the file's own column of ids calls the rows; empty where it has none.
        label_form: What a label is; of a ``set``, and of ``tags``, :meth:`each` gives the labels.
        tagging: How words are tagged, where labels are entities; see
            :mod:`lora_bert.data.tagged`.
        columns: The names of all columns of the table that they come from.
        beside: Cells of columns that were asked for beside, by the column's name.
    """

    texts: Sequence[Text]
    labels: Sequence[str]
    lines: Sequence[int] | np.ndarray
    source: str
    unit: str = "line"
    ids: Sequence[str] = ()
    files: Files | None = None
    label_form: LabelForm = "one"
    tagging: Tagging | None = None
    columns: Sequence[str] = ()
    beside: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def inputs(self) -> int:
        """Texts a row: 2 where they are pairs."""
        return 2 if are_pairs(self.texts) else 1

    @property
    def label_counts(self) -> Counter[str]:
        """How many rows have each label."""
        if self.label_form not in ("set", "tags"):
            return Counter(self.labels)
        counts = Counter[str]()
        for written, rows in Counter(self.labels).items():
            counts.update(dict.fromkeys(self.each(written), rows))
        return counts

    def each(self, label: str) -> tuple[str, ...]:
        """The labels that one of ``labels`` stands for; of tags the types of its entities."""
        if self.label_form == "tags":
            return tuple(dict.fromkeys(kind for _, _, kind in json.loads(label)))
        return read_set(label) if self.label_form == "set" else (label,)

    def first_beside(self, known: Collection[str]) -> tuple[int, str] | None:
        """The first row with a label that is not ``known``, and that label."""
        strange = {}
        for label in dict.fromkeys(self.labels):
            if unknown := [each for each in self.each(label) if each not in known]:
                strange[label] = unknown[0]
        if not strange:
            return None
        row = next(row for row, label in enumerate(self.labels) if label in strange)
        return row, strange[self.labels[row]]

    def mark(self, row: int) -> int | str:
        """Where a row stands, for a table: its line; of several files ``"b.csv:3"``."""
        line = int(self.lines[row])
        return line if self.files is None else self.files.mark(line)

    def take(self, indices: Sequence[int] | np.ndarray) -> Examples:
        """The rows at ``indices``, in that order."""
        rows = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            texts=taken_texts(self.texts, rows),
            labels=taken(self.labels, rows) if self.labels else (),
            lines=numbers_at(self.lines, rows),
            ids=taken(self.ids, rows) if self.ids else (),
            beside=cells_at(self.beside, self.beside, rows),
        )


def examples_from(
    table: Table,
    *,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
    label_names: Mapping[str, str] = {},
    known_labels: Collection[str] = (),
    need_labels: bool = True,
    label_form: LabelForm = "one",
    label_separator: str | None = None,
    training: TrainingFormat = NO_TRAINING,
    beside: Sequence[str] = (),
) -> Examples:
    """The examples in a table; rows with an empty text or label are dropped, and a log says so.

    The columns are found as :func:`find_pair` and :func:`find_columns` do; without ``need_labels``
    only the texts are taken, unless ``label_column`` is given. ``label_names`` replace labels,
    ``known_labels`` are what training took for one label, whatever it looks like; ``label_form``,
    ``label_separator`` and ``beside`` are those of :class:`.DataOptions`.

    Raises:
        DataError: A column is not there, or no row is left.
    """
    first, second = find_pair(
        without(label_column, table.columns), text=text_column, pair=pair_column,
        training=training, cells=table.values, source=table.source,
    )  # fmt: skip
    text_name, label_name = find_columns(
        [name for name in table.columns if name != second], text=first, label=label_column,
        need_label=need_labels, training=training, cells=table.values, source=table.source,
    )  # fmt: skip
    names = (text_name,) if second is None else (text_name, second)
    for name in names:
        _say_objects(table, name)
    texts = texts_in([table.values[name] for name in names])
    filled = [_filled(map(str.strip, column), len(table)) for column in columns_of(texts)]
    rows = with_text = reduce(np.intersect1d, filled)
    labels: list[str] = []
    if label_name and label_form == "one":
        labels = _labels(table, label_name, with_text, label_names, known_labels)
    elif label_name and label_form == "set":
        known = {*label_names, *known_labels}
        sets = _label_sets(table, label_name, with_text, known, label_separator)
        labels = written_sets(sets, label_names, table.source)
    elif label_name:
        cells = map(str.strip, taken(table.values[label_name], with_text))
        labels = [label_names.get(cell, cell) for cell in cells]
    if labels:
        rows = with_text[_filled(labels, len(with_text))]
    _say_dropped(table, text=len(texts) - len(with_text), label=len(with_text) - len(rows))
    return Examples(
        texts=taken_texts(texts, rows),
        labels=kept(filter(None, labels)),
        lines=numbers_at(table.lines, rows),
        source=table.source,
        unit=table.unit,
        ids=_ids(table, rows, (*names, *label_columns(label_name, table.columns))),
        files=table.files,
        label_form=label_form,
        columns=table.columns,
        beside=cells_at(table.values, beside, rows),
    )


def cells_at(
    values: Mapping[str, Sequence[str]], names: Iterable[str], rows: np.ndarray
) -> dict[str, Sequence[str]]:
    """The cells of ``rows`` in the columns of these names, those that there are.

    A name that is no column's may be several with commas between.
    """
    columns = tuple(values)
    found = (column for name in names for column in label_columns(name, columns))
    return {column: taken(values[column], rows) for column in found}


def _say_objects(table: Table, column: str) -> None:
    """Say so where the texts of a column are lists, or objects, which no backbone was made for."""
    cells = table.values[column][:HEAD_ROWS]
    if are_lists(cells):
        logger.info("'%s': the texts of column '%s' are lists; what stands in each is read as one "
                    "text.", table.source, column)  # fmt: skip
    if len(cells) and all(cell.startswith("{") and isinstance(literal(cell), dict)
                          for cell in cells):  # fmt: skip
        logger.warning(
            "'%s': the texts of column '%s' are JSON objects, and are read as they are written: %s",
            table.source, column, shortened(cells[0], 60),
        )  # fmt: skip


def _filled(strings: Iterable[str], count: int) -> np.ndarray:
    """Which of ``count`` strings are not empty."""
    return np.flatnonzero(np.fromiter(map(bool, strings), bool, count))


_GOLD, _NO_GOLD = "gold_label", "-"
"""SNLI's column, and what stands there of a pair about which annotators disagree."""
_NO_NUMBERS, _NO_WORDS = frozenset(("-1", "-1.0", "-100")), frozenset(("-", "?"))
"""What stands there where labels are numbers, and where they are words."""
_FEW = 0.03
"""Share of the rows that have no label, at most."""


def _no_gold(
    column: str, labels: Sequence[str], known: Collection[str], source: str
) -> Collection[str]:
    """What stands for no label in a column of them."""
    if column.strip().lower() == _GOLD and _NO_GOLD not in known:
        return {_NO_GOLD}
    counts = Counter(labels)
    rare = {label for label, rows in counts.items() if rows <= _FEW * len(labels)}
    doubtful = {label for label in rare if label.lower() in HIDDEN} - {*known}
    others = counts.keys() - doubtful - {""}
    none = {label for label in doubtful if _says_none(label, others, known)}
    for label in sorted(none):
        logger.warning(
            "'%s': %s the label %s, which says here that there is none: left out. Should it be a "
            "class of its own, name it: --label-names %s=NAME.",
            source, counted(counts[label], "row has", "rows have"), label, label,
        )  # fmt: skip
    for label in sorted(doubtful - none) if len(others) > 1 else ():
        logger.warning(
            "'%s': %s the label %s, which is taken for a class. Should it say that there is none, "
            "empty these cells.", source, counted(counts[label], "row has", "rows have"), label,
        )  # fmt: skip
    return none


def _says_none(label: str, others: Collection[str], known: Collection[str]) -> bool:
    """Whether a rare label among ``others`` is surely none."""
    if label in _NO_NUMBERS | _NO_WORDS and {*known}.issuperset(others):
        return True
    count = range(len(others))
    if len(count) > 1 and label in _NO_NUMBERS:
        return others in ({str(at) for at in count}, {f"{at}.0" for at in count})
    words = all(any(map(str.isalnum, other)) for other in others)
    return len(count) > 1 and label in _NO_WORDS and words


def _labels(
    table: Table, column: str, rows: np.ndarray, names: Mapping[str, str], known: Collection[str]
) -> list[str]:
    """The label of each of ``rows``, "" where one has none."""

    def at(row: int) -> str:
        return table.at(int(rows[row]))

    several = label_columns(column, table.columns)
    if len(several) > 1:
        labels = labels_of_columns(_bits(table, several, rows), at=at)
    else:
        first: dict[str, str] = {}  # equal labels as one object
        stripped = map(str.strip, taken(table.values[column], rows))
        cells = [first.setdefault(cell, cell) for cell in stripped]
        labels = read_labels(cells, {*names, *known}, source=table.source, at=at)
        if none := _no_gold(column, labels, {*names, *known}, table.source):
            labels = ["" if label in none else label for label in labels]
    if names and labels and names.keys().isdisjoint(labels):
        logger.warning(
            "None of the labels to rename (%s) stands in '%s'; it has %s.",
            listed(names), table.source, listed(dict.fromkeys(labels)),
        )  # fmt: skip
    return [names.get(label, label) for label in labels] if names else labels


def _bits(table: Table, columns: Sequence[str], rows: np.ndarray) -> dict[str, Sequence[str]]:
    """The cells of columns of 0 and 1; rows that nobody has scored are said."""
    bits = {name: taken(table.values[name], rows) for name in columns}
    if unscored := sum(map(is_unscored, zip(*bits.values(), strict=True))):
        logger.warning(
            "'%s': %s -1 in every column of labels, which says that nobody has scored %s: left "
            "out.", table.source, counted(unscored, "row has", "rows have"),
            "it" if unscored == 1 else "them",
        )  # fmt: skip
    return bits


def _label_sets(
    table: Table, column: str, rows: np.ndarray, known: Collection[str], separator: str | None
) -> Sequence[Labels | None]:
    """The labels of each of ``rows``; None where they are not known."""

    def at(row: int) -> str:
        return table.at(int(rows[row]))

    several = label_columns(column, table.columns)
    if len(several) > 1:
        return sets_of_columns(_bits(table, several, rows), at=at)
    cells = [cell.strip() for cell in taken(table.values[column], rows)]
    return read_label_sets(cells, known, source=table.source, at=at, separator=separator)


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
