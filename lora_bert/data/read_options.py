"""From what a command was told to what the readers need to know."""

from __future__ import annotations

from lora_bert.config import TrainConfig
from lora_bert.config.shared import Reading
from lora_bert.data.data_options import DataOptions
from lora_bert.data.rows import Known, ReadOptions
from lora_bert.names import parse_label_names, parse_names


def read_options(config: Reading, known: Known | None = None) -> ReadOptions:
    """How to read a file; ``known`` is what an adapter remembers of its training's."""
    return ReadOptions(
        header=config.header,
        columns=parse_names(config.columns),
        encoding=config.encoding,
        known=known,
    )


def data_options(config: TrainConfig, *, classes: bool = True) -> DataOptions:
    """How to read and split labelled data for training; ``classes``: see :class:`DataOptions`."""
    return DataOptions(
        text_column=config.text_column,
        label_column=config.label_column,
        label_names=parse_label_names(config.label_names),
        read=read_options(config),
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        split="random" if config.split == "random" or not classes else "stratified",
        split_seed=config.split_seed,
        limit=config.limit,
        classes=classes,
    )
