"""``--log-to``: what a training says to TensorBoard, Weights & Biases and others, by Accelerate."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from lora_bert.config import TrainConfig
from lora_bert.config.training import TRACKERS
from lora_bert.errors import ConfigError, UnavailableError, did_you_mean
from lora_bert.files import beside
from lora_bert.names import parse_names, write_names
from lora_bert.runtime.distributed import processes

_EXTRAS = ("tensorboard", "wandb", "mlflow", "trackio")


def check_trackers(config: TrainConfig) -> list[str]:
    """The names in ``--log-to``, each that of a tracker whose package is installed.

    Raises:
        ConfigError: Accelerate knows no tracker of that name.
        UnavailableError: Its package is not installed.
    """
    names = list(dict.fromkeys(parse_names(config.log_to or "")))
    for name in (name for name in names if name not in TRACKERS):
        raise ConfigError(
            f"--log-to: '{name}' is not one of {', '.join(TRACKERS)}.",
            hint=did_you_mean(name, TRACKERS),
        )
    for name in names:
        if importlib.util.find_spec(name) is None:
            package = f"'lora-bert[{name}]'" if name in _EXTRAS else name
            raise UnavailableError(
                f"--log-to {name}: its package '{name}' is not installed.",
                hint=f"pip install {package}",
            )
    return names


@contextmanager
def tracking(config: TrainConfig, *, after: int = 0) -> Iterator[Accelerator]:
    """Yield Accelerate's face of this process, whose ``log`` reaches the trackers of ``--log-to``.

    The first process alone logs; the configuration is logged as hyperparameters. ``after`` is the
    optimizer step that the training goes on from; later ones are logged anew.

    Raises:
        UnavailableError: A tracker cannot begin: nobody is logged in, its server does not answer.
    """
    output, names = Path(str(config.output)), check_trackers(config)
    # Tensors are where the backbone is; the accelerator need not place them, and waits on the CPU.
    accelerator = Accelerator(
        device_placement=False, cpu=processes().count > 1, log_with=names or None,
        project_dir=str(beside(output, ".logs")) if names else None,
    )  # fmt: skip
    settings: dict[str, dict[str, Any]] = {
        "tensorboard": {"purge_step": after + 1},
        "wandb": {"name": output.name},
        "trackio": {"name": output.name},
        "mlflow": {"run_name": output.name},
    }
    try:
        if names:
            accelerator.init_trackers("lora-bert", _hyperparameters(config), settings)
    except Exception as error:  # each package has errors of its own
        reason = " ".join(str(error).split())
        raise UnavailableError(f"--log-to {config.log_to}: {reason}") from error
    try:
        yield accelerator
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()


def _hyperparameters(config: TrainConfig) -> dict[str, int | float | str | bool]:
    """Every option that has a value, in types that every tracker takes."""
    values = {entry.name: getattr(config, entry.name) for entry in fields(config)}
    return {
        key: value
        if isinstance(value, int | float)
        else write_names(value)
        if isinstance(value, tuple)
        else str(value)
        for key, value in values.items()
        if value not in (None, ())
    }
