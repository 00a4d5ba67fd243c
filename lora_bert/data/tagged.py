"""Tagged words and marked parts of texts, however a file has them, as texts with their entities.

The label of such a row is the JSON text of its entities, ``[[0, 5, "PER"], …]``: where each begins
and ends in the text, in characters, and its type. They are in order and do not overlap.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lora_bert.data.columns import LABEL_NAMES, TEXT_NAMES, WORD_NAMES
from lora_bert.data.examples import Examples, cells_at
from lora_bert.data.formats.label_studio import flat_cells
from lora_bert.data.literals import literal, may_be_literal
from lora_bert.data.rows import HEAD_ROWS
from lora_bert.data.stored import kept, numbers_at
from lora_bert.data.tables import Table
from lora_bert.data.tag_schemes import (
    OUTSIDE,
    Entity,
    Tagging,
    parts_of,
    read_tags,
    scheme_of,
    with_type,
)
from lora_bert.data.words import SINGLE, joined, rule_for, words_in
from lora_bert.errors import DataError, did_you_mean
from lora_bert.wording import counted, listed, shortened

logger = logging.getLogger(__name__)

_OF_TAGS = ("tags", "ner_tags", "ner", "bio_tags", "token_labels", "word_labels", "slots")
TAG_NAMES = (*_OF_TAGS, "entities", "spans", "annotations", *LABEL_NAMES)
"""Usual names of columns, the first one that a table has wins."""

_STARTS, _ENDS = ("start", "start_offset", "begin"), ("end", "end_offset", "stop")
_TYPES = ("label", "labels", "type", "entity", "tag", "entity_group", "name")
_SINGLE = re.compile(f"[{SINGLE}]")
_CHINESE = 0.5
"""Share of Chinese characters from which on marked texts are cut into characters."""


@dataclass
class _Mended:
    """What did not fit and was put right, counted; the words say it of a number of them."""

    counts: Counter[str] = field(default_factory=Counter)

    def say(self, source: str) -> None:
        for what, number in self.counts.items():
            logger.warning("'%s': %s.", source, f"{number:,} {what}")


def tag_columns(table: Table, *, text: str | None, tags: str | None) -> tuple[str, str | None]:
    """The column of words or texts, and that of tags or marked parts (None: there is none).

    Raises:
        DataError: One that is named is not there, or none is called as such columns are.
    """
    columns, source = table.columns, table.source
    for name in (text, tags):
        if name is not None and name not in columns:
            raise DataError(
                f"'{source}' has no column '{name}'; its columns are {listed(columns, 20)}.",
                hint=did_you_mean(name, columns),
            )
    lower = {name.strip().lower(): name for name in columns}
    names = [lower[name] for name in (*WORD_NAMES, *TEXT_NAMES) if name in lower]
    text = text or next((name for name in names if _are_words(table.values[name])), None)
    if text is None:
        raise DataError(
            f"No column of '{source}' is called like words or a text; its columns are "
            f"{listed(columns, 20)}.",
            hint="Name it with --text-column.",
        )
    rest = [lower[name] for name in TAG_NAMES if name in lower and lower[name] != text]
    return text, tags or next(iter(rest), None)


def _are_words(cells: Sequence[str]) -> bool:
    """Whether cells are texts or lists of words; Prodigy's tokens are objects."""
    first = next(filter(None, cells[:HEAD_ROWS]), "")
    return _listed(first) is None or _tokens(first) is not None


def tags_in(table: Table, *, text: str | None, tags: str | None) -> str:
    """What says in words that a table's rows are tagged; "" where nothing does.

    ``text`` and ``tags`` are columns that are named.
    """
    try:
        text, label = tag_columns(table, text=text, tags=tags)
    except DataError:  # a table of something else
        return ""
    if label is None:
        alone = len(table.columns) == 1 and all(_tokens(cell) for cell in table.values[text][:1])
        return "each row is words" if alone else ""
    others, least = 0, 1 if text.strip().lower() in WORD_NAMES else 2
    # Lists of words beside lists of tags: where their numbers differ in every row, reading says so.
    unequal, of_tags = False, label.strip().lower() in _OF_TAGS
    for words, cell in zip(table.values[text], table.values[label], strict=True):
        said = _said(words, cell, least)
        if said:
            return said
        # Rows without an entity may be many, and say nothing.
        others += said is not None
        unequal |= of_tags and _tokens(words) is not None and bool(_listed(cell))
        if others == HEAD_ROWS:
            break
    return "each word has a tag" if unequal else ""


