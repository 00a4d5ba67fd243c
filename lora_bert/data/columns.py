"""Which column holds the text and which the label."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from lora_bert.data.wording import listed
from lora_bert.errors import ConfigError, DataError, did_you_mean

logger = logging.getLogger(__name__)

TEXT_NAMES = (
    "text review sentence content comment question query message body utterance tweet post "
    "document doc passage paragraph description summary review_text reviewtext review_body "
    "comment_text text_content sms email input 文本 评论 内容 句子 正文 文章 评价 留言 问题 摘要 "
    "text_clean title headline subject 标题"
).split()
"""Usual names of text columns, the first found wins."""

LABEL_NAMES = (
    "label labels category class target sentiment intent topic tag emotion polarity "
    "label_name label_text category_name class_name classification cls gold output y "
    "标签 类别 分类 情感 类型 意图 情感倾向 标注 主题 话题"
).split()
"""Usual names of label columns, the first found wins."""


def find_columns(
    columns: Sequence[str],
    *,
    text: str | None,
    label: str | None,
    need_label: bool = True,
    known_text: str | None = None,
    known_label: str | None = None,
    source: str,
) -> tuple[str, str | None]:
    """The text column and the label column of a table.

    Args:
        columns: The names that are there.
        text: The text column, or ``None`` to find it by its name (case does not matter).
        label: The same for the label column.
        need_label: Whether a label column is looked for, and its absence an error.
        known_text: What an adapter's training called the text column: tried before the usual names.
        known_label: The same for the label column.
        source: How to name the table in messages.

    Returns:
        The two names as they stand in ``columns``; the label is ``None`` where none is needed and
        none is named.

    Raises:
        DataError: A column is not there, or none or several could be meant.
        ConfigError: Both are the same column.
    """
    if text is not None and text == label:
        raise ConfigError(f"'{text}' cannot be both the text column and the label column.")
    text_column = _given(text, columns, source)
    label_column = _given(label, columns, source)
    if text_column is None:
        free = [name for name in columns if name != label_column]
        text_column = _by_name(_first(known_text, TEXT_NAMES), free, "text", source)
        if text_column is None:
            raise _none_found("text", columns, source)
    if label_column is None and need_label:
        free = [name for name in columns if name != text_column]
        label_column = _by_name(_first(known_label, LABEL_NAMES), free, "label", source)
        if label_column is None:
            raise _none_found("label", columns, source)
    _say(text_column, label_column, text=text, label=label)
    return text_column, label_column


def _given(name: str | None, columns: Sequence[str], source: str) -> str | None:
    if name is None or name in columns:
        return name
    raise DataError(
        f"'{source}' has no column '{name}'; its columns are {listed(columns, 20)}.",
        hint=did_you_mean(name, columns),
    )


def _first(known: str | None, usual: Sequence[str]) -> Sequence[str]:
    return usual if known is None else [known.strip().lower(), *usual]


def _by_name(usual: Sequence[str], columns: Sequence[str], what: str, source: str) -> str | None:
    for name in usual:
        found = [column for column in columns if column.strip().lower() == name]
        if len(found) > 1:
            raise DataError(
                f"'{source}' has several columns that could hold the {what}: {listed(found)}.",
                hint=f"Name the one that is meant with --{what}-column.",
            )
        if found:
            return found[0]
    return None


def _none_found(what: str, columns: Sequence[str], source: str) -> DataError:
    return DataError(
        f"No column of '{source}' is called like a {what}; its columns are {listed(columns, 20)}.",
        hint=f"Name the {what} column with --{what}-column.",
    )


def _say(
    text_column: str, label_column: str | None, *, text: str | None, label: str | None
) -> None:
    """Say which columns were found, where they were not told."""
    found = []
    if text is None:
        found.append(f"text column '{text_column}'")
    if label is None and label_column is not None:
        found.append(f"label column '{label_column}'")
    if found:
        logger.info("%s", ", ".join(found))
