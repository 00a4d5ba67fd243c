"""Which columns hold questions, the contexts that they are about, and the answers."""

from __future__ import annotations

from collections.abc import Sequence

from lora_bert.data.columns import given_column, plain_name
from lora_bert.data.rows import NO_TRAINING, TrainingFormat
from lora_bert.errors import DataError
from lora_bert.wording import listed

QUESTION_NAMES = ("question", "query", "querytext", "questiontext", "问题", "問題", "質問", "질문")
CONTEXT_NAMES = (
    "context", "passage", "paragraph", "document", "contexttext", "article", "storytext", "text",
    "段落", "文章",
    "上下文", "原文", "文脈", "본문",
)  # fmt: skip
ANSWER_NAMES = ("answers", "answer", "answertext", "labels", "label", "答案", "回答", "답변")
"""Usual names of columns, without case and separators; the first one that a table has wins."""


def may_be_questions(columns: Sequence[str]) -> bool:
    """Whether columns are called like questions, contexts and answers."""
    names = {plain_name(name) for name in columns}
    called = (QUESTION_NAMES, CONTEXT_NAMES, ANSWER_NAMES)
    return not any(names.isdisjoint(each) for each in called)


def answer_columns(
    columns: Sequence[str], *, question: str | None, context: str | None, answers: str | None,
    source: str, training: TrainingFormat = NO_TRAINING,
) -> tuple[str, str, str | None]:  # fmt: skip
    """The columns of questions, of contexts and of answers (None: there is none).

    Those that are named are taken, the others are called as in the ``training``, or as is usual.

    Raises:
        DataError: One that is named is not there, or none is called as such columns are.
    """
    found, roles = list[str | None](), ("question", "context", "answer")
    usual = (QUESTION_NAMES, CONTEXT_NAMES, ANSWER_NAMES)
    trained = training.text_column, training.pair_column, training.label_column
    for name, before, names in zip((question, context, answers), trained, usual, strict=True):
        own = given_column(name, columns, source)
        free = {plain_name(each): each for each in columns if each not in found}
        known = (*([plain_name(before)] if before else ()), *names)
        found.append(own or next((free[each] for each in known if each in free), None))
    options = ("--text-column", "--text-pair-column")
    for name, role, option in zip(found, roles, options, strict=False):
        if name is None:
            raise DataError(
                f"No column of '{source}' is called like a {role}; its columns are "
                f"{listed(columns, 20)}.",
                hint=f"Name it with {option}.",
            )
    return str(found[0]), str(found[1]), found[2]
