"""Questions about texts, and where their answers stand in these, however a file has them.

The label of such a row is the JSON text of where its answers begin and end in the context, in
characters: ``[[15, 22], …]``, and ``[]`` where it has none. An answer that stands nowhere in the
context is its text, ``["Ann"]``: it can be compared with, and not learned.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from lora_bert.data.answer_columns import answer_columns
from lora_bert.data.columns import LABEL_NAMES, id_column, plain_name
from lora_bert.data.examples import Examples, cells_at
from lora_bert.data.literals import literal, may_be_literal
from lora_bert.data.rows import HEAD_ROWS
from lora_bert.data.stored import kept, numbers_at, taken
from lora_bert.data.tables import Table
from lora_bert.data.texts import TextPairs, columns_of
from lora_bert.errors import DataError
from lora_bert.wording import counted

logger = logging.getLogger(__name__)

NO_ANSWER = "[]"
"""The label of a question that has none."""
_STARTS = ("answer_start", "answer_starts", "start", "starts", "start_offset")
_ANY_START = "start"
_START_COLUMNS = ("answerstart", "answerstarts", _ANY_START)
_IMPOSSIBLE = ("isimpossible", "impossible", "unanswerable")
_TRUE = ("true", "1", "1.0", "yes")
_NEARLY = 0.8
_ARE_QUESTIONS = "questions, contexts, and where the answers stand in these"
_MENDED, _NOWHERE = "mended", "nowhere"
"""What is counted of answers."""


def answers_in(
    table: Table, *, question: str | None = None, context: str | None = None,
    answers: str | None = None,
) -> str:  # fmt: skip
    """What says in words that a table's rows are questions about texts; "" where nothing does.

    ``question``, ``context`` and ``answers`` are columns that are named.
    """
    try:
        names = answer_columns(
            table.columns, question=question, context=context, answers=answers, source=table.source
        )
    except DataError:  # a table of something else
        return ""
    if names[2] is None:
        return ""
    starts = _column(table, _START_COLUMNS)
    contexts = table.values[names[1]][:HEAD_ROWS]
    cells = table.values[names[2]][:HEAD_ROWS]
    # Of relevance, too, there may be a label and a start: that of a chunk.
    named = plain_name(starts or ""), plain_name(names[2])
    sure = starts is not None and (named[0] != _ANY_START or named[1] not in LABEL_NAMES)
    for cell, read in zip(cells, contexts, strict=True):
        value = _listed(cell)
        placed = isinstance(value, Mapping) and "text" in value and _starts_of(value) is not None
        if isinstance(value, list) and value:
            placed = all(isinstance(item, Mapping) and {"text", _STARTS[0]} <= item.keys()
                         for item in value)  # fmt: skip
        if placed or (sure and _stands_in(read, cell)):
            return _ARE_QUESTIONS
    if starts is None or sure:
        return ""
    begins = table.values[starts][:HEAD_ROWS]
    there = [
        _stands_at(*row) for row in zip(contexts, cells, begins, strict=True) if row[1].strip()
    ]
    return _ARE_QUESTIONS if there and sum(there) >= _NEARLY * len(there) else ""


def _stands_in(context: str, cell: str) -> bool:
    """Whether an answer of a cell stands in a context."""
    return any(text.strip() in context for text, _ in _answers(cell, "") or ())


def _stands_at(context: str, cell: str, start: str) -> bool:
    """Whether an answer of a cell stands in a context where it says."""
    return any(at is not None and at >= 0 and context.startswith(text, at)
               for text, at in _answers(cell, start) or ())  # fmt: skip


def answer_examples(
    table: Table, question_column: str, context_column: str, answer_column: str, *,
    beside: Sequence[str] = (),
) -> Examples:  # fmt: skip
    """The examples in a table of questions about contexts.

    An answer that does not stand where it says is looked for in its context; where it is not there
    either, its text stands in its place. Rows with nothing said of their answers are dropped. Logs
    say how many.

    Raises:
        DataError: No row is left.
    """
    names = question_column, context_column
    starts, impossible = _column(table, _START_COLUMNS), _column(table, _IMPOSSIBLE)
    said = [table.values[name] if name else () for name in (starts, impossible)]
    counts, labels, left = Counter[str](), list[str](), list[int]()
    rows = zip(*(table.values[name] for name in (context_column, answer_column)), strict=True)
    for at, (context, cell) in enumerate(rows):
        start, none = (column[at] if len(column) else "" for column in said)
        texts = [] if none.strip().lower() in _TRUE else _answers(cell, start)
        if texts is not None:
            labels.append(json.dumps(list(_placed(context, texts, counts))))
            left.append(at)
    _say_mended(table, counts)
    _say_unsaid(table, left, names, answer_column)
    chosen = np.asarray(left, dtype=np.int64)
    texts_of_rows = TextPairs(*(taken(table.values[name], chosen) for name in names))
    return Examples(
        texts_of_rows, kept(labels), numbers_at(table.lines, chosen), table.source, table.unit,
        ids=_ids(table, chosen, (*names, answer_column)), files=table.files, label_form="answers",
        columns=table.columns, beside=cells_at(table.values, beside, chosen),
    )  # fmt: skip


def learnable(examples: Examples) -> Examples:
    """The rows that can be learned from: with a question, and with an answer where it stands.

    All of them can be scored. Of their labels, what stands nowhere is left out. A log says how many
    rows are dropped.

    Raises:
        DataError: No row is left.
    """
    dropped, labels, left, whole = Counter[str](), list[str](), list[int](), True
    rows = zip(*columns_of(examples.texts), examples.labels, strict=True)
    for at, (question, context, label) in enumerate(rows):
        answers = json.loads(label)
        spans = [answer for answer in answers if not isinstance(answer, str)]
        whole &= len(spans) == len(answers)
        if not question.strip():
            dropped["no question"] += 1
        elif not context.strip():
            dropped["an empty context"] += 1
        elif answers and not spans:
            dropped["no answer that stands in its context"] += 1
        else:
            labels.append(json.dumps(spans))
            left.append(at)
    if not dropped:
        return examples if whole else replace(examples, labels=kept(labels))
    reasons = " and ".join(f"{counted(number, 'row')} with {what}"
                           for what, number in dropped.items())  # fmt: skip
    if not left:
        raise DataError(f"'{examples.source}' has nothing left to learn from: {reasons}.")
    known = set(left)
    first = next(at for at in range(len(examples)) if at not in known)
    logger.warning("Nothing is learned from %s of '%s' (the first: %s).", reasons, examples.source,
                   examples.at(first))  # fmt: skip
    return replace(examples.take(left), labels=kept(labels))


def _say_mended(table: Table, counts: Counter[str]) -> None:
    """Say what was put right, and what could not be."""
    if mended := counts[_MENDED]:
        logger.warning(
            "'%s': %s elsewhere than answer_start says; the nearest such place is taken.",
            table.source, counted(mended, "answer stands", "answers stand"),
        )  # fmt: skip
    if nowhere := counts[_NOWHERE]:
        logger.warning(
            "'%s': %s nowhere in the context: what is answered is compared with the text alone.",
            table.source, counted(nowhere, "answer stands", "answers stand"),
        )  # fmt: skip


def _say_unsaid(table: Table, left: Sequence[int], names: tuple[str, str], answers: str) -> None:
    """Say how many rows say nothing of their answers; DataError where all do."""
    if len(left) == len(table):
        return
    reason = f"{counted(len(table) - len(left), 'row')} with nothing said of its answers"
    if not left:
        raise DataError(
            f"'{table.source}' has nothing left: {reason}.",
            hint=f"Questions are read from '{names[0]}', contexts from '{names[1]}', answers from "
            f"'{answers}'; others are named with --text-column, --text-pair-column and "
            "--label-column.",
        )
    known = set(left)
    first = next(at for at in range(len(table)) if at not in known)
    logger.warning("Dropped %s from '%s' (the first: %s).", reason, table.source, table.at(first))


def _answers(cell: str, start: str) -> list[tuple[str, int | None]] | None:
    """The answers of a cell with where they begin, if that is said; None: it says nothing."""
    value, pairs = _listed(cell), list[tuple[Any, Any]]()
    if isinstance(value, Mapping):
        if "text" not in value:
            return None
        texts, starts = value["text"], _starts_of(value)
        texts = texts if isinstance(texts, list) else [texts]
        starts = starts if isinstance(starts, list) else [starts] * len(texts)
        pairs = list(zip(texts, [*starts, *[None] * len(texts)], strict=False))
    elif isinstance(value, list):
        items = [item if isinstance(item, Mapping) else {"text": item} for item in value]
        begins = _listed(start)
        if not isinstance(begins, list) or len(begins) != len(items):
            begins = [start] * len(items)
        for item, begin in zip(items, begins, strict=True):
            own = _starts_of(item)
            pairs.append((item.get("text", item), begin if own is None else own))
    elif cell.strip():
        pairs = [(cell, start)]
    else:
        return None
    read = [(_text(text), _number(at)) for text, at in pairs if text is not None]
    if any(text is None for text, _ in read):
        return None
    return [(text, at) for text, at in read if text and text.strip()]


def _text(value: Any) -> str | None:
    """An answer, which files write as a number where it is one; None: it is something else."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if number or isinstance(value, str) else None


