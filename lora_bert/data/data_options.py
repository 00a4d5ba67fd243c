"""What the readers of a data set are told: columns, renamed labels, how rows are divided."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from lora_bert.data.rows import ReadOptions
from lora_bert.data.splits import SplitKind


@dataclass(frozen=True)
class DataOptions:
    """How to read and divide data.

    Attributes:
        text_column: The column with the texts; ``None`` finds it by name.
        label_column: The same for the labels; several columns of 0 and 1 as ``a,b,c``.
        label_names: Names to put for the labels in the file.
        read: How to read the files.
        validation_fraction: The share of the training rows to validate with where no file is given.
        test_fraction: The share of the rows to hold out before that, where no test file is given.
        split: How those are drawn, see :func:`lora_bert.data.splits.split`.
        split_seed: The seed of that draw, and of ``limit``'s.
        limit: The most rows to use of each file; ``None`` for all.
        known_text: What an adapter's training called the text column: tried before the usual names.
        known_label: The same for the label column.
        known_labels: What it took for one label, whatever it looks like.
        classes: Whether a label is one of a few classes, each of which must have training rows.
    """

    text_column: str | None = None
    label_column: str | None = None
    label_names: Mapping[str, str] = field(default_factory=dict)
    read: ReadOptions = field(default_factory=ReadOptions)
    validation_fraction: float = 0.2
    test_fraction: float = 0.0
    split: SplitKind = "stratified"
    split_seed: int = 42
    limit: int | None = None
    known_text: str | None = None
    known_label: str | None = None
    known_labels: Collection[str] = ()
    classes: bool = True


DEFAULTS = DataOptions()