def _said(words: str, cell: str, least: int) -> str | None:
    """What says in words that a row is tagged; "" where it is not, None where it may be.

    Where spaces part its words, ``least`` of them are enough.
    """
    tokens, value, tags = _tokens(words), _listed(cell), _parted(cell, len(words.split()))
    parts = value if isinstance(value, list) and _is_marked(value) else _by_type(value)
    if tokens is not None and isinstance(value, list) and len(tokens) == len(value) > 0:
        return "each word has a tag"
    if tokens is None and parts:
        return "parts of the texts are marked"
    if value is None and len(tags) == len(words.split()) >= least and all(map(parts_of, tags)):
        return "each word has a tag" if {*tags} != {OUTSIDE} else None
    return None if parts is not None or not tags else ""


def tagged_examples(
    table: Table, text_column: str, label_column: str, *, names: Mapping[str, str],
    tagging: Tagging | None, beside: Sequence[str] = (),
) -> Examples:  # fmt: skip
    """The examples in a table whose words are tagged, or whose texts have marked parts.

    Args:
        table: The rows.
        text_column: Its column of texts, or of lists of words.
        label_column: Its column of lists of tags, or of marked parts.
        names: New names for tags or types.
        tagging: How the words of the training rows are tagged; None: these are those.
        beside: As :class:`.DataOptions` has it.

    Raises:
        DataError: A row has fewer words than tags or more, a tag is of no scheme, or no row is
            left.
    """
    cells = flat_cells(table.values, label_column)
    rows = list(zip(table.values[text_column], cells, strict=True))
    filled = [at for at, (text, cell) in enumerate(rows) if text.strip() and cell.strip()]
    read = [_read(table, at, *rows[at], names) for at in filled]
    if len(read) > 1 and all(
        words == [rows[at][0]] and parts_of(str(said[0]))
        for at, (words, said) in zip(filled, read, strict=True)
    ):
        raise DataError(
            f"'{table.source}' has one word a row, and nothing says where sentences end.",
            hint="Write a word and its tag a line, and a blank line between sentences: .conll.",
        )
    tagging = tagging or _tagging(table, filled, read)
    mended, scheme = _Mended(), _scheme(table, filled, read) or tagging.scheme
    texts, labels, left = [], [], []
    for at, (words, said) in zip(filled, read, strict=True):
        text, entities = _entities(words, said, scheme, tagging.words, mended)
        if words_in(text, tagging.words):
            texts.append(text)
            # A tag may have been renamed, or its type.
            labels.append(json.dumps([(a, b, names.get(kind, kind)) for a, b, kind in entities],
                                     ensure_ascii=False))  # fmt: skip
            left.append(at)
    mended.say(table.source)
    if len(left) < len(rows):
        without = counted(len(rows) - len(left), "row")
        logger.warning("Dropped %s without words or tags from '%s'.", without, table.source)
    if not left:
        raise DataError(f"'{table.source}' has nothing left: no row has words and tags.")
    return Examples(
        kept(texts), kept(labels), numbers_at(table.lines, np.asarray(left)),
        table.source, table.unit, files=table.files, label_form="tags", tagging=tagging,
        columns=table.columns, beside=cells_at(table.values, beside, np.asarray(left)),
    )  # fmt: skip


def untagged_texts(cells: Iterable[str], rule: str) -> tuple[list[str], Places]:
    """Texts, and where their words stand; lists of words are joined, of other texts none is given.

    No word is empty: one that is nothing but spaces is none, and a space of the text where words
    are characters.
    """
    texts, places = [], []
    for cell in cells:
        words = _tokens(cell)
        text, spans = joined(words, rule) if words is not None else (cell, [])
        texts.append(text)
        places.append(spans)
    return texts, places


Places = Sequence[Sequence[tuple[int, int]]]
"""Where the words of each text stand, in characters, where they are given."""

_Words = str | list[str]
_Marked = tuple[int, int, str, str]
"""Where a marked part begins and ends, its type, and what it holds, where that is said."""
_Said = list[str] | list[_Marked]


