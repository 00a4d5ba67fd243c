"""What ``--method`` trains, LoRA matrices and the head or the head alone: all that it decides."""

from __future__ import annotations

from dataclasses import replace

import torch

from lora_bert.adapters.peft_format import LoraSettings
from lora_bert.backbones.config import EncoderConfig, Pooling
from lora_bert.config import TrainConfig
from lora_bert.errors import ConfigError
from lora_bert.model import target_modules
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.new_adapter import head_only, new_adapter
from lora_bert.options import flag
from lora_bert.tasks.base import Task


def with_layers(config: TrainConfig, encoder: EncoderConfig) -> TrainConfig:
    """The configuration with the layers of the backbone that are adapted, if any are.

    Raises:
        ConfigError: They cannot be, or an option contradicts the method.
    """
    if config.method == "lora":
        config = replace(config, layers=target_modules.resolved_layers(config.layers, encoder))
    if config.rank < 1:
        raise ConfigError(
            f"--rank {config.rank}: LoRA matrices need a rank of at least 1.",
            hint="8 is a good start. To train the head alone, say --method head-only.",
        )
    if config.method == "head-only":
        _refuse_lora_options(config)
        return config
    target_modules.target_names(encoder, config.target_modules, config.layers)
    if config.rank > (most := encoder.hidden_size):
        raise ConfigError(
            f"--rank {config.rank}: the backbone's layers are {most} wide, so a change of them "
            f"has no rank above {most}.",
            hint="8 is a good start.",
        )
    return config


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


def starts_fitted(config: TrainConfig, task: Task) -> bool:
    """Whether the head is to be fitted on the frozen backbone before the first step.

    By ``auto`` not where layers learn beneath it and the task says that it is better at random.
    """
    if config.head_start == "auto" and config.method != "head-only" and task.random_start:
        return False
    return config.head_start != "random" and task.has_probe()


def fresh_adapter(config: TrainConfig, backbone: Backbone, outputs: int) -> Adapter:
    """The adapter before its first step, where the backbone is."""
    generator = torch.Generator().manual_seed(config.seed)
    if config.method == "head-only":
        adapter = head_only(backbone, outputs, generator=generator)
    else:
        adapter = new_adapter(
            backbone, outputs, rank=config.rank, alpha=float(config.alpha or 0),
            dropout=config.dropout, target_modules=config.target_modules, layers=config.layers,
            generator=generator,
        )  # fmt: skip
    pooling: Pooling = "mean" if config.pooling == "mean" else "cls"
    pooling = "none" if backbone.config.head.pooling == "none" else pooling
    return replace(adapter, pooling=pooling).to(backbone.device)


def lora_settings(config: TrainConfig, encoder: EncoderConfig) -> LoraSettings:
    """How LoRA matrices came about, as PEFT keeps it."""
    if config.method == "head-only":
        return LoraSettings()
    top = target_modules.parse_layers(config.layers, encoder)
    return LoraSettings(
        rank=config.rank,
        alpha=float(config.alpha or 0),
        dropout=config.dropout,
        target_modules=target_modules.target_suffixes(encoder, config.target_modules),
        layers=tuple(top) if top.start else None,
    )
