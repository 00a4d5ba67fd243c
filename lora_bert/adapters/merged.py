"""Folding LoRA into the backbone's weights, and writing the result as a ``transformers`` model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_bert.adapters.card import card
from lora_bert.adapters.loading import Loaded
from lora_bert.adapters.manifest import Manifest, write_manifest
from lora_bert.backbones.mean_layer import settings_with_mean_layer, with_mean_layer
from lora_bert.backbones.weights import read_checkpoint, write_safetensors
from lora_bert.errors import AdapterError
from lora_bert.json_files import json_text
from lora_bert.tasks.problem_types import task_of

if TYPE_CHECKING:
    from torch import Tensor

_WEIGHTS = "model.safetensors"
# Keys of the backbone's config.json that say where it came from or what it was before.
_DROPPED = ("_name_or_path", "auto_map", "torch_dtype", "label2id", "id2label", "num_labels",
            "sentence_transformers")  # fmt: skip


def write_merged(directory: Path, loaded: Loaded) -> None:
    """Write the standalone model of an adapter on its float32 backbone into ``directory``.

    Raises:
        AdapterError: A folded weight is not finite.
    """
    tensors, config = folded(loaded), _config(loaded)
    if loaded.adapter.pooling == "mean" and loaded.backbone.config.adds_mean_layer:
        tensors = with_mean_layer(tensors, loaded.backbone.config)
        config = {**config, **settings_with_mean_layer(loaded.backbone.config)}
    write_safetensors(directory / _WEIGHTS, tensors)
    manifest = standalone(loaded)
    _describe(directory, loaded, manifest, config, (_WEIGHTS,))
    (directory / "README.md").write_text(card(manifest, "merged"), encoding="utf-8")


def standalone(loaded: Loaded) -> Manifest:
    """What a model made of this says of itself: its tokenizer is the one that is written with it.

    Another version of the ``tokenizers`` library may write the same one otherwise. What the task
    does to the outputs is in the last layer.
    """
    task, _, _ = loaded.manifest.restored_task(loaded.files.path).folded()
    return replace(
        loaded.manifest, settings=task.settings,
        tokenizer={"fingerprint": loaded.tokenizer.fingerprint},
    )  # fmt: skip


def describe_exported(directory: Path, loaded: Loaded, manifest: Manifest) -> None:
    """Write ``config.json``, tokenizer and ``lora_bert.json`` of an exported model."""
    _describe(directory, loaded, manifest, _config(loaded), ())


def _describe(
    directory: Path, loaded: Loaded, manifest: Manifest, config: Mapping[str, Any],
    weights: Sequence[str],
) -> None:  # fmt: skip
    (directory / "config.json").write_text(json_text(config) + "\n", encoding="utf-8")
    loaded.tokenizer.save(directory)
    write_manifest(directory, manifest, weights)


def folded(loaded: Loaded) -> dict[str, Tensor]:
    """The sequence classifier's state dict, float32: ``W + scaling · up @ down``, and the head.

    What the task does to the head's outputs, as to give them their unit, is in its last layer.

    Raises:
        AdapterError: A folded weight is not finite.
    """
    import torch

    config = loaded.backbone.config
    prefix = config.layout.prefix
    tensors = {
        name: tensor.float()
        for name, tensor in read_checkpoint(loaded.files.path, config).items()
        if name.startswith(prefix)
        and not name.endswith("position_ids")
        # A head that reads tokens has no pooler before it.
        and not (loaded.adapter.pooling == "none" and name.startswith(f"{prefix}pooler."))
    }
    if loaded.own_embeddings:
        words, projection = loaded.backbone.word_embeddings, loaded.backbone.projection
        tensors[f"{prefix}{config.layout.word_embeddings}.weight"] = words.float().cpu()
        if projection is not None:
            tensors[f"{projection.name}.weight"] = projection.weight.float().cpu()
    for name, pair in loaded.adapter.factors.items():
        weight = f"{name}.weight"
        tensors[weight] = tensors[weight] + pair.delta().cpu()
        if not bool(torch.isfinite(tensors[weight]).all()):
            raise AdapterError(f"Folding LoRA into '{weight}' gives NaN or infinity.")
    tensors |= {name: tensor.cpu() for name, tensor in loaded.adapter.head.items()}
    _, factor, addend = loaded.manifest.restored_task(loaded.files.path).folded()
    if (factor, addend) != (1, 0):
        output = config.layout.head.output
        bias = tensors[f"{output}.bias"]
        tensors[f"{output}.weight"] = tensors[f"{output}.weight"] * factor
        tensors[f"{output}.bias"] = bias * factor + addend
    return {name: tensor.detach() for name, tensor in tensors.items()}


def _config(loaded: Loaded) -> Mapping[str, Any]:
    labels, head = loaded.manifest.labels, loaded.backbone.config.head
    kept = {key: value for key, value in loaded.backbone.config.raw.items() if key not in _DROPPED}
    if head.pooling_key and loaded.adapter.pooling != "none":
        kept[head.pooling_key] = loaded.adapter.pooling
    return kept | {
        "architectures": [loaded.backbone.config.architecture],
        "dtype": "float32",
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
        "pad_token_id": loaded.tokenizer.pad_id,
        "problem_type": loaded.manifest.problem_type,
        "vocab_size": len(loaded.backbone.word_embeddings),
        **task_of(loaded.manifest.problem_type).in_config,
    }
