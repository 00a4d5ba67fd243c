"""``--watch``: what is predicted of some texts before the first step, and after the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lora_bert.inference.predictor import predict_logits
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Watched:
    """One text's predictions."""

    text: str
    before: Any
    after: Any


def watched(
    texts: Sequence[str],
    adapters: tuple[Adapter, Adapter],
    backbone: Backbone,
    tokenizer: TextTokenizer,
    task: Task,
) -> list[Watched]:
    """What the two ``adapters``, a fresh one and the trained one, say of ``texts``."""
    if not texts:
        return []
    encodings = tokenizer.encode(texts)
    before, after = (
        task.decode(task.values(found.numpy()))
        for found in (predict_logits(backbone, one, encodings, len(texts)) for one in adapters)
    )
    return [Watched(*row) for row in zip(texts, before, after, strict=True)]
