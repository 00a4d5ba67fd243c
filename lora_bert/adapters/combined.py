"""Several adapters as one: the weighted mean of their weights, or their outputs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lora_bert.adapters.card import card
from lora_bert.adapters.loading import Loaded
from lora_bert.adapters.manifest import Manifest, versions, write_manifest
from lora_bert.adapters.peft_config import WEIGHTS
from lora_bert.adapters.peft_format import LoraSettings, write_peft
from lora_bert.backbones.weights import read_checkpoint
from lora_bert.model import combined as model
from lora_bert.model.adapter import Adapter
from lora_bert.model.builder import build_backbone
from lora_bert.tasks import combining
from lora_bert.tasks.base import Task

Changes = Sequence[tuple[model.Factors, float]]
"""What is changed in the layers, and how much that counts."""

_OF_ROWS = ("sha256", "told")
"""What has to be the same in ``data`` of all for them to have held out the same rows."""


@dataclass(frozen=True)
class Combined:
    """Several adapters as one, in memory.

    Attributes:
        loaded: It, on the backbone that they share.
        lora: What ``adapter_config.json`` says of it.
        changes: What it is the sum of, as the adapters have it.
        lost: Which share of the norm of that sum a lower rank has cost, 0…1; None where it is
            exact.
    """

    loaded: Loaded
    lora: LoraSettings
    changes: Changes
    lost: float | None = None


def averaged(
    parts: Sequence[Loaded], names: Sequence[str], shares: Sequence[float], rank: int | None = None
) -> Combined:
    """The weighted mean of adapters of one task with the same labels, in the first one's order.

    The sum of what they change in the layers is exact, and its rank the sum of their ranks, unless
    another is asked for, which is lower.

    Args:
        parts: On one backbone.
        names: What they are called in the description.
        shares: What each counts for; they add up to 1.
        rank: At most the width of the layers.
    """
    first, tasks = parts[0], _tasks(parts)
    task = combining.averaged(tasks, shares)
    _, unit, origin = task.folded()
    heads = []
    for part, own in zip(parts, tasks, strict=True):
        _, factor, addend = own.folded()
        at = {label: number for number, label in enumerate(own.labels)}
        order = [at[label] for label in task.labels]
        output = part.backbone.config.layout.head.output
        heads.append(model.with_outputs(
            part.adapter.head, output, order, factor / unit, (addend - origin) / unit
        ))  # fmt: skip
    changed = [model.changes(part.adapter) for part in parts]
    factors, lost = model.summed(changed, shares), None
    if rank is not None and rank < max((len(f.lora_A) for f in factors.values()), default=0):
        factors, lost = model.of_rank(factors, rank)
    manifest = _manifest(parts, names, task, shares)
    adapter, lora = _whole(first, factors, model.mean_head(heads, shares))
    counted = [each for each in zip(changed, shares, strict=True) if each[1]]
    return Combined(replace(first, adapter=adapter, manifest=manifest), lora, counted, lost)


def side_by_side(parts: Sequence[Loaded], names: Sequence[str], task: Task) -> Combined:
    """Adapters with different labels, as one with all of them, those of the first one first.

    They change the same in the layers, and their heads have the same hidden layers; ``task`` has
    the outputs of all.
    """
    first = parts[0]
    output, changed = first.backbone.config.layout.head.output, model.changes(first.adapter)
    heads = [
        model.with_outputs(part.adapter.head, output, range(len(part.manifest.labels)), 1.0, 0.0)
        for part in parts
    ]
    head = model.stacked_head(heads, output)
    adapter, lora = _whole(first, model.summed([changed], [1.0]), head)
    manifest = _manifest(parts, names, task, ())
    loaded = replace(first, adapter=adapter, manifest=manifest)
    return Combined(loaded, lora, [(changed, 1.0)])


def folded_by_hand(loaded: Loaded, changes: Changes) -> Loaded:
    """The same without LoRA, the layers' float32 weights with the sum of ``changes`` added."""
    config = loaded.backbone.config
    tensors = read_checkpoint(loaded.files.path, config)
    for factors, share in changes:
        for name, pair in factors.items():
            weight = f"{name}.weight"
            tensors[weight] = tensors[weight].float() + share * pair.delta()
    backbone = build_backbone(tensors, config, dtype=torch.float32, device="cpu")
    adapter = replace(loaded.adapter, factors={}, depth=len(backbone.layers))
    return replace(loaded, backbone=backbone, adapter=adapter)


