"""Texts that say less than they seem to, cut or empty ones: counted as they are answered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.tokens.tokenizer import TextTokenizer
from lora_bert.wording import counted

log = logging.getLogger(__name__)


@dataclass
class TextCounts:
    """How many texts were answered, and of how many a part was read, or nothing."""

    texts: int = 0
    cut: int = 0
    empty: int = 0

    def add(self, tokens: TokenizedTexts, special: int) -> None:
        """Count texts that are answered, of which each has so many ``special`` tokens."""
        self.texts += tokens.row_count
        self.cut += int(tokens.truncated.sum())
        self.empty += int((tokens.lengths <= special).sum())

    def include(self, other: TextCounts) -> None:
        """Count what was counted elsewhere, too."""
        self.texts += other.texts
        self.cut += other.cut
        self.empty += other.empty

    def since(self, before: TextCounts) -> TextCounts:
        """What was added to ``before``."""
        return TextCounts(
            self.texts - before.texts, self.cut - before.cut, self.empty - before.empty
        )

    def tell(self, most: int, *, tagged: bool, who: str = "") -> None:
        """Say how many were cut, at ``most`` tokens, or empty; ``tagged``: words are answered."""
        texts = counted(self.texts, "text")
        if cut := self.cut:
            log.warning(
                "%s%s of %s %s longer than %d tokens and read up to there, as in training.%s",
                who, f"{cut:,}", texts, "is" if cut == 1 else "are", most,
                " Behind that nothing is tagged." if tagged else "",
            )  # fmt: skip
        if empty := self.empty:
            log.warning("%s%s of %s %s empty, and answered all the same.", who, f"{empty:,}", texts,
                        "is" if empty == 1 else "are")  # fmt: skip


class ReadTexts(threading.local, TextCounts):
    """What a predictor has read.

    Each thread counts its own, so that what is said of a call is true of that call.
    """


class Reader(Protocol):
    """Who answers texts: a predictor."""

    @property
    def read(self) -> TextCounts:
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
        who = f"Adapter '{name}': " if len(predictors) > 1 else ""
        _tell(each.read.since(before[name]), each, who)


def telling(values: Iterator[np.ndarray], reader: Reader) -> Iterator[np.ndarray]:
    """The same, and at the end, or where nobody asks on, as :func:`told_of_texts`.

    ``reader`` is asked by nobody else.
    """
    try:
        yield from values
    finally:
        _tell(reader.read, reader)


def _tell(read: TextCounts, reader: Reader, who: str = "") -> None:
    read.tell(reader.tokenizer.max_length, tagged=bool(reader.task.words), who=who)
