"""Which column holds the text and which the label."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from shlex import quote

from lora_bert.data.literals import literal
from lora_bert.data.roles import guess, look_like_texts
from lora_bert.errors import ConfigError, DataError, did_you_mean
from lora_bert.names import parse_names, write_names
from lora_bert.wording import listed, shortened

logger = logging.getLogger(__name__)

TEXT_NAMES = (
    "text review sentence content comment question query message body utterance tweet post "
    "document doc passage paragraph description summary review_text reviewtext review_body "
    "comment_text text_content sms email input 文本 评论 内容 句子 正文 文章 评价 留言 问题 摘要 "
    "phrase utterances review_content texts レビュー 本文 テキスト "
    "내용 리뷰 문장 본문 댓글 "
    "text_clean title headline subject 标题"
).split()
"""Usual names of text columns, the first found wins."""

LABEL_NAMES = (
    "label labels category class target sentiment intent topic tag emotion polarity "
    "label_name label_text category_name class_name classification cls gold output y "
    "标签 类别 分类 情感 类型 意图 情感倾向 标注 主题 话题 "
    "ラベル カテゴリ 感情 라벨 레이블 감정 분류"
).split()
"""Usual names of label columns, the first found wins."""

ID_NAMES = (
    "id _id guid uid uuid idx index key row_id text_id sentence_id review_id comment_id doc_id "
    "document_id example_id sample_id item_id post_id tweet_id message_id ticket_id phraseid "
    "编号 序号 标识 主键"
).split()
"""Usual names of columns that number the rows, the first found wins."""

_LABEL_STUDIO = frozenset(
    "id annotator annotation_id created_at updated_at lead_time agreement".split()
)
_OF_LABEL_STUDIO = frozenset(("annotator", "annotation_id", "lead_time"))
"""Columns that only Label Studio writes."""
_BITS = frozenset(("0", "1", "0.0", "1.0", "true", "false", "True", "False"))
_LOOKED_AT = 1000
_HEADED = re.compile(r"\.(csv|tsv|tab|txt)\b", re.IGNORECASE)
"""In the name of a file whose first line is a header, if it has one."""
_NO_CELLS: Mapping[str, Sequence[str]] = {}


def find_columns(
    columns: Sequence[str],
    *,
    text: str | None,
    label: str | None,
    need_label: bool = True,
    known_text: str | None = None,
    known_label: str | None = None,
    cells: Mapping[str, Sequence[str]] = _NO_CELLS,
    source: str,
) -> tuple[str, str | None]:
    """The text column and the label column of a table.

    Args:
        columns: The names that are there.
        text: The text column, or ``None`` to find it by its name (case does not matter).
        label: The same for the label column, or the names of several columns of 0 and 1,
            ``a,b,c``, where no column has that whole name.
        need_label: Whether a label column is looked for, and its absence an error.
        known_text: What an adapter's training called the text column: tried before the usual names.
        known_label: The same for the label column.
        cells: The columns' cells, to look at where no name tells.
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
    label_column = label if label_columns(label, columns) else _given(label, columns, source)
    if text_column is None:
        taken = label_columns(label_column, columns)
        free = [name for name in columns if name not in taken]
        text_column = _by_name(_first(known_text, TEXT_NAMES), free, "text", source)
        text_column = text_column or _left_over(free, taken, known_label, cells)
        if text_column is None:
            raise _none_found("text", columns, source, cells)
    if label_column is None and need_label:
        free = [name for name in columns if name != text_column]
        if len(label_columns(known_label, free)) > 1:
            label_column = known_label
        else:
            usual = _first(known_label, LABEL_NAMES)
            label_column = _by_name(usual, free, "label", source) or _of_label_studio(free, cells)
        if label_column is None:
            raise _none_found("label", columns, source, cells)
    _say(text_column, label_column, text=text, label=label)
    return text_column, label_column


def label_columns(label: str | None, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a label column's name means: that one, or several with commas between."""
    if label is None or label in columns:
        return () if label is None else (label,)
    parts = parse_names(label)
    return parts if len(parts) > 1 and set(parts) <= set(columns) else ()


def id_column(columns: Sequence[str], taken: Sequence[str]) -> str | None:
    """The column that is called as those are that number the rows, if there is one."""
    lower = {name.strip().lower(): name for name in columns if name not in taken}
    return next((lower[name] for name in ID_NAMES if name in lower), None)


def _of_label_studio(columns: Sequence[str], cells: Mapping[str, Sequence[str]]) -> str | None:
    """The column that Label Studio calls after its control: the one of choices, or the only one."""
    chosen = [name for name in columns if _holds_choices(cells.get(name, ()))]
    if not chosen and not _OF_LABEL_STUDIO.isdisjoint(columns):
        chosen = [name for name in columns if name not in _LABEL_STUDIO]
    return chosen[0] if len(chosen) == 1 else None


def _holds_choices(cells: Sequence[str]) -> bool:
    return any(
        cell.startswith("{") and "choices" in (literal(cell) or ()) for cell in cells[:_LOOKED_AT]
    )


def _given(name: str | None, columns: Sequence[str], source: str) -> str | None:
    if name is None or name in columns:
        return name
    absent = [part for part in parse_names(name) if part not in columns]
    name = absent[0] if 0 < len(absent) < len(parse_names(name)) else name
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


def _left_over(
    free: Sequence[str],
    labels: Sequence[str],
    known_label: str | None,
    cells: Mapping[str, Sequence[str]],
) -> str | None:
    """The one column beside the labels, ids and empty columns, which then holds the texts."""
    usual = {name.lower() for name in _first(known_label, LABEL_NAMES)}
    labels = labels or [name for name in free if name.strip().lower() in usual]
    ids = id_column(free, labels)
    rest = [name for name in free if name not in (*labels, ids) and any(cells.get(name, ()))]
    if not labels or len(rest) != 1 or labels[0] not in cells:
        return None
    looked_at = cells[rest[0]][:_LOOKED_AT], cells[labels[0]][:_LOOKED_AT]
    return rest[0] if look_like_texts(*looked_at) else None


def _guessed(columns: Sequence[str], cells: Mapping[str, Sequence[str]]) -> str:
    """What to say where no name tells: the columns that look like texts and like labels."""
    filled = [name for name in columns if any(cells.get(name, ())[:_LOOKED_AT])]
    if len(filled) < 2:
        return ""
    text, label, sure = guess([cells[name][:_LOOKED_AT] for name in filled])
    if label is None or not sure:
        return ""
    said = f"--text-column {quote(filled[text])} --label-column {quote(filled[label])}"
    return f"By the look of their cells: {said}."


def _none_found(
    what: str,
    columns: Sequence[str],
    source: str,
    cells: Mapping[str, Sequence[str]] = _NO_CELLS,
) -> DataError:
    hint = _guessed(columns, cells) or f"Name the {what} column with --{what}-column."
    bits = [name for name in columns if cells and set(cells[name][:_LOOKED_AT]) <= _BITS]
    if what == "label" and len(bits) > 1:
        named = quote(write_names(bits))
        hint += f" Several columns of 0 and 1, one a class: --label-column {named}."
    if what == "text" and len(columns) == 1 and _HEADED.search(source):
        hint = (
            f"If '{shortened(columns[0])}' is the first text: --no-header --columns text. If it is "
            f"the column's name: --text-column {quote(columns[0])}."
        )
    return DataError(
        f"No column of '{source}' is called like a {what}; its columns are {listed(columns, 20)}.",
        hint=hint,
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
