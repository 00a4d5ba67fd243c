"""What identifies a backbone: its weights' values, whatever file, dtype or name they came in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lora_bert.backbones.family import Config, Family
from lora_bert.backbones.noted_backbones import cached_fingerprint, stamp_of
from lora_bert.backbones.weights import read_checkpoint, weight_files

if TYPE_CHECKING:
    from torch import Tensor

# What changes the output but not the shape of any weight.
_SETTINGS = ("num_attention_heads", "hidden_act", "layer_norm_eps", "max_position_embeddings")


def fingerprint(tensors: Mapping[str, Tensor], config: Config, family: Family) -> str:
    """SHA-256, in hexadecimal, of an encoder's tensors and of the settings shapes do not show.

    Names, shapes and values (as float32) count, in the order of the names; heads, poolers and
    buffers do not. So shards, prefixes and exact re-storage in another dtype give the same
    fingerprint, a rounded copy another one.

    Args:
        tensors: As :func:`~lora_bert.backbones.weights.read_checkpoint` gives them.
        config: The backbone's ``config.json``.
        family: Its family.
    """
    settings = {key: family.get(config, key) for key in (*_SETTINGS, *family.settings)}
    settings |= {"relative_kinds": family.relative_kinds} if family.relative_kinds else {}
    digest = hashlib.sha256(json.dumps([family.model_type, settings], sort_keys=True).encode())
    for name in sorted(tensors):
        inside = name.startswith(family.prefix)
        if not inside or ".pooler." in name or name.endswith("position_ids"):
            continue
        tensor = tensors[name]
        digest.update(f"{name}{list(tensor.shape)}".encode())
        digest.update(tensor.float().contiguous().numpy().data)
    return digest.hexdigest()


def read_identified(
    directory: Path, config: Config, family: Family
) -> tuple[dict[str, Tensor], str]:
    """The tensors of a backbone and their fingerprint, computed only if a file has changed.

    Args:
        directory: Of the backbone.
        config: Its ``config.json``.
        family: Its family.

    Raises:
        BackboneError: As :func:`~lora_bert.backbones.weights.read_checkpoint`.
    """
    # Before they are read: what replaces a file meanwhile must not get its fingerprint.
    stamp = stamp_of([directory / "config.json", *weight_files(directory)])
    tensors = read_checkpoint(directory, family)
    return tensors, cached_fingerprint(
        directory, stamp, lambda: fingerprint(tensors, config, family)
    )
