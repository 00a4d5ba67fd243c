"""Whether the rows of a table are single texts or pairs, and which columns hold the pairs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lora_bert.data.answer_columns import answer_columns
from lora_bert.data.columns import (
    TEXT_NAMES,
    WORD_NAMES,
    Cells,
    find_columns,
    given_column,
    plain_name,
    sentence_column,
)
from lora_bert.data.rows import HEAD_ROWS, TrainingFormat
from lora_bert.errors import ConfigError, DataError
from lora_bert.wording import listed

logger = logging.getLogger(__name__)

_STEMS = (
    "sentence sent text question query input string str utterance phrase snippet title headline "
    "document doc passage paragraph post comment claim q s "
    "句子 句 文本 问题 问句 标题 文档 段落 问 文 質問 문장 질문 텍스트"
).split()
"""What is counted where both texts are of one kind: sentence1 and sentence2, 句子A and 句子B."""
_COUNTED = (("1", "2", "3"), ("a", "b", "c"), ("one", "two", "three"), ("一", "二", "三"))

_NAMED = tuple(
    tuple(pair.split("+"))
    for pair in (
        "premise+hypothesis premise+hypo text+hypothesis sentence+hypothesis context+hypothesis "
        "question+answer query+passage query+document query+doc query+answer query+response "
        "query+reply query+candidate query+paragraph query+producttitle query+title query+text "
        "query+content question+passage question+sentence question+paragraph question+document "
        "question+response question+candidate question+reply question+context post+response "
        "post+reply context+response utterance+response prompt+response claim+evidence "
        "text+textpair textleft+textright "
        "前提+假设 前提+假設 问题+答案 問題+答案 问题+回答 问题+回复 问题+段落 问题+文章 问题+文档 "
        "问句+答句 查询+文档 查询+段落 查询+文章 查询+标题 前提+仮説 質問+回答 전제+가설 질문+답변"
    ).split()
)
"""Pairs of unlike texts; names are written without separators and in lower case here."""

PAIR_NAMES = (
    *(name for pair in _NAMED for name in pair),
    *(f"{stem}{mark}" for stem in _STEMS for marks in _COUNTED for mark in marks[:2]),
)


class TextColumns(NamedTuple):
    """Where the texts stand: in one column, or the first and the second ones of pairs in two."""

    text: str
    pair: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns there are."""
        return (self.text,) if self.pair is None else (self.text, self.pair)


def find_pair(
    columns: Sequence[str], *, text: str | None, pair: str | None, training: TrainingFormat,
    cells: Cells, source: str,
) -> tuple[str | None, str | None]:  # fmt: skip
    """The columns of first and second texts; the second is None where single texts are asked.

    A recognised pair of names decides it, unless the ``text`` column alone is named or an adapter,
    whose ``training`` is given, is asked the other.

    Args:
        columns: The names that are there.
        text: The column of first texts, where it is named.
        pair: That of second texts, likewise.
        training: What an adapter's training called them, and how many texts a row it has.
        cells: As in :func:`~lora_bert.data.columns.find_columns`.
        source: How to name the table in messages.

    Returns:
        The names; of single texts ``text``, as it was given.

    Raises:
        DataError: A column is not there, there is no second text where one is needed, or a column
            of single texts stands beside a pair.
        ConfigError: Both are the same column, or a second text is named and the adapter takes none.
    """
    if pair is not None and training.inputs == 1:
        raise ConfigError(
            f"--text-pair-column {pair}: the adapter was trained on single texts.",
            hint="Leave it out, or take an adapter that was trained on pairs.",
        )
    given_column(pair, columns, source)
    given_column(text, columns, source)
    if pair is not None and pair == text:
        raise ConfigError(f"'{pair}' cannot hold both texts of a pair.")
    found = None if training.inputs == 1 else _pair(columns, text, pair, training)
    if found is None and pair is not None:
        free = [name for name in columns if name != pair]
        first, _ = find_columns(
            free, text=text, label=None, need_label=False, training=training, cells=cells,
            source=source,
        )  # fmt: skip
        return first, pair
    if found is None and training.inputs == 2:
        raise DataError(
            f"'{source}' has one text a row where pairs of texts are needed: its columns are "
            f"{listed(columns, 20)}.",
            hint="Name the columns of a pair with --text-column and --text-pair-column.",
        )
    if found is None:
        return text, None
    if text is None and pair is None:
        _check_clear(found, columns, training, source)
        logger.info("pairs of texts: columns '%s' and '%s'", *found)
    return found