def _read(
    table: Table, at: int, text: str, cell: str, names: Mapping[str, str]
) -> tuple[_Words, _Said]:
    """The words and their tags, or the text and its marked parts."""
    tokens, value = _tokens(text), _listed(cell)
    if tokens is None and isinstance(value, list) and (not value or _is_marked(value)):
        return text, [part for item in value if (part := _marked(item)) is not None]
    if (parts := _by_type(value)) is not None:
        return text, parts
    count = len(text.split() if tokens is None else tokens)
    tags = [str(tag) for tag in value] if isinstance(value, list) else _parted(cell, count)
    if tokens is None:
        tokens, characters = text.split(), [char for char in text if not char.isspace()]
        if len(tokens) != len(tags) and (len(tokens) == 1 or len(characters) == len(tags)):
            tokens = characters
    if len(tokens) != len(tags):
        raise DataError(
            f"{table.at(at)}: {counted(len(tokens), 'word')} and {counted(len(tags), 'tag')}.",
            hint="Every word needs one tag; O is the tag of a word outside of all entities.",
        )
    return tokens, [with_type(names.get(tag, tag)) for tag in tags]


def _parted(cell: str, words: int) -> list[str]:
    """The tags of a cell, with spaces between; or with commas, where so many are of a scheme."""
    tags, by_commas = cell.split(), [tag.strip() for tag in cell.split(",")]
    fits = len(tags) != words == len(by_commas) and all(map(parts_of, by_commas))
    return by_commas if fits else tags


def _tokens(cell: str) -> list[str] | None:
    """The words of a cell that is a list of them; None for a text."""
    value = None if cell[:1] in ("{", "(") else _listed(cell)
    plain = isinstance(value, list) and all(isinstance(item, str | int | float) for item in value)
    return [str(item) for item in value] if plain and value is not None else None


def _listed(cell: str) -> Any:
    """The list or object that a cell is, or None."""
    if not may_be_literal(cell):
        return None
    value = None
    with suppress(ValueError, RecursionError):
        value = json.loads(cell)
    value = literal(cell) if value is None else value
    if isinstance(value, Mapping) and isinstance(value.get("entities"), list):
        return value["entities"]  # as spaCy has them
    return value


def _is_marked(value: Any) -> bool:
    return isinstance(value, list) and all(_marked(item) is not None for item in value)


def _marked(item: Any) -> _Marked | None:
    """A marked part: ``[0, 5, "PER"]``, or an object of doccano's, Label Studio's or others'."""
    part = ""
    if isinstance(item, list | tuple) and len(item) == 3:
        start, end, kind = item
    elif isinstance(item, Mapping):
        lower = {str(key).lower(): value for key, value in item.items()}
        start, end, kind = (
            next((lower[name] for name in names if name in lower), None)
            for names in (_STARTS, _ENDS, _TYPES)
        )
        if isinstance(kind, list):
            kind = kind[0] if kind else None
        part = lower["text"] if isinstance(lower.get("text"), str) else ""
    else:
        return None
    with suppress(TypeError, ValueError, OverflowError):
        if isinstance(kind, str) and kind.strip():
            return int(start), int(end), kind.strip(), part
    return None


def _by_type(value: Any) -> list[_Marked] | None:
    """CLUENER's objects, ``{"name": {"叶老桂": [[9, 11]]}}``: an end is the last character's.

    None for other ones.
    """
    if not isinstance(value, Mapping):
        return None
    with suppress(AttributeError, TypeError, ValueError, OverflowError):
        return [
            (int(start), int(end) + 1, str(kind), str(part))
            for kind, found in value.items()
            for part, places in (found or {}).items()  # parquet has every type in every row
            for start, end in places or ()
        ]
    return None


