"""Questions about paragraphs, as SQuAD, CMRC 2018, DRCD and XQuAD write them, as flat rows.

``{"paragraphs": [{"context": …, "qas": [{"question": …, "answers": […]}, …]}, …]}``, and as NewsQA
does, ``{"text": …, "questions": [{"q": …, "consensus": {"s": 196, "e": 228}}, …]}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lora_bert.errors import DataError

Row = tuple[int, dict[str, Any]]

_CONTEXTS = ("context", "context_text", "passage")
_QUESTIONS = ("question", "query_text", "query")
_IDS = ("id", "query_id", "qid")


def flat_rows(objects: Iterable[Row], source: str) -> Iterator[Row]:
    """Objects as rows: each question of an article or a paragraph in its place; others as they are.

    Raises:
        DataError: The file has articles or paragraphs, and no question in any of them.
    """
    nested = asked = False
    for position, members in objects:
        paragraphs = _paragraphs(members)
        if paragraphs is None:
            yield position, members
            continue
        nested = True
        for paragraph in paragraphs:
            for question in paragraph.get("qas") or ():
                if isinstance(question, dict):
                    asked = True
                    yield position, _row(members, paragraph, question)
    if nested and not asked:
        raise DataError(
            f"'{source}' has paragraphs, and no question about any of them.",
            hint='Questions stand beside each "context": "qas": [{"question": "…", "answers": '
            '[{"text": "…", "answer_start": 0}]}, …].',
        )


def _paragraphs(members: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The paragraphs of an article, or the object where it is one itself; None: it is neither."""
    paragraphs = members.get("paragraphs")
    if isinstance(paragraphs, list) and all(isinstance(each, dict) for each in paragraphs):
        return paragraphs
    if isinstance(members.get("qas"), list):
        return [members]
    text, questions = members.get("text"), members.get("questions")
    if not isinstance(text, str) or not isinstance(questions, list) or not questions:
        return None
    if not all(isinstance(each, dict) and isinstance(each.get("q"), str) for each in questions):
        return None
    qas = [{"question": each["q"], "answers": _consensus(text, each)} for each in questions]
    return [{"context": text, "qas": qas}]


def _consensus(text: str, question: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The answer that NewsQA's annotators agree on, none, or None where they do not."""
    agreed = question.get("consensus")
    if not isinstance(agreed, dict):
        return None
    places = agreed.get("s"), agreed.get("e")
    if all(isinstance(place, int | str) and str(place).isdecimal() for place in places):
        return [answer_at(text, *(place_of(str(place)) for place in places))]
    return [] if agreed.get("noAnswer") else None


def place_of(digits: str) -> int:
    """A place in a text, which none has that needs more digits than Python reads."""
    return int(digits[:18])


def answer_at(context: str, start: int, end: int) -> dict[str, Any]:
    """What stands in a context from one character to another, without spaces around it."""
    part = context[start:end]
    bare = part.strip()
    return {"text": bare, "answer_start": start + part.find(bare)}


def _row(
    article: Mapping[str, Any], paragraph: Mapping[str, Any], question: Mapping[str, Any]
) -> dict[str, Any]:
    row = {"id": _first(question, _IDS)} if _first(question, _IDS) is not None else {}
    if isinstance(article.get("title"), str):
        row["title"] = article["title"]
    row |= {
        "question": _first(question, _QUESTIONS),
        "context": _first(paragraph, _CONTEXTS),
        "answers": question.get("answers"),
    }
    if "is_impossible" in question:
        row["is_impossible"] = question["is_impossible"]
    return row


def _first(members: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((members[name] for name in names if name in members), None)
