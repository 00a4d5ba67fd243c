"""Which tokens begin the words of a text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from lora_bert.data.words import RULES, words_in

NONE = (-1, -1)
"""The span at a token that begins no word."""


def word_spans(text: str, offsets: Sequence[tuple[int, int]], rule: str) -> np.ndarray:
    """The span of the word that each token begins, or :data:`NONE`, int32 ``[tokens, 2]``.

    ``offsets`` say which characters of ``text`` each token stands for; the words are those of
    :func:`~lora_bert.data.words.words_in`.
    """
    spans = np.full((len(offsets), 2), NONE, dtype=np.int32)
    words = np.array(words_in(text, rule), dtype=np.int32).reshape(-1, 2)
    if not len(words) or not len(offsets):
        return spans
    starts, ends = np.array(offsets, dtype=np.int32).T
    # The first word that ends behind the token's start; a token may begin with spaces.
    which = np.searchsorted(words[:, 1], starts, side="right")
    inside = which < len(words)
    inside[inside] = words[which[inside], 0] < ends[inside]
    at = np.flatnonzero(inside)
    _, first = np.unique(which[at], return_index=True)
    begins = at[first]
    spans[begins] = words[which[begins]]
    return spans


def spans_in(texts: Sequence[str], encodings: Sequence[Any], rule: str) -> list[np.ndarray]:
    """:func:`word_spans` of each text, by what the tokenizer made of it."""
    both = zip(texts, encodings, strict=True)
    return [word_spans(text, encoding.offsets, rule) for text, encoding in both]


def cut_into_words(written: str, rule: str) -> str:
    """A ``tokenizer.json`` whose tokens do not reach over words that stand side by side.

    So no token holds two Chinese characters, or a word with the mark behind it.
    """
    tokenizer = json.loads(written)
    own = tokenizer.get("pre_tokenizer")
    split = {"type": "Split", "pattern": {"Regex": RULES[rule]}, "behavior": "Isolated"}
    steps = [split | {"invert": False}, *([_at_the_start(own)] if own else [])]
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    return json.dumps(tokenizer, ensure_ascii=False)


def _at_the_start(step: Any) -> Any:
    """A step that puts SentencePiece's space before the text alone, not before each part of it."""
    if step.get("type") == "Sequence":
        return {**step, "pretokenizers": [_at_the_start(each) for each in step["pretokenizers"]]}
    return {**step, "prepend_scheme": "first"} if step.get("prepend_scheme") == "always" else step
