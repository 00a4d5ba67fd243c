"""LoRA adapters for BERT-family text classifiers: train, evaluate, merge, load.

Every name below is imported when it is first used: ``import lora_bert`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_bert._version import __version__
from lora_bert.garbage import imported

if TYPE_CHECKING:
    from lora_bert.backbones.convert import Conversion, convert_backbone
    from lora_bert.backbones.resolve import backbone_path
    from lora_bert.errors import LoraBertError
    from lora_bert.evaluation.evaluate import evaluate
    from lora_bert.evaluation.result import Evaluation
    from lora_bert.exporting.combine import CombineResult, combine
    from lora_bert.exporting.export import export
    from lora_bert.exporting.export_result import ExportResult, SharedExportResult
    from lora_bert.exporting.merge import MergeResult, merge
    from lora_bert.inference.predictor import Predictor, load
    from lora_bert.inference.session import Session
    from lora_bert.inference.verify import Verification, verify
    from lora_bert.tasks.answer_spans import Answer
    from lora_bert.tasks.multi_label import LabelsPrediction
    from lora_bert.tasks.single_label import Prediction
    from lora_bert.tasks.tagged_words import Tagged
    from lora_bert.training.train import train
    from lora_bert.training.train_result import TrainResult

_HOME = {
    "Answer": "tasks.answer_spans",
    "CombineResult": "exporting.combine",
    "Conversion": "backbones.convert",
    "Evaluation": "evaluation.result",
    "ExportResult": "exporting.export_result",
    "LabelsPrediction": "tasks.multi_label",
    "LoraBertError": "errors",
    "MergeResult": "exporting.merge",
    "Prediction": "tasks.single_label",
    "Predictor": "inference.predictor",
    "Session": "inference.session",
    "SharedExportResult": "exporting.export_result",
    "Tagged": "tasks.tagged_words",
    "TrainResult": "training.train_result",
    "Verification": "inference.verify",
    "backbone_path": "backbones.resolve",
    "combine": "exporting.combine",
    "convert_backbone": "backbones.convert",
    "evaluate": "evaluation.evaluate",
    "export": "exporting.export",
    "load": "inference.predictor",
    "merge": "exporting.merge",
    "train": "training.train",
    "verify": "inference.verify",
}

__all__ = [
    "Answer",
    "CombineResult",
    "Conversion",
    "Evaluation",
    "ExportResult",
    "LabelsPrediction",
    "LoraBertError",
    "MergeResult",
    "Prediction",
    "Predictor",
    "Session",
    "SharedExportResult",
    "Tagged",
    "TrainResult",
    "Verification",
    "__version__",
    "backbone_path",
    "combine",
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
        return getattr(imported(f"lora_bert.{_HOME[name]}"), name)
    raise AttributeError(f"module 'lora_bert' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
