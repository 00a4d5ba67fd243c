"""``info``: what a directory is, without loading its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_bert.adapters.loading import backbone_name, kind_of, manifest_of
from lora_bert.adapters.manifest import MANIFEST, Manifest, read_manifest
from lora_bert.adapters.peft_format import read_peft
from lora_bert.backbones.families import read_config
from lora_bert.backbones.resolve import find_local
from lora_bert.errors import missing


@dataclass(frozen=True)
class Description:
    """What is known of a directory.

    Attributes:
        kind: ``adapter``, ``merged model`` or ``backbone``.
        facts: JSON-ready values by name.
    """

    kind: str
    facts: dict[str, Any]


def describe(path: str | Path) -> Description:
    """Say what an adapter, merged model or backbone is.

    Args:
        path: Its directory, or the name of a backbone that is here.

    Raises:
        NotFoundError: Nothing of that name is here.
        AdapterError, BackboneError: It is incomplete or damaged.
    """
    place = Path(path)
    if not place.is_dir():
        found = find_local(str(path))
        if found is None:
            raise missing(path, "adapter, merged model or backbone")
        place = found.path
    if kind_of(place) == "adapter":
        return Description("adapter", {"kind": "adapter", "path": str(path), **_adapter(place)})
    config = read_config(place)
    names = config.get("architectures") or [""]
    kind = "merged model" if str(names[0]).endswith("SequenceClassification") else "backbone"
    facts = {"kind": kind, "path": str(path), "model_type": config.get("model_type")}
    if (place / MANIFEST).is_file():
        facts |= _described(read_manifest(place / MANIFEST))
    elif kind == "merged model":
        labels = config.get("id2label") or {}
        facts["labels"] = [labels[key] for key in sorted(labels, key=int)]
    return Description(kind, facts | {"bytes": _size(place)})


def _adapter(path: Path) -> dict[str, Any]:
    stored = read_peft(path)
    manifest = manifest_of(path)
    name = backbone_name(stored, manifest)
    found = find_local(name)
    config = stored.config
    facts = _described(manifest) if manifest else {"written_by": "plain PEFT (no lora_bert.json)"}
    return {
        **facts,
        "backbone": name,
        "backbone_here": str(found.path) if found else None,
        "rank": config.get("r"),
        "alpha": config.get("lora_alpha"),
        "target_modules": config.get("target_modules"),
        "layers": config.get("layers_to_transform"),
        "parameters": sum(tensor.numel() for tensor in stored.tensors.values()),
        "bytes": _size(path),
    }


def _described(manifest: Manifest) -> dict[str, Any]:
    return {
        "task": manifest.task,
        "labels": list(manifest.labels),
        "max_length": manifest.max_length,
        "clean": manifest.clean,
        "backbone": manifest.backbone_name,
        "data": dict(manifest.data),
        "metrics": dict(manifest.metrics),
        "versions": dict(manifest.versions),
    }


def _size(path: Path) -> int:
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
