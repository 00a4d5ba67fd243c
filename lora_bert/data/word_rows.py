"""Tables with a word a row and a column that says which sentence it is of, as sentences."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from itertools import pairwise

import numpy as np

from lora_bert.data.columns import WORD_NAMES, plain_name, sentence_column
from lora_bert.data.rows import HEAD_ROWS
from lora_bert.data.stored import kept, numbers_at, taken
from lora_bert.data.tables import Table
from lora_bert.data.tag_schemes import parts_of
from lora_bert.wording import counted

logger = logging.getLogger(__name__)

_TAGS = ("tag", "tags", "nertag", "nertags", "ner", "label", "labels", "entity")


def as_sentences(table: Table) -> Table:
    """A row for each sentence, with lists of its words and tags; of other tables the same.

    A sentence begins where its column says something else than before; an empty cell says nothing.
    What other columns say of a sentence is what they say of its first word.
    """
    by_name = {plain_name(name): name for name in reversed(table.columns)}
    found = [sentence_column(table.columns)]
    found += [next((by_name[name] for name in names if name in by_name), None)
              for names in (WORD_NAMES, _TAGS)]  # fmt: skip
    if None in found:
        return table
    numbers, words, tags = (table.values[str(name)] for name in found)
    head = [cell.strip() for cell in tags[:HEAD_ROWS]]
    if not head or any(parts_of(tag) is None for tag in head if tag):
        return table
    begins, last = list[int](), ""
    for row, cell in enumerate(map(str.strip, numbers)):
        if not begins or (cell and cell != last):
            begins.append(row)
        last = cell or last
    if len(begins) in (1, len(table)):
        return table
    logger.info(
        "'%s' has a word a row: column '%s' makes %s of them.", table.source, found[0],
        counted(len(begins), "sentence"),
    )  # fmt: skip
    ends = list(pairwise([*begins, len(table)]))
    values = {name: kept(json.dumps([str(cell) for cell in cells[start:end]], ensure_ascii=False)
                         for start, end in ends)
              for name, cells in (("tokens", words), ("tags", tags))}  # fmt: skip
    first = np.array(begins)
    beside = {name: taken(table.values[name], first)
              for name in table.columns if name not in (*found, *values)}  # fmt: skip
    lines = numbers_at(table.lines, first)
    return replace(table, columns=(*values, *beside), values=values | beside, lines=lines)