def write_combined(directory: Path, combined: Combined) -> None:
    """Write all files of the adapter into ``directory``."""
    loaded, manifest = combined.loaded, combined.loaded.manifest
    encoder, changes_layers = loaded.backbone.config, bool(loaded.adapter.factors)
    write_peft(
        directory, loaded.adapter, combined.lora, encoder,
        task_type=manifest.restored_task(directory).peft_task_type,
        backbone_name=manifest.backbone_name, revision=manifest.backbone.get("revision"),
    )  # fmt: skip
    loaded.tokenizer.save(directory)
    write_manifest(directory, manifest, (WEIGHTS,))
    text = card(manifest, "adapter", changes_layers=changes_layers, encoder=encoder)
    (directory / "README.md").write_text(text, encoding="utf-8")


def _tasks(parts: Sequence[Loaded]) -> list[Task]:
    return [part.manifest.restored_task(part.files.path) for part in parts]


def _whole(
    loaded: Loaded, factors: model.Factors, head: Mapping[str, torch.Tensor]
) -> tuple[Adapter, LoraSettings]:
    """An adapter with these factors, as PEFT describes it: one rank on all layers it names."""
    backbone, config = loaded.backbone, loaded.backbone.config
    if not factors:
        adapter = Adapter({}, head, len(backbone.layers), pooling=loaded.adapter.pooling)
        return adapter, LoraSettings()
    paths, layers = model.places_of(factors, config)
    slots = [slot for slot, path in config.layout.linears.items() if path in paths]
    names = dict.fromkeys(config.layout.module(layer, slot) for layer in layers for slot in slots)
    whole = model.filled(factors, names, backbone)
    rank = len(next(iter(whole.values())).lora_A)
    every = len(layers) == config.num_hidden_layers
    lora = LoraSettings(
        rank=rank, alpha=float(rank), target_modules=paths, layers=None if every else tuple(layers)
    )
    return Adapter(whole, head, layers[0], pooling=loaded.adapter.pooling), lora


def _manifest(
    parts: Sequence[Loaded], names: Sequence[str], task: Task, shares: Sequence[float]
) -> Manifest:
    """What the whole says of itself: what all say, and what it was combined of.

    ``shares`` are empty where outputs stand side by side.
    """
    first, manifests = parts[0], [part.manifest for part in parts]
    combined = [
        {
            "adapter": name,
            **({"share": shares[number]} if shares else {}),
            **{key: manifest.data[key] for key in ("name", "sha256") if key in manifest.data},
            **({"combined": list(manifest.combined)} if manifest.combined else {}),
        }
        for number, (name, manifest) in enumerate(zip(names, manifests, strict=True))
    ]
    return replace(
        first.manifest,
        labels=task.labels,
        settings=task.settings,
        label_names=_common([manifest.label_names for manifest in manifests]),
        data=_data([manifest.data for manifest in manifests]),
        metrics={},
        versions=versions(),
        tokenizer={"fingerprint": first.tokenizer.fingerprint},
        pooling=first.adapter.pooling,
        combined=combined,
    )


def _data(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is true of the training rows of all.

    How they were read and divided only where all of them learned from the same ones: what one held
    out another may have learned.
    """
    common = _common(every)
    columns = [data["columns"] for data in every if isinstance(data.get("columns"), dict)]
    if len(columns) == len(every):
        common["columns"] = _common(columns)
    if not all(name in common for name in _OF_ROWS):
        return {key: common[key] for key in ("name", "columns") if key in common}
    if any(data.get("fitted_to_all") for data in every):
        common["fitted_to_all"] = True
    return common


def _common(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries that several mappings have alike."""
    first, *others = every
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }
