"""Rows of none, one or several labels: how such a label stands in :class:`Examples`, and is read.

There every row has one string: the labels of a row are its JSON list, sorted, ``["joy", "love"]``.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

from lora_bert.data.columns import label_column_of, label_columns
from lora_bert.data.data_options import DataOptions
from lora_bert.data.labels import At, Labels, sets_in, sets_of_columns
from lora_bert.data.tables import Table
from lora_bert.errors import DataError
from lora_bert.wording import counted

logger = logging.getLogger(__name__)


def write_set(labels: Iterable[str]) -> str:
    """The labels of one row as one string; equal sets are equal strings."""
    return json.dumps(sorted(set(labels)), ensure_ascii=False)


@lru_cache(maxsize=1 << 16)
def read_set(written: str) -> Labels:
    """What :func:`write_set` has written."""
    return tuple(json.loads(written))


def read_label_sets(
    cells: Sequence[str], named: Collection[str], *, source: str, at: At, separator: str | None
) -> list[Labels]:
    """The labels of each row, none where its cell is empty, of a column of lists or joined labels.

    Args:
        cells: The cells of the label column, without white space around them.
        named: Labels that are known or will be renamed: such a cell is one label.
        source: How to name the file in messages.
        at: Says where a row stands.
        separator: What stands between the labels of a cell; None looks for it.

    Raises:
        DataError: What stands there are no labels: spans of a text, an object of no known shape.
    """
    sets = sets_in(cells, named, source=source, at=at, separator=separator, likely=True)
    return [sets.get(cell, (cell,) if cell else ()) for cell in cells]


def written_sets(
    sets: Sequence[Labels | None], names: Mapping[str, str], source: str, *, quiet: bool = False
) -> list[str]:
    """The labels of each row, renamed, as one string; how many rows have none is said.

    "" where they are not known, which is None.
    """
    strings = {labels: "" if labels is None else write_set(names.get(each, each) for each in labels)
               for labels in dict.fromkeys(sets)}  # fmt: skip
    if (none := sets.count(())) and not quiet:
        logger.info(
            "%s of '%s' %s no label: that is an answer too.",
            counted(none, "row"), source, "has" if none == 1 else "have",
        )  # fmt: skip
    return [strings[labels] for labels in sets]


def rows_of_several(table: Table, options: DataOptions) -> int:
    """How many rows of a table have several labels; 0 where their column is not to be found.

    A cell that may be several labels or one counts as one.
    """
    label = label_column_of(
        table.columns, text=options.text_column, label=options.label_column,
        training=options.read.training, cells=table.values, source=table.source,
    )  # fmt: skip
    if label is None:
        return 0
    columns = label_columns(label, table.columns)
    try:
        if len(columns) > 1:
            bits = {name: table.values[name] for name in columns}
            return sum(len(labels or ()) > 1 for labels in sets_of_columns(bits, at=table.at))
        cells = Counter(map(str.strip, table.values[label]))
        sets = sets_in(
            list(cells), options.label_names, source=table.source, at=table.at,
            separator=options.label_separator, quiet=True,
        )  # fmt: skip
    except DataError:
        return 0  # whoever reads them says what is wrong
    return sum(rows for cell, rows in cells.items() if len(sets.get(cell, ())) > 1)
