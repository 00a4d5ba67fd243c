"""Texts that are longer than an adapter reads: counted as they are answered, told afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.tokens.tokenizer import TextTokenizer
from lora_bert.wording import counted

log = logging.getLogger(__name__)


class CutTexts:
    """How many texts a predictor has answered, and how many of them it has read in part."""

    def __init__(self) -> None:
        self.texts = self.cut = 0

    def add(self, tokens: TokenizedTexts) -> None:
        """Count texts that are answered."""
        self.texts += tokens.row_count
        self.cut += int(tokens.truncated.sum())


class Reader(Protocol):
    """Who answers texts: a predictor."""

    @property
    def read(self) -> CutTexts:
        """What it has read."""

    @property
    def tokenizer(self) -> TextTokenizer:
        """How it reads."""

    @property
    def task(self) -> Task:
        """What it says."""


@contextmanager
def told_of_cut_texts(predictors: Mapping[str, Reader]) -> Iterator[None]:
    """Say at the end of the block how many texts were cut in it, by name where several answer."""
    before = {name: (each.read.texts, each.read.cut) for name, each in predictors.items()}
    yield
    for name, each in predictors.items():
        texts, cut = each.read.texts - before[name][0], each.read.cut - before[name][1]
        if cut:
            log.warning(
                "%s%s of %s %s longer than %d tokens and read up to there, as in training.%s",
                f"Adapter '{name}': " if len(predictors) > 1 else "", f"{cut:,}",
                counted(texts, "text"), "is" if cut == 1 else "are", each.tokenizer.max_length,
                " Behind that nothing is tagged." if each.task.words else "",
            )  # fmt: skip
