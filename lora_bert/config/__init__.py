"""The options of each command.

A field's ``option(...)`` says what it means and what it may be. The command line makes its flags
from these classes, ``--config FILE`` its keys, the Python functions their keyword arguments.
"""

from lora_bert.config.answering import (
    DirectoryConfig,
    EvaluateConfig,
    InferConfig,
    LoadConfig,
    SessionConfig,
)
from lora_bert.config.models import (
    BackboneConfig,
    CacheConfig,
    CombineConfig,
    ConvertConfig,
    ExportConfig,
    InfoConfig,
    MergeConfig,
    VerifyConfig,
)
from lora_bert.config.serving import ServeConfig
from lora_bert.config.training import TrainConfig

__all__ = [
    "BackboneConfig",
    "CacheConfig",
    "CombineConfig",
    "ConvertConfig",
    "DirectoryConfig",
    "EvaluateConfig",
    "ExportConfig",
    "InferConfig",
    "InfoConfig",
    "LoadConfig",
    "MergeConfig",
    "ServeConfig",
    "SessionConfig",
    "TrainConfig",
    "VerifyConfig",
]
