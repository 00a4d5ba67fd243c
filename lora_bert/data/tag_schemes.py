"""Tags of words: the schemes they are written in, the entities they stand for, and back.

An entity is ``(start, end, type)``: the number of its first word, that of the word behind its last
one, and its type. ``O`` is the tag of a word outside of all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Entity = tuple[int, int, str]

OUTSIDE = "O"
ONLY_TYPE = "ENTITY"
"""The type of tags that are a letter alone, B and I, as files of one type have them."""
_BARE = ("B", "I")
SCHEMES = {
    "IOB2": "BIII",
    "IOB1": "BIII",
    "BIOES": "BIES",
    "BMES": "BMES",
    "BILOU": "BILU",
}
"""The letters of a first, an inner, a last and an only word, where a scheme tells them apart."""


class Tagging(NamedTuple):
    """How the words of a data set are tagged.

    ``words`` is the rule of :mod:`lora_bert.data.words` by which texts are cut into words.
    """

    scheme: str
    words: str


_TAG = re.compile(r"([BIMELSUW])[-_](.+)")
_ROLES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}


def parts_of(tag: str) -> tuple[str, str] | None:
    """The letter of a tag (``""`` outside) and its type; None where it is no tag of a scheme."""
    if tag == OUTSIDE:
        return "", ""
    match = _TAG.fullmatch(tag)
    return (match[1], match[2]) if match else None


def is_tag(cell: str) -> bool:
    """Whether a cell is a tag, with a type or with none."""
    return cell in _BARE or parts_of(cell) is not None


def with_type(tag: str) -> str:
    """A tag with its type: ``ENTITY``, where a file of one type writes the letter alone."""
    return f"{tag}-{ONLY_TYPE}" if tag in _BARE else tag


def entities_of(
    tags: Sequence[str], *, strict: bool = True, ends: bool = False, iob1: bool = False
) -> list[Entity]:
    """The entities of one sentence's tags.

    Args:
        tags: One a word, of whatever scheme.
        strict: Only what begins with B (or S) counts. Else a word continues what is open where its
            type is the same, and begins something otherwise.
        ends: With ``strict``, the scheme has letters for last words, and what does not end with one
            does not count.
        iob1: The tags are IOB1, where I may begin an entity.

    Both ways are those of seqeval, ``mode="strict"`` and its default.

    References:
        H. Nakayama (2018). seqeval: A Python framework for sequence labeling evaluation.
    """
    found: list[Entity] = []
    start, kind, last = -1, "", False
    for at, tag in enumerate([*tags, OUTSIDE]):
        letter, own = parts_of(tag) or ("", "")
        role = _ROLES.get(letter, "")
        if start >= 0 and not last and role in ("I", "E") and own == kind:
            last = role == "E"
            continue
        if start >= 0 and (last or not (strict and ends)):
            found.append((start, at, kind))
        begins = role in ("B", "S") or (role and (iob1 or not strict))
        start, kind, last = (at, own, role in ("E", "S")) if begins else (-1, "", False)
    return found


def tags_of(entities: Iterable[Entity], words: int, scheme: str = "IOB2") -> list[str]:
    """The tags of so many words; the entities are in order and do not overlap."""
    first, inner, last, only = list(SCHEMES[scheme])
    tags = [OUTSIDE] * words
    before: Entity = (-1, -1, "")
    for start, end, kind in entities:
        letters = [first, *[inner] * (end - start - 2), last] if end - start > 1 else [only]
        if scheme in ("IOB2", "IOB1"):
            touches = before[1] == start and before[2] == kind
            letters[0] = "B" if scheme == "IOB2" or touches else "I"
        tags[start:end] = [f"{letter}-{kind}" for letter in letters]
        before = (start, end, kind)
    return tags


def scheme_of(sentences: Iterable[Sequence[str]]) -> str | None:
    """The scheme that sentences are tagged in; None where a tag is of none."""
    letters: Counter[str] = Counter()
    needless = beginning = 0
    for tags in sentences:
        before = ("", "")
        for tag in tags:
            parts = parts_of(tag)
            if parts is None:
                return None
            letters[parts[0]] += 1
            touches = bool(before[0]) and before[1] == parts[1]
            needless += parts[0] == "B" and not touches
            beginning += parts[0] == "I" and not touches
            before = parts
    for scheme, signs in (("BMES", "M"), ("BILOU", "LU"), ("BIOES", "ES")):
        if any(letters[sign] for sign in signs):
            return scheme
    return "IOB1" if beginning and not needless else "IOB2"


def read_tags(tags: Sequence[str], scheme: str) -> tuple[list[Entity], int]:
    """The entities of a sentence as they are meant, and how many of them are not written whole.

    A word that continues what is not there, as an I- behind another type, begins an entity.
    """
    iob1, ends = scheme == "IOB1", len({*SCHEMES[scheme]}) > 2
    entities = entities_of(tags, strict=False, iob1=iob1)
    whole = {*entities_of(tags, ends=ends, iob1=iob1)}
    return entities, len({*entities} - whole)
