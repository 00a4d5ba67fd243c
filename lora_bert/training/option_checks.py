"""What can be said of a configuration before its data are read: defaults, and what cannot work."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path, PurePath

from lora_bert.backbones.config import EncoderConfig
from lora_bert.config import TrainConfig
from lora_bert.data import named
from lora_bert.errors import ConfigError
from lora_bert.model.target_modules import target_names
from lora_bert.options import flag
from lora_bert.tasks.registry import task_of
from lora_bert.training.trackers import check_trackers

log = logging.getLogger(__name__)


def resolve(config: TrainConfig) -> TrainConfig:
    """Fill in what depends on other options."""
    task = task_of(config.task)
    if config.metric == TrainConfig().metric and task.metrics[0].name != config.metric:
        config = replace(config, metric=task.metrics[0].name)
    task.metric(config.metric)
    if not any((config.data, config.train, config.validation, config.test)):
        config = replace(config, data=named.DEFAULT)
        log.info("No --data: training on the small data set '%s' that ships here.", named.DEFAULT)
    first = config.data or next(iter(config.train), "")
    last = PurePath(first).name or Path(first).resolve().name
    name = last.split(".")[0].strip("*?[]-_") or "adapter"
    return replace(
        config,
        alpha=config.alpha if config.alpha is not None else 2.0 * config.rank,
        output=config.output or str(Path("runs") / name),
    )


def check(config: TrainConfig, encoder: EncoderConfig) -> None:
    """Find what cannot work before the data are read."""
    check_trackers(config)
    if config.rank < 1:
        raise ConfigError(
            f"--rank {config.rank}: LoRA matrices need a rank of at least 1.",
            hint="8 is a good start. To train the head alone, say --method head-only.",
        )
    if config.method == "lora":
        target_names(encoder, config.target_modules, config.layers)
        most = encoder.hidden_size
        if config.rank > most:
            raise ConfigError(
                f"--rank {config.rank}: the backbone's layers are {most} wide, so a change of them "
                f"has no rank above {most}.",
                hint="8 is a good start.",
            )
    else:
        _refuse_lora_options(config)
    longest = encoder.max_length
    if config.max_length and config.max_length > longest:
        raise ConfigError(
            f"--max-length {config.max_length}: the backbone has positions for {longest} tokens.",
            hint=f"Use --max-length {longest} or less.",
        )


def _refuse_lora_options(config: TrainConfig) -> None:
    """Options that say how layers are adapted contradict adapting none."""
    usual = {key: TrainConfig.__dataclass_fields__[key].default
             for key in ("rank", "dropout", "target_modules", "layers")}  # fmt: skip
    for key, value in (usual | {"alpha": 2 * config.rank}).items():
        if getattr(config, key) not in (value, None):
            raise ConfigError(
                f"{flag(key)} says how layers are adapted; --method head-only adapts none.",
                hint="Leave one of the two out.",
            )
