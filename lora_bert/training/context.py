"""What a training knows of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_bert.backbones.resolve import BackboneFiles
from lora_bert.config import TrainConfig
from lora_bert.data.sources import Splits
from lora_bert.model.backbone import Backbone
from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.tokens.tokenizer import TextTokenizer
from lora_bert.training.tokenize_rows import Tokens


@dataclass(frozen=True)
class Context:
    """Everything that was read for a training and decided before its first step.

    Attributes:
        config: Resolved: nothing is left open that decides what is learned.
        files: Of the backbone, as is the fingerprint.
        tokenizer: The backbone's, with the cleaning that was asked for.
        tokens: The rows of each part that there is: ``train``, ``validation``, ``test``.
        watched: The texts of ``--watch``.
    """

    config: TrainConfig
    files: BackboneFiles
    fingerprint: str
    splits: Splits
    task: Task
    tokenizer: TextTokenizer
    tokens: Mapping[str, Tokens]
    watched: TokenizedTexts
    backbone: Backbone

    @property
    def output(self) -> Path:
        """Where the adapter is to stand."""
        return Path(str(self.config.output))
