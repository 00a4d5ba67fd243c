"""The answer that needs no training: the sentence that shares most words with the question."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lora_bert.data.words import words_in

_SENTENCE = re.compile(r"[^.!?。！？\n]*(?:[.!?](?!\s|$)[^.!?。！？\n]*)*[.!?。！？]*")


def nearest_sentences(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Of each question's context the sentence that shares the largest part of its words."""
    return [_nearest(question, context) for question, context in pairs]


def _nearest(question: str, context: str) -> str:
    asked = _words(question)
    sentences = [part for match in _SENTENCE.finditer(context) if (part := match.group().strip())]
    return max(sentences, key=lambda each: len(asked & _words(each)), default="")


def _words(text: str) -> set[str]:
    lower = text.lower()
    return {word for start, end in words_in(lower, "punctuation")
            if (word := lower[start:end]).isalnum()}  # fmt: skip
