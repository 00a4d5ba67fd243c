"""Backbones in memory: one for everything that stands on it, as long as something does."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from lora_bert.backbones.config import EncoderConfig, read_config
from lora_bert.backbones.families.registry import encoder_config, read_encoder_config
from lora_bert.backbones.fingerprint import (
    Stamp,
    cached_fingerprint,
    fingerprint,
    known_fingerprint,
    stamp_of,
)
from lora_bert.backbones.resolve import BackboneFiles, find_backbone
from lora_bert.backbones.weights import read_checkpoint, weight_files
from lora_bert.model.backbone import Backbone
from lora_bert.model.builder import build_backbone

_OPEN: WeakValueDictionary[tuple[str, torch.dtype, torch.device], Backbone] = WeakValueDictionary()
"""By the files they were read from, precision and device."""
_LOCK = threading.Lock()


@dataclass(frozen=True)
class BackboneSource:
    """The files of a backbone, or of a merged model, which are read when they are needed.

    With ``as_written`` a layer that makes the mean of the tokens is a layer like the others, as it
    is for plain ``transformers``.
    """

    files: BackboneFiles
    as_written: bool = False

    @cached_property
    def stamp(self) -> Stamp:
        """What tells the files from those that stood there before."""
        return stamp_of([self.files.path / "config.json", *weight_files(self.files.path)])

    @cached_property
    def fingerprint(self) -> str:
        """What adapters know the backbone by."""
        return cached_fingerprint(
            self.files.path, self.stamp, lambda: fingerprint(self._tensors, self._config)
        )

    @cached_property
    def _config(self) -> EncoderConfig:
        path = self.files.path
        return encoder_config(read_config(path)) if self.as_written else read_encoder_config(path)

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        # What has a fingerprint was checked when that was computed.
        checked = known_fingerprint(self.files.path, self.stamp) is not None
        return read_checkpoint(self.files.path, self._config, checked=checked)

    def open(self, dtype: torch.dtype, device: torch.device | str) -> OpenBackbone:
        """The backbone in that precision and place; the one in memory where it is open already.

        Raises:
            BackboneError: Incomplete, damaged, or of an unknown family.
        """
        files = f"{self.files.path.resolve()} {self.stamp} {self.as_written}"
        key = (files, dtype, torch.device(device))
        with _LOCK:
            if (backbone := _OPEN.get(key)) is None:
                backbone = build_backbone(self._tensors, self._config, dtype=dtype, device=device)
                _OPEN[key] = backbone
        self.__dict__.pop("_tensors", None)
        return OpenBackbone(backbone, self)


@dataclass(frozen=True)
class OpenBackbone:
    """A backbone in memory, which everything that is opened from the same files shares."""

    backbone: Backbone
    source: BackboneSource


def open_backbone(
    name: str, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> OpenBackbone:
    """Open a backbone in that precision and place; the one in memory where it is open already.

    ``name`` is ``e5-small-zh-en`` (embedded), a local directory, or a hub id.

    Raises:
        NotFoundError, UnavailableError: It is not to be found.
        BackboneError: Incomplete, damaged, or of an unknown family.
    """
    source = BackboneSource(find_backbone(name))
    _ = source.fingerprint  # of what is opened: the files may be others by the first adapter
    return source.open(dtype, device)
