"""Texts that say less than they seem to, cut or empty ones: counted as they are answered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.tokens.tokenizer import TextTokenizer
from lora_bert.wording import counted

log = logging.getLogger(__name__)


@dataclass
class ReadTexts(threading.local):
    """How many texts a predictor has answered, and of how many it has read a part, or nothing.

    Each thread counts its own, so that what is said of a call is true of that call.
    """

    texts: int = 0
    cut: int = 0
    empty: int = 0

    def add(self, tokens: TokenizedTexts, special: int) -> None:
        """Count texts that are answered, of which each has so many ``special`` tokens."""
        self.texts += tokens.row_count
        self.cut += int(tokens.truncated.sum())
        self.empty += int((tokens.lengths <= special).sum())


class Reader(Protocol):
    """Who answers texts: a predictor."""

    @property
    def read(self) -> ReadTexts:
        """What it has read."""

    @property
    def tokenizer(self) -> TextTokenizer:
        """How it reads."""

    @property
    def task(self) -> Task:
        """What it says."""


@contextmanager
def told_of_texts(predictors: Mapping[str, Reader]) -> Iterator[None]:
    """Say at the end of the block how many of its texts were cut or empty; of several, by name."""
    before = {name: replace(each.read) for name, each in predictors.items()}
    yield
    for name, each in predictors.items():
        read, then = each.read, before[name]
        who = f"Adapter '{name}': " if len(predictors) > 1 else ""
        texts = counted(read.texts - then.texts, "text")
        if cut := read.cut - then.cut:
            log.warning(
                "%s%s of %s %s longer than %d tokens and read up to there, as in training.%s",
                who, f"{cut:,}", texts, "is" if cut == 1 else "are", each.tokenizer.max_length,
                " Behind that nothing is tagged." if each.task.words else "",
            )  # fmt: skip
        if empty := read.empty - then.empty:
            log.warning("%s%s of %s %s empty, and answered all the same.", who, f"{empty:,}", texts,
                        "is" if empty == 1 else "are")  # fmt: skip
