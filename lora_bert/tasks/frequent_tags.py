"""What a tagger comes to that knows words and no sentences: the tag that each has most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lora_bert.data.tag_schemes import OUTSIDE, entities_of, tags_of
from lora_bert.data.words import words_in


def most_frequent_tags(
    known: Iterable[tuple[str, Sequence[str]]], texts: Iterable[str], rule: str
) -> list[list[str]]:
    """The tags of the texts' words, in IOB2, by those of ``known`` texts; case does not count.

    A word that is not known is outside; an I- that follows nothing of its type begins an entity.
    """
    seen: dict[str, Counter[str]] = {}
    for text, tags in known:
        for word, tag in zip(_words(text, rule), tags, strict=True):
            seen.setdefault(word, Counter())[tag] += 1
    usual = {word: tags.most_common(1)[0][0] for word, tags in seen.items()}
    said = ([usual.get(word, OUTSIDE) for word in _words(text, rule)] for text in texts)
    return [tags_of(entities_of(tags, strict=False), len(tags)) for tags in said]


def _words(text: str, rule: str) -> list[str]:
    return [text[start:end].lower() for start, end in words_in(text, rule)]
