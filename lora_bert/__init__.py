"""LoRA adapters for BERT-family text classifiers: train, evaluate, merge, load.

Every name below is imported when it is first used: ``import lora_bert`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lora_bert._version import __version__

if TYPE_CHECKING:
    from lora_bert.backbones.convert import Conversion, convert_backbone
    from lora_bert.backbones.resolve import backbone_path
    from lora_bert.errors import LoraBertError
    from lora_bert.evaluation.result import Evaluation
    from lora_bert.evaluation.run import evaluate
    from lora_bert.inference.export import ExportResult, export
    from lora_bert.inference.merging import MergeResult, merge
    from lora_bert.inference.predictor import Predictor, load
    from lora_bert.inference.verifying import Verification, verify
    from lora_bert.tasks.classification import Prediction
    from lora_bert.training.result import TrainResult
    from lora_bert.training.run import train

_HOME = {
    "Conversion": "backbones.convert",
    "Evaluation": "evaluation.result",
    "ExportResult": "inference.export",
    "LoraBertError": "errors",
    "MergeResult": "inference.merging",
    "Prediction": "tasks.classification",
    "Predictor": "inference.predictor",
    "TrainResult": "training.result",
    "Verification": "inference.verifying",
    "backbone_path": "backbones.resolve",
    "convert_backbone": "backbones.convert",
    "evaluate": "evaluation.run",
    "export": "inference.export",
    "load": "inference.predictor",
    "merge": "inference.merging",
    "train": "training.run",
    "verify": "inference.verifying",
}

__all__ = [
    "Conversion",
    "Evaluation",
    "ExportResult",
    "LoraBertError",
    "MergeResult",
    "Prediction",
    "Predictor",
    "TrainResult",
    "Verification",
    "__version__",
    "backbone_path",
    "convert_backbone",
    "evaluate",
    "export",
    "load",
    "merge",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"lora_bert.{_HOME[name]}"), name)
    raise AttributeError(f"module 'lora_bert' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