def find_text_columns(
    columns: Sequence[str], *, text: str | None, pair: str | None, training: TrainingFormat,
    cells: Cells, source: str,
) -> TextColumns:  # fmt: skip
    """The columns of texts of a table whose labels do not matter: as :func:`find_pair` says.

    Of an adapter that finds answers, as :func:`.answer_columns` does.

    Raises:
        DataError, ConfigError: As that says.
    """
    if training.finds_answers:
        return TextColumns(*answer_columns(
            columns, question=text, context=pair, answers=None, source=source, training=training
        )[:2])  # fmt: skip
    first, second = find_pair(
        columns, text=text, pair=pair, training=training, cells=cells, source=source
    )
    if first is None:
        first, _ = find_columns(
            columns, text=None, label=None, need_label=False, training=training, cells=cells,
            source=source,
        )  # fmt: skip
        _check_whole(first, columns, training, cells, source)
    return TextColumns(first, second)


def _check_whole(
    text: str, columns: Sequence[str], training: TrainingFormat, cells: Cells, source: str
) -> None:
    """Refuse a word a row, which only stands in its sentence for what it is."""
    sentences = sentence_column(columns)
    if training.tagging is None or sentences in (None, text) or plain_name(text) not in WORD_NAMES:
        return
    if any(cell[:1] == "[" or " " in cell.strip() for cell in cells.get(text, ())[:HEAD_ROWS]):
        return
    raise DataError(
        f"'{source}' has a word a row: '{text}', of the sentences in '{sentences}'. Words are "
        "tagged in their sentence.",
        hint="Write a word a line and a blank line between sentences (.conll), or a sentence a "
        "row; --text-column names another column.",
    )


def _pair(
    columns: Sequence[str], text: str | None, pair: str | None, training: TrainingFormat
) -> tuple[str, str] | None:
    """The pair that the names say, of which one or both may be given."""
    if text is not None and pair is not None:
        return text, pair
    trained = (training.text_column, training.pair_column)
    if None not in trained and {*trained} <= {*columns}:
        known = [(str(trained[0]), str(trained[1]))]
    else:
        known = list(_recognised(columns))
    if text is not None and training.inputs != 2:
        # One named column of two is a text of its own, where nobody has said otherwise.
        return None
    fits = (each for each in known if text in (None, each[0]) and pair in (None, each[1]))
    return next(fits, None)


def _recognised(columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every pair of columns whose names say that they are one."""
    by_name: dict[str, str] = {}
    for name in columns:
        by_name.setdefault(plain_name(name), name)
    for stem in _STEMS:
        for marks in _COUNTED:
            for first, second, third in (
                tuple(f"{stem}{mark}" for mark in marks), tuple(f"{mark}{stem}" for mark in marks)
            ):  # fmt: skip
                # Three of a kind are answers to choose from, and no pair.
                if first in by_name and second in by_name and third not in by_name:
                    yield by_name[first], by_name[second]
    for first, second in _NAMED:
        if first in by_name and second in by_name:
            yield by_name[first], by_name[second]


def _check_clear(
    pair: tuple[str, str], columns: Sequence[str], training: TrainingFormat, source: str
) -> None:
    """Refuse a pair of unlike names beside a column that is rather called like the text."""
    if training.inputs == 2 or tuple(map(plain_name, pair)) not in _NAMED:
        return
    ranks = {name: at for at, name in enumerate(TEXT_NAMES)}
    first = min(ranks.get(name.strip().lower(), len(ranks)) for name in pair)
    others = [name for name in columns if name not in pair
              and ranks.get(name.strip().lower(), len(ranks)) < first]  # fmt: skip
    if others:
        raise DataError(
            f"'{source}' has a column '{others[0]}' and a pair, '{pair[0]}' and '{pair[1]}': "
            "either could be meant.",
            hint=f"Say --text-column {others[0]}, or --text-column {pair[0]} --text-pair-column "
            f"{pair[1]}.",
        )
