"""The card (``README.md``) of an adapter or merged model, generated from what it says of itself.

Its text is the template ``card.md``; model hubs read the metadata at its head.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from lora_bert.adapters.manifest import Manifest
from lora_bert.backbones.embedded import EMBEDDED
from lora_bert.metrics.metric import Metric
from lora_bert.tasks.problem_types import task_of

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

_SHOWN_LABELS = 100


def card(
    manifest: Manifest, kind: Literal["adapter", "merged"], *, command: str = "", size: int = 0,
    changes_layers: bool = True,
) -> str:  # fmt: skip
    """Markdown, which UTF-8 can hold, with the metadata header that model hubs read.

    Of an adapter it says what ``command`` trained it, how many parameters that were (``size``),
    and whether it has LoRA matrices beside its head.
    """
    from jinja2 import Template

    backbone, revision = manifest.backbone_name, manifest.backbone.get("revision")
    elsewhere = "hub" if revision or "/" in backbone else "directory"
    metrics = task_of(manifest.problem_type).metrics
    scores = {part: figures for part, figures in manifest.metrics.items()
              if _is_whole(figures, metrics)}  # fmt: skip
    counts = manifest.data.get("rows")
    tokens = manifest.pooling == "none"
    template = Template((files("lora_bert.adapters") / "card.md").read_text(encoding="utf-8"))
    rendered = template.render(
        card_data=_metadata(manifest, kind, scores, metrics).to_yaml(),
        manifest=manifest,
        kind=kind,
        tagger=tokens,
        auto=f"AutoModelFor{'Token' if tokens else 'Sequence'}Classification",
        name=_name(manifest),
        source="embedded" if backbone in EMBEDDED else elsewhere,
        backbone=_quoted(backbone),
        revision=_quoted(revision) if revision else "",
        labels=[_quoted(label) for label in manifest.labels[:_SHOWN_LABELS]],
        metrics=metrics,
        scores=scores,
        rows=counts if isinstance(counts, dict) else {},
        command=command,
        size=size,
        changes_layers=changes_layers,
    )
    # A file's name can be bytes that are no UTF-8; the command and the data name files.
    return f"{rendered}\n".encode("utf-8", "backslashreplace").decode("utf-8")


def _name(manifest: Manifest) -> str:
    return str(manifest.data.get("name") or manifest.task.replace("-", " "))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _is_whole(figures: Any, metrics: Sequence[Metric]) -> bool:
    """Whether a part's figures are what this version writes: a stranger's may be anything."""
    if not isinstance(figures, dict):
        return False
    interval = figures.get("interval", [0, 0])
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
