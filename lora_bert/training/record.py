"""What is kept of a run: the adapter's directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from lora_bert.adapters.manifest import Manifest
from lora_bert.adapters.saving import CURVE, save_adapter, versions
from lora_bert.adapters.trained_on import kept_options
from lora_bert.config import TrainConfig
from lora_bert.data.given import Given
from lora_bert.evaluation.plots import curve_png
from lora_bert.evaluation.result import Evaluation
from lora_bert.model.adapter import Adapter
from lora_bert.names import parse_label_names
from lora_bert.options import as_command, as_yaml
from lora_bert.runtime.device import dtype_name
from lora_bert.training.context import Context
from lora_bert.training.methods import lora_settings
from lora_bert.training.trainer import Fit

_OF_A_CALL = ("overwrite", "resume", "watch", "log_to")
"""Options that say what to do with what is there already, or show; not what to learn."""


def record(
    context: Context, adapter: Adapter, fitted: Fit, evaluations: Mapping[str, Evaluation]
) -> None:
    """Write the adapter's directory."""
    config, encoder = context.config, context.backbone.config
    portable = _portable(config, context.files.name)
    backbone = {
        "name": context.files.name,
        "revision": context.files.revision,
        "model_type": encoder.model_type,
        "fingerprint": context.fingerprint,
    }
    counts = {part: len(rows) for part, rows in context.tokens.items()}
    manifest = Manifest(
        labels=context.task.labels,
        problem_type=context.task.problem_type,
        settings=context.task.settings,
        max_length=context.tokenizer.max_length,
        backbone=backbone,
        label_names=parse_label_names(config.label_names),
        clean=config.clean,
        data={
            "name": context.splits.name,
            "sha256": context.splits.sha256,
            "rows": counts,
            "columns": dict(zip(("text", "label"), context.splits.columns, strict=True)),
            "told": kept_options(portable),
            **({"from_python": True} if _is_given(config) else {}),
        },
        metrics={part: _figures(evaluation) for part, evaluation in evaluations.items()},
        versions=versions(),
        tokenizer={"fingerprint": context.tokenizer.fingerprint},
    )
    settings = lora_settings(config, encoder)

    def draw(work: Path) -> None:
        if history := fitted.history:
            best = fitted.best_epoch
            curve_png(history, work / CURVE, best_epoch=best, metrics=context.task.metrics)

    save_adapter(
        context.output, adapter, manifest, context.tokenizer, settings, encoder,
        run_yaml=as_yaml(portable, leave_out=("output", *_OF_A_CALL)),
        command=as_command("train", portable, leave_out=_unsaid(config)),
        overwrite=config.overwrite,
        extra=draw,
    )  # fmt: skip


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    kept = (*evaluation.scores.figures, "rows", "interval")
    return {key: value for key, value in evaluation.as_dict().items() if key in kept}


def _unsaid(config: TrainConfig) -> tuple[str, ...]:
    """Options that need no place in the command: what they resolve to is the default."""
    usual = ["alpha"] if config.alpha == 2 * config.rank else []
    if config.dtype == dtype_name("auto", config.device):
        usual.append("dtype")
    return (*_OF_A_CALL, *usual)


def _is_given(config: TrainConfig) -> bool:
    """Whether rows came from Python: then only their name can be kept."""
    places = (config.data, *config.train, *config.validation, *config.test)
    return any(isinstance(place, Given) for place in places)


def _portable(config: TrainConfig, backbone_name: str) -> TrainConfig:
    """The configuration without paths of this machine: relative ones stay, others lose theirs."""
    parts = ("train", "validation", "test")
    files = {part: tuple(map(_without_directories, getattr(config, part))) for part in parts}
    data = None if config.data is None else _without_directories(config.data)
    return replace(config, backbone=backbone_name, data=data, **files, output=None)  # type: ignore[arg-type]


def _without_directories(name: str) -> str:
    """A path that is relative, and of any other one the last part."""
    path = PurePath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    return path.as_posix() if inside else path.name
