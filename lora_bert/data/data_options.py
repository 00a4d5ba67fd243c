"""How a data set is read: its columns, labels to rename, how its rows are divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lora_bert.config import TrainConfig
from lora_bert.config.shared import TextFileOptions
from lora_bert.data.label_file import renaming, separator
from lora_bert.data.rows import NO_TRAINING, ReadOptions, TrainingFormat
from lora_bert.names import parse_names

SplitKind = Literal["stratified", "random"]

LabelForm = Literal["one", "set", "number", "tags", "answers"]
"""What a row's label is: one label; none, one or several of them; a number; tags of its words;
where the answers to its question stand."""


@dataclass(frozen=True)
class DataOptions:
    """How to read and divide data, as the options of the same names say it.

    Attributes:
        validation_fraction: None for :func:`~lora_bert.data.splits.usual_fraction`.
        label_names: Names to put for the labels in the file.
        read: How to read the files, and what an adapter's training called the columns.
        label_separator: What stands between the labels of a cell; None looks for it.
        label_form: What a row's label is.
        classes: Whether labels are of a few classes, each of which must have training rows.
        beside: Names of columns whose cells are kept with the rows, where a part has them.
    """

    text_column: str | None = None
    label_column: str | None = None
    label_names: Mapping[str, str] = field(default_factory=dict)
    read: ReadOptions = field(default_factory=ReadOptions)
    validation_fraction: float | None = None
    test_fraction: float = 0.0
    split: SplitKind = "stratified"
    split_seed: int = 42
    limit: int | None = None
    label_separator: str | None = None
    label_form: LabelForm = "one"
    classes: bool = True
    text_pair_column: str | None = None
    beside: tuple[str, ...] = ()


DEFAULTS = DataOptions()


def read_options(config: TextFileOptions, training: TrainingFormat = NO_TRAINING) -> ReadOptions:
    """How a command reads a file; ``training`` is what an adapter remembers of its training's."""
    return ReadOptions(config.header, parse_names(config.columns), config.encoding, training)


def data_options(
    config: TrainConfig, *, classes: bool = True, label_form: LabelForm = "one"
) -> DataOptions:
    """How a training reads and splits its data; ``classes`` and ``label_form``: of its task.

    Raises:
        ConfigError, DataError, NotFoundError: Its renaming of labels makes no sense.
    """
    return DataOptions(
        text_column=config.text_column,
        text_pair_column=config.text_pair_column,
        label_column=config.label_column,
        label_names=renaming(config),
        read=read_options(config),
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        split="random" if config.split == "random" else "stratified",
        split_seed=config.split_seed,
        limit=config.limit,
        label_separator=separator(config.label_separator),
        label_form=label_form,
        classes=classes,
    )
