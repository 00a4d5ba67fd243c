"""What is kept of a run: the adapter's directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lora_bert.adapters.card import card
from lora_bert.adapters.manifest import Manifest, versions, write_manifest
from lora_bert.adapters.peft_config import WEIGHTS
from lora_bert.adapters.peft_format import write_peft
from lora_bert.adapters.trained_on import RUN, kept_options
from lora_bert.config import TrainConfig
from lora_bert.data.given import Given
from lora_bert.data.label_file import renaming
from lora_bert.evaluation.plots import curve_png
from lora_bert.evaluation.result import Evaluation
from lora_bert.files import atomic_directory, portable
from lora_bert.model.adapter import Adapter
from lora_bert.names import write_label_names
from lora_bert.options import as_command, as_yaml
from lora_bert.runtime.device import dtype_name
from lora_bert.tasks.problem_types import option_of
from lora_bert.training.context import Context
from lora_bert.training.methods import lora_settings
from lora_bert.training.trainer import Fit

_OF_A_CALL = ("overwrite", "resume", "watch", "watch_pair", "log_to")
"""Options that say what to do with what is there already, or show; not what to learn."""


def record(
    context: Context, adapter: Adapter, fitted: Fit, evaluations: Mapping[str, Evaluation]
) -> None:
    """Write the adapter's directory, whole or not at all, with no path of this machine in it.

    Raises:
        OutputError: It cannot be written, or is taken.
    """
    config, files, encoder = context.config, context.files, context.backbone.config
    start = fitted.progress.head_start
    held_out = context.splits.held_out or config.validation_fraction
    portable = replace(
        _portable(config, files.name), head_start=start, validation_fraction=held_out
    )
    manifest = _manifest(context, adapter, portable, fitted, evaluations)
    with atomic_directory(context.output, overwrite=config.overwrite) as work:
        write_peft(
            work, adapter, lora_settings(config, encoder), encoder, backbone_name=files.name,
            revision=files.revision, task_type=context.task.peft_task_type,
        )  # fmt: skip
        context.tokenizer.save(work)
        write_manifest(work, manifest, (WEIGHTS,))
        run = as_yaml(portable, leave_out=("output", *_OF_A_CALL))
        (work / RUN).write_text(run, encoding="utf-8")
        command = ""
        if option_of(manifest.problem_type):  # the command line names no other task
            command = as_command("train", portable, leave_out=_unsaid(context))
        size, changes_layers = adapter.parameter_count, bool(adapter.factors)
        text = card(
            manifest, "adapter", command=command, size=size, changes_layers=changes_layers,
            encoder=encoder, fitted=start == "probe",
        )  # fmt: skip
        (work / "README.md").write_text(text, encoding="utf-8")
        if history := fitted.history:
            metrics, curve = context.task.metrics, work / "curve.png"
            curve_png(history, curve, best_epoch=fitted.best_epoch, metrics=metrics)


def _manifest(
    context: Context, adapter: Adapter, portable: TrainConfig, fitted: Fit,
    evaluations: Mapping[str, Evaluation],
) -> Manifest:  # fmt: skip
    """What the adapter says of itself; ``portable`` is the configuration without paths."""
    config, splits = context.config, context.splits
    return Manifest(
        labels=context.task.labels,
        problem_type=context.task.problem_type,
        task=context.task.pipeline,
        settings=context.task.settings,
        max_length=context.tokenizer.max_length,
        stride=0 if context.task.stride else context.tokenizer.stride,
        inputs=splits.train.inputs,
        backbone={
            "name": context.files.name,
            "revision": context.files.revision,
            "model_type": context.backbone.config.model_type,
            "fingerprint": context.fingerprint,
        },
        label_names=renaming(config),
        clean=config.clean,
        data={
            "name": splits.name,
            "sha256": splits.sha256,
            "rows": {part: rows.encodings.row_count for part, rows in context.tokens.items()},
            "columns": dict(splits.columns),
            "told": kept_options(portable),
            **({"fitted_to_all": True} if fitted.fitted_to_all else {}),
            **({"from_python": True} if _is_given(config) else {}),
        },
        metrics={part: _figures(evaluation) for part, evaluation in evaluations.items()},
        versions=versions(),
        tokenizer={"fingerprint": context.tokenizer.fingerprint},
        pooling=adapter.pooling,
    )


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    kept = (*evaluation.scores.figures, "rows", "interval", f"{evaluation.shown[0].name}_interval")
    return {key: value for key, value in evaluation.as_dict().items() if key in kept}


def _unsaid(context: Context) -> tuple[str, ...]:
    """Options that need no place in the command: what they resolve to is the default."""
    config = context.config
    usual = ["alpha"] if config.alpha == 2 * config.rank else []
    if config.overflow == ("windows" if context.task.stride else "cut"):
        usual.append("overflow")
    if config.dtype == dtype_name("auto", config.device):
        usual.append("dtype")
    if config.head_start == "auto":
        usual.append("head_start")
    if config.validation_fraction is None:
        usual.append("validation_fraction")
    return (*_OF_A_CALL, *usual)


def _is_given(config: TrainConfig) -> bool:
    """Whether rows came from Python: then only their name can be kept."""
    places = (config.data, *config.train, *config.validation, *config.test)
    return any(isinstance(place, Given) for place in places)


def _portable(config: TrainConfig, backbone_name: str) -> TrainConfig:
    """The configuration without paths of this machine: relative ones stay, others lose theirs."""
    parts = ("train", "validation", "test")
    files = {part: tuple(map(portable, getattr(config, part))) for part in parts}
    data = None if config.data is None else portable(config.data)
    if config.label_file:
        config = replace(config, label_names=write_label_names(renaming(config)), label_file=None)
    return replace(config, backbone=backbone_name, data=data, **files, output=None)  # type: ignore[arg-type]