def _starts_of(members: Mapping[str, Any]) -> Any:
    return next((members[name] for name in _STARTS if name in members), None)


def _number(value: Any) -> int | None:
    with suppress(TypeError, ValueError, OverflowError):
        return int(float(value))
    return None


def _placed(
    context: str, answers: Sequence[tuple[str, int | None]], counts: Counter[str]
) -> Iterator[tuple[int, int] | str]:
    """Where answers stand: where they say, else at the nearest place; or what stands nowhere."""
    for text, start in answers:
        if start is not None and start >= 0 and context.startswith(text, start):
            yield start, start + len(text)
            continue
        bare = text.strip()
        places = [match.start() for match in re.finditer(f"(?={re.escape(bare)})", context)]
        if not places:
            counts[_NOWHERE] += 1
            yield text
            continue
        counts[_MENDED] += start is not None
        at = min(places, key=lambda place: abs(place - (start or 0)))
        yield at, at + len(bare)


def _listed(cell: str) -> Any:
    """The list or object that a cell is, or None."""
    if not may_be_literal(cell):
        return None
    with suppress(ValueError, RecursionError):
        return json.loads(cell)
    return literal(cell)


def _column(table: Table, names: Sequence[str]) -> str | None:
    plain = {plain_name(name): name for name in table.columns}
    return next((plain[name] for name in names if name in plain), None)


def _ids(table: Table, rows: np.ndarray, columns: Sequence[str]) -> Sequence[str]:
    """The cells of the column of ids, where there is one and it tells the rows apart."""
    name = id_column(table.columns, columns)
    ids = taken(table.values[name], rows) if name else ()
    return ids if all(ids) and len({*ids}) == len(ids) else ()
