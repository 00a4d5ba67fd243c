"""What identifies a backbone: its weights' values, whatever file, dtype or name they came in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.noted_backbones import cached_fingerprint, stamp_of
from lora_bert.backbones.weights import read_checkpoint, weight_files

if TYPE_CHECKING:
    from torch import Tensor


def fingerprint(tensors: Mapping[str, Tensor], config: EncoderConfig) -> str:
    """SHA-256, in hexadecimal, of an encoder's tensors and of the settings shapes do not show.

    Of tensors as :func:`~lora_bert.backbones.weights.read_checkpoint` gives them, names, shapes and
    values (as float32) count, in the order of the names; heads, poolers and buffers do not. So
    shards, prefixes and exact re-storage in another dtype give the same fingerprint, a rounded copy
    another one.
    """
    described = [config.model_type, config.fingerprinted]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(tensors):
        inside = name.startswith(config.layout.prefix)
        if not inside or ".pooler." in name or name.endswith("position_ids"):
            continue
        tensor = tensors[name]
        digest.update(f"{name}{list(tensor.shape)}".encode())
        digest.update(tensor.float().contiguous().numpy().data)
    return digest.hexdigest()


def read_identified(directory: Path, config: EncoderConfig) -> tuple[dict[str, Tensor], str]:
    """The tensors of a backbone and their fingerprint, computed only if a file has changed.

    Raises:
        BackboneError: As :func:`~lora_bert.backbones.weights.read_checkpoint`.
    """
    # Before they are read: what replaces a file meanwhile must not get its fingerprint.
    stamp = stamp_of([directory / "config.json", *weight_files(directory)])
    tensors = read_checkpoint(directory, config)
    return tensors, cached_fingerprint(directory, stamp, lambda: fingerprint(tensors, config))
