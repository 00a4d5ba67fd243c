"""Answers that are given by where they stand alone, as NewsQA has them, ``196:228|None|196:202``.

Each annotator's part stands between bars: from which character to which, or that there is none.

References:
    A. Trischler et al. (2017). NewsQA: a machine comprehension dataset. RepL4NLP 2017.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace

from lora_bert.data.answer_columns import CONTEXT_NAMES
from lora_bert.data.columns import plain_name
from lora_bert.data.formats.squad import answer_at, place_of
from lora_bert.data.stored import kept
from lora_bert.data.tables import Table

logger = logging.getLogger(__name__)

_RANGES, _VALIDATED = "answercharranges", "validatedanswers"
_ANSWERS = "answers"
_RANGE = re.compile(r"(\d+):(\d+)")
_NONE = "none"


def with_answers(table: Table) -> Table:
    """The table with the answers that its column of ranges tells; of other tables the same.

    The part that most annotators have marked is the answer, of several with as many each is one.
    """
    by_name = {plain_name(name): name for name in reversed(table.columns)}
    context = next((by_name[name] for name in CONTEXT_NAMES if name in by_name), None)
    if _RANGES not in by_name or context is None or _ANSWERS in table.columns:
        return table
    ranges, others = by_name[_RANGES], by_name.get(_VALIDATED)
    logger.info("'%s': what most annotators have marked in column '%s' is the answer.",
                table.source, ranges)  # fmt: skip
    rows = zip(
        table.values[context], table.values[ranges],
        table.values[others] if others else ("",) * len(table), strict=True,
    )  # fmt: skip
    values = {**table.values, _ANSWERS: kept(_answers(*row) for row in rows)}
    return replace(table, columns=(*table.columns, _ANSWERS), values=values)


def _answers(context: str, marked: str, validated: str) -> str:
    """The answers of a row as a list of objects, in JSON; "" where nothing is said of them."""
    votes = Counter(part.strip().lower() for part in marked.split("|") if part.strip())
    # Of what they chose again among these.
    with suppress(ValueError, AttributeError, TypeError, OverflowError):
        again = {str(part).lower(): int(number) for part, number in json.loads(validated).items()}
        votes = Counter(again) or votes
    best = [part for part, number in votes.items() if number == max(votes.values())]
    found = [answer_at(context, place_of(start), place_of(end))
             for part in best for start, end in _RANGE.findall(part)]  # fmt: skip
    return json.dumps(found, ensure_ascii=False) if found or _NONE in best else ""