def _scheme(
    table: Table, filled: Sequence[int], read: Sequence[tuple[_Words, _Said]]
) -> str | None:
    """The scheme of a table's tags; None where parts of texts are marked."""
    tags = [[str(tag) for tag in said] for words, said in read if isinstance(words, list)]
    if not tags or (scheme := scheme_of(tags)) is not None:
        return scheme if tags else None
    for at, (words, said) in zip(filled, read, strict=True):
        wrong = [str(tag) for tag in said if isinstance(words, list) and parts_of(str(tag)) is None]
        if wrong:
            numbers = all(tag.lstrip("-").isdecimal() for tag in wrong)
            raise DataError(
                f"{table.at(at)}: the tag '{shortened(wrong[0], 40)}' is of no scheme that is "
                "known: O, B-TYPE, I-TYPE (BIO), or with E- and S- (BIOES), M- (BMES), L- and U- "
                "(BILOU).",
                hint="Say which tag a number stands for: --label-names 0=O,1=B-PER,…"
                if numbers
                else "Types without a letter get one so: --label-names PER=I-PER,…",
            )
    return None


def _tagging(table: Table, filled: Sequence[int], read: Sequence[tuple[_Words, _Said]]) -> Tagging:
    """How training rows are tagged, which a log says."""
    tokens = [words for words, _ in read if isinstance(words, list)]
    if tokens:
        tagging = Tagging(_scheme(table, filled, read) or "IOB2", rule_for(tokens))
        said = f"tags of the scheme {tagging.scheme}"
    else:
        texts = [str(words) for words, _ in read]
        chinese = sum(len(_SINGLE.findall(text)) for text in texts)
        chinese = chinese > _CHINESE * sum(sum(map(str.isalnum, text)) for text in texts)
        tagging = Tagging("IOB2", "characters" if chinese else "punctuation")
        said = "marked parts"
    cut = {"spaces": "spaces", "punctuation": "spaces and marks", "characters": "every character"}
    logger.info("'%s' has %s; words end at %s.", table.source, said, cut[tagging.words])
    return tagging


def _entities(
    words: _Words, said: _Said, scheme: str, rule: str, mended: _Mended
) -> tuple[str, list[Entity]]:
    """The text and its entities, which begin and end where words do."""
    if isinstance(words, str):
        marked = [part for part in said if not isinstance(part, str)]
        return words, list(_fitted(words, marked, rule, mended))
    tags = [str(tag) for word, tag in zip(words, said, strict=True) if word.strip()]
    no_words = [word for word in words if not word.strip()]
    if rule == "characters":  # where a space is one
        no_words = [word for word in no_words if not word]
    if no_words:
        mended.counts["tags stand at no word and are left out"] += len(no_words)
    found, odd = read_tags(tags, scheme)
    if odd:
        mended.counts[f"entities are not written as {scheme} is, such as an I- behind another "
                      "type: each is taken for one of its own"] += odd  # fmt: skip
    text, spans = joined(words, rule)
    return text, [(spans[start][0], spans[end - 1][1], kind) for start, end, kind in found]


def _fitted(text: str, marked: Sequence[_Marked], rule: str, mended: _Mended) -> Iterator[Entity]:
    """Marked parts that begin and end where words do, in order, none of which overlap."""
    words, last, counts = words_in(text, rule), 0, mended.counts
    placed = [_placed(text, *part, mended) for part in marked]
    for start, end, kind in sorted(placed, key=lambda part: (part[0], -part[1])):
        inside = [span for span in words if span[0] < end and span[1] > start]
        if not (0 <= start < end <= len(text)) or not inside:
            counts["marked parts hold no word of their text and are left out"] += 1
            continue
        whole = inside[0][0], inside[-1][1]
        if whole[0] < last:
            counts["marked parts overlap with one before them and are left out"] += 1
            continue
        cut = text[start:end]
        if (start + len(cut) - len(cut.lstrip()), start + len(cut.rstrip())) != whole:
            counts["marked parts begin or end within a word and are widened to it"] += 1
        last = whole[1]
        yield (*whole, kind)


def _placed(text: str, start: int, end: int, kind: str, part: str, mended: _Mended) -> Entity:
    """A marked part where it stands; one that says what it holds, and stands elsewhere, is found.

    Offsets that JavaScript counts are others behind an emoji.
    """
    if not part.strip() or text[start:end].split() == part.split():
        return start, end, kind
    places = [match.start() for match in re.finditer(re.escape(part), text)]
    if not places:
        return -1, -1, kind
    mended.counts["marked parts stand elsewhere than they say and are put there"] += 1
    nearest = min(places, key=lambda place: abs(place - start))
    return nearest, nearest + len(part), kind
