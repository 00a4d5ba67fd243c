"""What a tagger says of texts: tags of words, and entities with their characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lora_bert.data.tag_schemes import entities_of, tags_of
from lora_bert.data.words import words_in
from lora_bert.metrics.tagging import Mark, MarkedText
from lora_bert.wording import shortened

_SHOWN = 5
"""Entities in the ``repr`` of a prediction."""


@dataclass(frozen=True)
class Entity:
    """A part of a text.

    Attributes:
        start: Its first character's number, from 0.
        end: The number of the character behind its last one.
        label: Its type.
        score: The mean probability of its words' tags, 0..1.
        text: What it says.
    """

    start: int
    end: int
    label: str
    score: float
    text: str


@dataclass(frozen=True)
class Tagged:
    """What a tagger says of one text.

    Attributes:
        entities: In their order.
        words: The words.
        tags: Their tags, in the scheme of the training's files.
        scores: The tags' probabilities, 0..1; of entities each word's own.
    """

    entities: tuple[Entity, ...]
    words: tuple[str, ...]
    tags: tuple[str, ...]
    scores: tuple[float, ...]

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{shortened(each.text)!r}: {each.label}" for each in self.entities[:_SHOWN]
        )
        more = len(self.entities) - _SHOWN
        return f"Tagged({shown}{f', … {more:,} more' if more > 0 else ''})"


CELLS = {
    "prediction": [vars(Entity(0, 0, "", 0.0, ""))],
    "words": [""],
    "tags": [""],
}
"""What the columns of :func:`columns_of_words` hold."""


@dataclass(frozen=True, eq=False)
class WordValues:
    """The values of one text: probabilities ``[words, tags]`` of the words that were read.

    ``spans``, int32 ``[words, 2]``, say where these stand in ``text``.
    """

    text: str
    spans: np.ndarray
    probabilities: np.ndarray


def tags_at(entities: Sequence[Entity], words: Sequence[tuple[int, int]], scheme: str) -> list[str]:
    """The tags, in a scheme, of words that stand there in the entities' text."""
    starts, ends = np.array(words).T
    found = [
        (int(np.searchsorted(ends, each.start, side="right")),
         int(np.searchsorted(starts, each.end)), each.label)
        for each in entities
    ]  # fmt: skip
    return tags_of(found, len(words), scheme)


def columns_of_words(
    texts: Sequence[str], said: Sequence[Tagged], given: Sequence[Sequence[tuple[int, int]]],
    scheme: str,
) -> dict[str, Sequence[Any]]:  # fmt: skip
    """The entities, words and tags of texts; where a text's words are given, of these."""
    columns: dict[str, list[Any]] = {"prediction": [], "words": [], "tags": []}
    for text, each, spans in zip(texts, said, given, strict=True):
        words, tags = list(each.words), list(each.tags)
        if spans:
            words = [text[start:end] for start, end in spans]
            tags = tags_at(each.entities, spans, scheme)
        columns["prediction"].append([vars(entity) for entity in each.entities])
        columns["words"].append(words)
        columns["tags"].append(tags)
    return dict(columns)


def marked_text(
    row: int, text: str, rule: str, said: Sequence[str], true: Sequence[str]
) -> MarkedText:
    """A row's entities, by the tags of all its words."""
    spans = words_in(text, rule)
    found, real = entities_of(said), entities_of(true)

    def marks(ours: Sequence[Any], theirs: Sequence[Any]) -> tuple[Mark, ...]:
        return tuple(
            Mark(spans[start][0], spans[end - 1][1], kind, (start, end, kind) in theirs)
            for start, end, kind in ours
        )

    return MarkedText(row, text, marks(found, real), marks(real, found))
