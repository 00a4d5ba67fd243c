"""The card (``README.md``) of an adapter or merged model, generated from what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from lora_bert.adapters.manifest import Manifest
from lora_bert.backbones.embedded import EMBEDDED

_SHOWN_LABELS = 100
_INSTALL = (
    "lora-bert is installed by `pip install .` where its source is, or from a wheel made of it "
    "(Python 3.11 or newer)."
)


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
            "## Use\n\n`THIS_DIRECTORY` stands for where this directory is: all that is needed, "
            "without a network. Either `transformers` or lora-bert runs it.\n\n"
            "```python\nfrom transformers import pipeline\n\n"
            'classify = pipeline("text-classification", model="THIS_DIRECTORY", truncation=True)\n'
            f'classify("…")\n```\n\n{_INSTALL}\n\n'
            '```bash\nlora-bert infer --model THIS_DIRECTORY "…"\n```'
        )
    backbone, option, argument, place = _backbone(manifest)
    return (
        f"## Use\n\n`THIS_DIRECTORY` stands for where this directory is. {_INSTALL} {backbone}\n\n"
        f'```bash\nlora-bert infer --adapter THIS_DIRECTORY{option} "…"\n```\n\n'
        "```python\nimport lora_bert\n\n"
        f'lora_bert.load("THIS_DIRECTORY"{argument}).predict(["…"])\n```\n\n'
        "With plain PEFT:\n\n"
        f"```python\n{place.imports}from peft import PeftModel\n"
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer\n\n"
        "base = AutoModelForSequenceClassification.from_pretrained(\n"
        f'    {place.name}, num_labels={len(manifest.labels)}, dtype="float32"\n)\n'
        'model = PeftModel.from_pretrained(base, "THIS_DIRECTORY")\n'
        'tokenizer = AutoTokenizer.from_pretrained("THIS_DIRECTORY")\n```\n\n'
        "transformers may say that the head is missing from the backbone: the adapter brings it. "
        "PEFT keeps no label names; they are below, in the order of the outputs."
    )


class _Place(NamedTuple):
    """How Python names the backbone."""

    imports: str
    name: str


def _backbone(manifest: Manifest) -> tuple[str, str, str, _Place]:
    """Where the backbone comes from: in words, as an option, as an argument, for transformers."""
    name = manifest.backbone_name
    quoted = json.dumps(name, ensure_ascii=False)
    if name in EMBEDDED:
        words = f"Its backbone `{name}` is part of lora-bert: no network is needed."
        return words, "", "", _Place("import lora_bert\n", f"lora_bert.backbone_path({quoted})")
    revision = manifest.backbone.get("revision")
    if revision or "/" in name:
        words = (
            f"Its backbone `{name}` is fetched from the model hub once; without a network, copy it "
            "here and say `--backbone DIR`."
        )
        at = f", revision={json.dumps(revision)}" if revision else ""
        return words, "", "", _Place("", quoted + at)
    words = (
        f"Its backbone `{name}` is not from the model hub: `DIR` is the directory that holds it. "
        "Other weights than those it was trained on are refused."
    )
    return words, " --backbone DIR", ', backbone="DIR"', _Place("", '"DIR"')


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
        if "accuracy" not in figures:
            continue
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
