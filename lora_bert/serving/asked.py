"""What the scheduler has computed: a text or pair as tokens, and who is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import ref

import numpy as np

from lora_bert.config import DirectoryConfig
from lora_bert.inference.bases import Base
from lora_bert.inference.predictor import Predictor
from lora_bert.serving.answer_cache import AnswerKey
from lora_bert.serving.scheduler import Row
from lora_bert.tokens.tokenized import TokenizedTexts


class Computer(Protocol):
    """What computes, in this process or in another one."""

    def open(self, config: DirectoryConfig) -> Base:
        """What the adapters of a directory stand on.

        Raises:
            NotFoundError, ConfigError, UnavailableError, BackboneError: As
                ``Session.from_directory``.
        """

    def compute(self, asked: Sequence[Asked]) -> list[np.ndarray]:
        """The logits of each row, float32 ``[windows, outputs]``.

        Those of heads that read tokens are ``[tokens, outputs]``.
        """


@dataclass(frozen=True)
class Asked:
    """A text or pair, for one adapter.

    Attributes:
        predictor: Who answers.
        tokens: What it reads: one row, or the windows of one.
    """

    predictor: Predictor
    tokens: TokenizedTexts


def rows_of(predictor: Predictor, tokens: TokenizedTexts) -> list[Row[Asked]]:
    """What the scheduler computes, a row for each text of ``tokens``."""
    rows = (tokens.of_rows(row, row + 1) for row in range(tokens.row_count))
    return [_row(Asked(predictor, each)) for each in rows]


def _row(asked: Asked) -> Row[Asked]:
    key = AnswerKey(ref(asked.predictor.engine), identity(asked.tokens))
    return Row(asked, len(asked.tokens.ids), key)


def identity(tokens: TokenizedTexts) -> tuple[bytes, bytes, bytes]:
    """By what tokens are the same to the layers."""
    types = b"" if tokens.token_type_ids is None else tokens.token_type_ids.tobytes()
    return tokens.ids.tobytes(), types, tokens.starts.tobytes()
