"""The card (``README.md``) of an adapter or merged model, generated from what it says of itself.

Its text is the template ``card.md``; model hubs read the metadata at its head.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from lora_bert.adapters.manifest import Manifest
from lora_bert.adapters.peft_format import reads_otherwise
from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.embedded import EMBEDDED
from lora_bert.backbones.mean_layer import last_norm
from lora_bert.metrics.metric import Metric
from lora_bert.tasks.problem_types import task_of

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

_SHOWN_LABELS = 100


def card(
    manifest: Manifest, kind: Literal["adapter", "merged"], *, command: str = "", size: int = 0,
    changes_layers: bool = True, fitted: bool = False, encoder: EncoderConfig | None = None,
) -> str:  # fmt: skip
    """Markdown, which UTF-8 can hold, with the metadata header that model hubs read.

    Of an adapter it says what ``command`` trained it, how many parameters that were (``size``),
    whether it has LoRA matrices beside its head, and whether that was fitted before any step;
    ``encoder``, for the way to open it with plain PEFT, is that of its backbone.
    """
    from jinja2 import Template

    backbone, revision = manifest.backbone_name, manifest.backbone.get("revision")
    elsewhere = "hub" if revision or "/" in backbone else "directory"
    # Some figures are of some rows only.
    every = task_of(manifest.problem_type).metrics
    parts = [figures for figures in manifest.metrics.values() if isinstance(figures, dict)]
    metrics = [each for each in every if all(each.name in figures for figures in parts)] or every
    scores = {part: figures for part, figures in manifest.metrics.items()
              if _is_whole(figures, metrics)}  # fmt: skip
    counts = manifest.data.get("rows")
    task = manifest.restored_task("it")
    template = Template((files("lora_bert.adapters") / "card.md").read_text(encoding="utf-8"))
    rendered = template.render(
        card_data=_metadata(manifest, kind, scores, metrics).to_yaml(),
        manifest=manifest,
        kind=kind,
        task=task,
        auto=f"AutoModelFor{task.auto_class}",
        asked_as=task.asked_as[manifest.inputs == 2],
        name=_name(manifest),
        source="embedded" if backbone in EMBEDDED else elsewhere,
        backbone=_quoted(backbone),
        revision=_quoted(revision) if revision else "",
        settings=task.settings_in_words(),
        labels=[_quoted(label) for label in manifest.labels[:_SHOWN_LABELS]],
        metrics=metrics,
        scores=scores,
        intervals={
            part: interval
            for part, figures in scores.items()
            if (interval := _interval(figures, metrics[0]))
        },
        rows=counts if isinstance(counts, dict) else {},
        command=command,
        size=size,
        changes_layers=changes_layers,
        fitted=fitted,
        pooling=manifest.pooling or "cls",
        peft=_in_peft(manifest, encoder),
    )
    # A file's name can be bytes that are no UTF-8; the command and the data name files.
    return f"{rendered}\n".encode("utf-8", "backslashreplace").decode("utf-8")


def _in_peft(manifest: Manifest, encoder: EncoderConfig | None) -> dict[str, Any]:
    """What plain PEFT needs where the head reads what the backbone's classifier does not.

    ``refuses`` says that it does; ``key`` and ``value`` are of the configuration of a model that
    reads it, ``last`` and so on are the parts of the one that has a layer more for that.
    """
    pooling = manifest.pooling
    if encoder is None or pooling is None or not reads_otherwise(pooling, encoder):
        return {"refuses": False}
    if encoder.head.pooling_key:
        return {"refuses": True, "key": encoder.head.pooling_key, "value": _quoted(pooling)}
    if pooling != "mean":  # on a merged model that has the layer
        return {"refuses": True}
    layout, count = encoder.layout, encoder.num_hidden_layers
    added = f"base.{layout.prefix}{layout.layer_path(count)}"
    parts = {
        "last": f"base.{last_norm(encoder)}",
        "added": added,
        "value_linear": f"added.{layout.linears['value']}",
        "attention_output": f"added.{layout.linears['attention_output']}",
    }
    python = {name: re.sub(r"\.(\d+)", r"[\1]", path) for name, path in parts.items()}
    size = {"key": encoder.layers_key, "value": count + 1, "width": encoder.hidden_size}
    return {"refuses": True, **size, **python}


def _name(manifest: Manifest) -> str:
    return str(manifest.data.get("name") or manifest.task.replace("-", " "))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _interval(figures: Mapping[str, Any], metric: Metric) -> Any:
    """That of the first figure; an accuracy's has no other name."""
    return figures.get("interval" if metric.name == "accuracy" else f"{metric.name}_interval")


def _is_whole(figures: Any, metrics: Sequence[Metric]) -> bool:
    """Whether a part's figures are what this version writes: a stranger's may be anything."""
    if not isinstance(figures, dict):
        return False
    interval = _interval(figures, metrics[0]) or [0, 0]
    numbers = [figures.get(key) for key in (*(metric.name for metric in metrics), "rows")]
    return (
        isinstance(interval, list)
        and len(interval) == 2
        and all(isinstance(number, int | float) for number in (*numbers, *interval))
    )


def _metadata(
    manifest: Manifest, kind: str, scores: Mapping[str, Mapping[str, float]],
    metrics: Sequence[Metric],
) -> ModelCardData:  # fmt: skip
    """What model hubs read: the figures as results of a ``model-index``, one for each part."""
    from huggingface_hub import EvalResult, ModelCardData

    name = _name(manifest)
    results = [
        EvalResult(
            task_type=manifest.task,
            dataset_type=name,
            dataset_name=name,
            dataset_split=part,
            metric_type=metric.name.removeprefix("macro_"),
            metric_name=metric.shown[:1].upper() + metric.shown[1:],
            metric_value=round(figures[metric.name], 4),
        )
        for part, figures in scores.items()
        for metric in metrics
    ]
    return ModelCardData(
        library_name="peft" if kind == "adapter" else "transformers",
        pipeline_tag=manifest.task,
        base_model=manifest.backbone_name if "/" in manifest.backbone_name else None,
        tags=["lora", manifest.task, "lora-bert"],
        # Without results a model-index is none, and its name would be a line of its own.
        model_name=name if results else None,
        eval_results=results or None,
    )
