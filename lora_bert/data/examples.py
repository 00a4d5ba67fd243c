"""Labelled rows, as every later step takes them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lora_bert.data.columns import find_columns
from lora_bert.data.rows import Files
from lora_bert.data.tables import Table
from lora_bert.data.wording import counted, listed, position
from lora_bert.errors import DataError

logger = logging.getLogger(__name__)

_NO_NAMES: Mapping[str, str] = {}


@dataclass(frozen=True)
class Examples:
    """Rows of one set.

    Attributes:
        texts: The texts as they stand in the file.
        labels: Their labels, as many; empty when the rows have none.
        lines: Where they stand in ``source``, from 1; ``unit`` says what is counted.
        source: How to name the file in messages.
        dropped_text: How many rows were left out because their text was empty.
        dropped_label: How many more because their label was.
        files: Where ``source`` is several files: which of them ``lines`` count in.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    lines: tuple[int, ...]
    source: str
    dropped_text: int = 0
    dropped_label: int = 0
    unit: str = "line"
    files: Files | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def at(self, row: int) -> str:
        """Where a row stands, as messages say it: ``"'a.csv', line 3"``."""
        if self.files is not None:
            return self.files.at(self.lines[row])
        return position(self.source, self.lines[row], self.unit)

    def mark(self, row: int) -> int | str:
        """Where a row stands, for a table: its line; of several files ``"b.csv:3"``."""
        return self.lines[row] if self.files is None else self.files.mark(self.lines[row])

    def take(self, indices: Iterable[int]) -> Examples:
        """The rows at ``indices``, in that order."""
        chosen = list(indices)
        return replace(
            self,
            texts=tuple(self.texts[at] for at in chosen),
            labels=tuple(self.labels[at] for at in chosen) if self.labels else (),
            lines=tuple(self.lines[at] for at in chosen),
        )


def examples_from(
    table: Table,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    label_names: Mapping[str, str] = _NO_NAMES,
    need_labels: bool = True,
) -> Examples:
    """The examples in a table; rows with an empty text or label are dropped and counted.

    Args:
        table: What was read.
        text_column: The column with the texts; ``None`` finds it by name.
        label_column: The same for the labels.
        label_names: Names to put for labels; others stay what they are.
        need_labels: ``False`` takes the texts only, unless ``label_column`` is given.

    Raises:
        DataError: A column is not there, or no row is left.
    """
    text_name, label_name = find_columns(
        table.columns,
        text=text_column,
        label=label_column,
        need_label=need_labels,
        source=table.source,
    )
    texts = table.values[text_name]
    labels = None
    if label_name is not None:
        labels = [label.strip() for label in table.values[label_name]]
    with_text = [at for at, text in enumerate(texts) if text.strip()]
    kept = [at for at in with_text if labels is None or labels[at]]
    found = Examples(
        texts=tuple(texts[at] for at in kept),
        labels=_named(labels, kept, label_names, table.source) if labels else (),
        lines=tuple(table.lines[at] for at in kept),
        source=table.source,
        dropped_text=len(texts) - len(with_text),
        dropped_label=len(with_text) - len(kept),
        unit=table.unit,
        files=table.files,
    )
    _say_dropped(found)
    return found


def _named(
    labels: list[str], kept: list[int], names: Mapping[str, str], source: str
) -> tuple[str, ...]:
    chosen = [labels[at] for at in kept]
    if names and chosen and not names.keys() & set(chosen):
        logger.warning(
            "None of the labels to rename (%s) stands in '%s'; it has %s.",
            listed(names),
            source,
            listed(dict.fromkeys(chosen)),
        )
    return tuple(names.get(label, label) for label in chosen)


def _say_dropped(found: Examples) -> None:
    reasons = [
        f"{counted(number, 'row')} with an empty {what}"
        for number, what in ((found.dropped_text, "text"), (found.dropped_label, "label"))
        if number
    ]
    if not len(found):
        raise DataError(f"'{found.source}' has nothing left: {' and '.join(reasons)}.")
    if reasons:
        logger.warning("Dropped %s from '%s'.", " and ".join(reasons), found.source)
