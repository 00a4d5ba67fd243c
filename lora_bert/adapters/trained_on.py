"""What an adapter remembers of its training's rows: how they were named, read and divided.

An adapter has it in ``run.yaml``; ``lora_bert.json`` keeps it too, because that goes on into merged
and exported models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path, PurePath
from typing import Any

from lora_bert.adapters.manifest import MANIFEST, Manifest
from lora_bert.config import TrainConfig
from lora_bert.config.shared import LabelledFileOptions, TrainRows
from lora_bert.data.part_names import DATA_OPTIONS
from lora_bert.data.rows import TrainingFormat
from lora_bert.errors import AdapterError, ConfigError, LoraBertError
from lora_bert.names import parse_names
from lora_bert.options import build, options_of, read_yaml

RUN = "run.yaml"

RUN_OPTIONS = frozenset(
    name for name, option in options_of(TrainConfig).items() if option.group == "Run"
)
"""How a training is looked after, and where: none of it decides what is learned."""

_OF_TEXTS = ("clean", "max_length")
_OF_ROWS = [entry.name for kind in (LabelledFileOptions, TrainRows) for entry in fields(kind)]
_KEPT = (*(name for name in _OF_ROWS if name not in _OF_TEXTS), "metric")


def kept_options(config: TrainConfig) -> dict[str, Any]:
    """What a training was told of its rows and how to judge them, as ``lora_bert.json`` keeps it.

    ``config`` is resolved, without paths of this machine.
    """
    values = {name: getattr(config, name) for name in _KEPT}
    plain = {name: list(value) if isinstance(value, tuple) else value
             for name, value in values.items()}  # fmt: skip
    return {name: value for name, value in plain.items() if value not in (None, [])}


def training_of(path: Path, manifest: Manifest) -> TrainConfig | None:
    """How the rows of an adapter's training were named, read and divided; None if it keeps nothing.

    ``path`` is the directory of the adapter, or of the model that was made of it.

    Raises:
        AdapterError: Its data are named by a path of another machine, or ``lora_bert.json`` tells
            what no training can be told.
    """
    if (path / RUN).is_file():
        source, config = path / RUN, build(TrainConfig, read_yaml(path / RUN, TrainConfig))
    else:
        source = path / MANIFEST
        values = manifest.data.get("told")
        if values is None:
            return None
        config = _built(values, source)
    for option in DATA_OPTIONS:
        value = getattr(config, option)
        for name in value if isinstance(value, tuple) else (value,):
            # Ours never are; a stranger's would have any file of this machine read.
            if name and (PurePath(name).is_absolute() or ".." in PurePath(name).parts):
                raise AdapterError(
                    f"'{source}' names its data by a path of another machine, '{name}'.",
                    hint="Name the rows to score with --data.",
                )
    return config


def with_kept_options(manifest: Manifest, path: Path) -> Mapping[str, Any]:
    """``manifest.data`` of an adapter; of an older one with what its ``run.yaml`` tells."""
    data = manifest.data
    if "told" in data or not (path / RUN).is_file():
        return data
    try:
        config = training_of(path, manifest)
    except LoraBertError:
        return data  # a stranger's: whoever needs its rows is told so
    return {**data, "told": kept_options(config)} if config else data


def training_format(manifest: Manifest) -> TrainingFormat:
    """How files like those of the training are read, see :class:`.TrainingFormat`.

    Raises:
        AdapterError: ``lora_bert.json`` tells what no training can be told.
    """
    config = _built(manifest.data.get("told", {}), Path(MANIFEST))
    return TrainingFormat(
        header=config.header,
        columns=parse_names(config.columns),
        encoding=config.encoding,
        text_column=manifest.column("text"),
        pair_column=manifest.column("text_pair"),
        inputs=manifest.inputs,
        label_column=manifest.column("label"),
        labels=frozenset((*manifest.labels, *manifest.label_names)),
        tagging=manifest.tagging,
        finds_answers=manifest.finds_answers,
    )


def _built(values: Any, source: Path) -> TrainConfig:
    kept = values if isinstance(values, dict) else {"data": values}
    try:
        return build(TrainConfig, {key: value for key, value in kept.items() if key in _KEPT})
    except ConfigError as error:
        raise AdapterError(
            f"'{source}' tells of its training what makes no sense: {error}"
        ) from error
