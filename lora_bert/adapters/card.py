"""The card (``README.md``) of an adapter or merged model, generated from what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from lora_bert.adapters.manifest import Manifest

_SHOWN_LABELS = 100


def card(
    manifest: Manifest,
    kind: Literal["adapter", "merged"],
    *,
    command: str = "",
    size: int = 0,
    changes_layers: bool = True,
) -> str:
    """Markdown with the metadata header that model hubs read.

    Args:
        manifest: Labels, backbone, metrics, data.
        kind: Which of the two to describe.
        command: The command that trained it.
        size: Trained parameters, for an adapter.
        changes_layers: Whether an adapter has LoRA matrices beside its head.
    """
    parts = [_header(manifest, kind), _title(manifest, kind, size, changes_layers)]
    parts += [
        _usage(manifest, kind),
        _labels(manifest),
        _metrics(manifest.metrics),
        _data(manifest.data),
    ]
    if command:
        parts.append(f"## Trained with\n\n```bash\n{command}\n```")
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    if versions:
        parts.append(f"Versions: {versions}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(manifest: Manifest, kind: str) -> str:
    library = "peft" if kind == "adapter" else "transformers"
    lines = ["---", f"library_name: {library}", f"pipeline_tag: {manifest.task}"]
    if "/" in manifest.backbone_name:
        lines.append(f"base_model: {manifest.backbone_name}")
    return "\n".join([*lines, "tags:", "- lora", "- text-classification", "- lora-bert", "---"])


def _title(manifest: Manifest, kind: str, size: int, changes_layers: bool) -> str:
    name = manifest.data.get("name") or "text classification"
    if kind == "merged":
        return (
            f"# {name}: a merged classifier\n\nThe backbone `{manifest.backbone_name}` with a LoRA "
            "adapter folded in: a standalone `transformers` model."
        )
    trained = f" ({size:,} trained parameters)" if size else ""
    if not changes_layers:
        return (
            f"# {name}: a classification head\n\nFor the frozen backbone "
            f"`{manifest.backbone_name}`: the head alone{trained}, with tokenizer and labels."
        )
    return (
        f"# {name}: a LoRA adapter\n\nFor the backbone `{manifest.backbone_name}`: LoRA matrices "
        f"and classification head{trained}, with tokenizer and labels."
    )


def _usage(manifest: Manifest, kind: str) -> str:
    if kind == "merged":
        return (
            "## Use\n\n```python\nfrom transformers import pipeline\n\n"
            'classify = pipeline("text-classification", model="PATH", truncation=True)\n'
            'classify("…")\n```\n\n```bash\nlora-bert infer --model PATH "…"\n```'
        )
    return (
        '## Use\n\n```bash\nlora-bert infer --adapter PATH "…"\n```\n\n```python\n'
        'import lora_bert\n\nlora_bert.load("PATH").predict(["…"])\n```\n\n'
        "With plain PEFT, load the backbone "
        f"`{manifest.backbone_name}` with `AutoModelForSequenceClassification.from_pretrained(…, "
        f"num_labels={len(manifest.labels)})` and put the adapter on it with "
        "`PeftModel.from_pretrained`."
    )


def _labels(manifest: Manifest) -> str:
    shown = [json.dumps(label, ensure_ascii=False) for label in manifest.labels[:_SHOWN_LABELS]]
    more = " …" if len(manifest.labels) > _SHOWN_LABELS else ""
    return (
        f"## Labels\n\n{len(manifest.labels)}, in this order: {', '.join(shown)}{more}\n\n"
        f"Texts are cut at {manifest.max_length} tokens."
        + (" Punctuation becomes spaces first." if manifest.clean else "")
    )


def _metrics(metrics: Mapping[str, Any]) -> str:
    rows = []
    for part, figures in metrics.items():
        low, high = figures["interval"]
        rows.append(
            f"| {part} | {figures['rows']:,} | {figures['accuracy']:.2%} "
            f"({low:.2%}–{high:.2%}) | {figures['macro_f1']:.2%} | {figures['log_loss']:.4f} |"
        )
    if not rows:
        return ""
    head = "| rows of | count | accuracy (95 % interval) | macro-F1 | log loss |\n"
    return "## Scores\n\n" + head + "| --- | --- | --- | --- | --- |\n" + "\n".join(rows)


def _data(data: Mapping[str, Any]) -> str:
    if not data:
        return ""
    counts = ", ".join(f"{count:,} {part}" for part, count in data.get("rows", {}).items())
    hashed = f" (sha256 `{data['sha256'][:16]}…`)" if data.get("sha256") else ""
    return f"## Data\n\n`{data.get('name', '')}`{hashed}: {counts} rows."
