"""``info``: what a directory is, without loading its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lora_bert.adapters import directory
from lora_bert.adapters.manifest import MANIFEST, Manifest, read_manifest
from lora_bert.adapters.peft_config import NO_MODULES, WEIGHTS, read_peft_config
from lora_bert.backbones.config import read_config
from lora_bert.backbones.resolve import find_local
from lora_bert.backbones.weights import count_weights
from lora_bert.errors import AdapterError
from lora_bert.files import size_of
from lora_bert.tasks.problem_types import problem_types


def describe(path: str | Path) -> dict[str, Any]:
    """What is known of a directory, or of the backbone of that name: JSON-ready values by name.

    The first one is its ``kind``: ``adapter``, ``merged model``, ``exported model`` or
    ``backbone``.

    Raises:
        NotFoundError: Nothing of that name is here.
        AdapterError, BackboneError: It is incomplete or damaged.
    """
    place = directory.located(path, "adapter, merged model or backbone")
    if directory.kind_of(place) == "adapter":
        return {"kind": "adapter", "path": str(path), **_adapter(place)}
    config = read_config(place)
    kind = "merged model" if directory.is_classifier(config) else "backbone"
    if directory.kind_of(place) in directory.EXPORTED:
        kind = "exported model"
    facts = {"kind": kind, "path": str(path), "model_type": config.get("model_type")}
    if (place / MANIFEST).is_file():
        facts |= _described(read_manifest(place / MANIFEST))
    elif kind != "backbone":
        facts["problem_type"] = directory.problem_type_of(config)
        names = config.get("id2label")
        if facts["problem_type"] in problem_types() or not isinstance(names, dict):
            facts["labels"] = list(directory.labels_in(config, place))
        else:
            facts["labels"] = [str(name) for name in names.values()]
    return facts | {"bytes": size_of(place)}


def _adapter(path: Path) -> dict[str, Any]:
    config = read_peft_config(path)
    manifest = directory.manifest_of(path)
    name = directory.backbone_name(path, config, manifest)
    backbone = find_local(name)
    facts = _described(manifest) if manifest else {"written_by": "plain PEFT (no lora_bert.json)"}
    lora = {
        "rank": config.get("r"),
        "alpha": config.get("lora_alpha"),
        "target_modules": config.get("target_modules"),
        "layers": config.get("layers_to_transform"),
    }
    return {
        **facts,
        "backbone": name,
        "backbone_here": str(backbone.path) if backbone else None,
        **({"method": "head-only"} if lora["target_modules"] == NO_MODULES else lora),
        "parameters": count_weights(path / WEIGHTS, AdapterError),
        "bytes": size_of(path),
    }


def _described(manifest: Manifest) -> dict[str, Any]:
    exported = {"exported": dict(manifest.exported)} if manifest.exported else {}
    origins = {
        "backbone_revision": manifest.backbone.get("revision"),
        "backbone_fingerprint": manifest.backbone.get("fingerprint"),
        "tokenizer_fingerprint": manifest.tokenizer.get("fingerprint"),
    }
    return exported | {
        "task": manifest.task,
        "problem_type": manifest.problem_type,
        "labels": list(manifest.labels),
        **({"settings": dict(manifest.settings)} if manifest.settings else {}),
        **({"combined": list(manifest.combined)} if manifest.combined else {}),
        "max_length": manifest.max_length,
        "overflow": manifest.overflow,
        **({"stride": manifest.windows_share} if manifest.windows_share else {}),
        **({"pooling": manifest.pooling} if manifest.pooling else {}),
        "clean": manifest.clean,
        "backbone": manifest.backbone_name,
        "provenance": {key: value for key, value in origins.items() if value},
        "data": dict(manifest.data),
        "metrics": dict(manifest.metrics),
        "versions": dict(manifest.versions),
    }
