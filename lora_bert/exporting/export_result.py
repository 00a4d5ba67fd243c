"""What ``export`` says of what it has written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_bert.wording import amount, counted, listed


@dataclass(frozen=True)
class ExportResult:
    """A written exported model.

    Attributes:
        path: Its directory.
        format: ``openvino`` or ``onnx``.
        precision: Of its weights: ``float32`` or ``int8``.
        difference: Largest difference of a probability from torch in float32, 0..1.
        median: The same of the text in the middle: half of the texts differ by less.
        agreement: Share of the texts that get the same label.
        texts: How many were compared.
        accuracy: Of torch, then of the exported model, where the texts have labels.
        size: Bytes of the directory.
        moved: Largest difference from torch in float32 in what ``infer`` computes in here unless it
            is told otherwise, bfloat16; None where that is what was compared.
        measured_in: What these differences are measured in, in words.
        asked_as: How ``lora-bert infer`` is asked.
    """

    path: Path
    format: str
    precision: str
    difference: float
    median: float
    agreement: float
    texts: int
    accuracy: tuple[float, float] | None
    size: int
    moved: float | None = None
    measured_in: str = "probability"
    asked_as: str = '"…"'

    def __repr__(self) -> str:
        return (
            f"ExportResult({str(self.path)!r}: {self.format} {self.precision}, "
            f"{amount(self.size)}, same label on {self.agreement:.1%} of "
            f"{counted(self.texts, 'text')})"
        )


@dataclass(frozen=True)
class SharedExportResult:
    """Several adapters, written as branches on one trunk.

    Attributes:
        path: The directory of all.
        format: ``openvino`` or ``onnx``.
        precision: Of the weights: ``float32`` or ``int8``.
        trunk_layers: How many layers they share.
        layers: How many the backbone has.
        size: Bytes of the directory, the branches' too.
        branches: By name what was written of each; its ``size`` is without the trunk.
    """

    path: Path
    format: str
    precision: str
    trunk_layers: int
    layers: int
    size: int
    branches: Mapping[str, ExportResult]

    def __repr__(self) -> str:
        return (
            f"SharedExportResult({str(self.path)!r}: {self.format} {self.precision}, "
            f"{amount(self.size)}, {listed(list(self.branches))} on a trunk of "
            f"{counted(self.trunk_layers, 'layer')})"
        )
