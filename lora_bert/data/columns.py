"""Which column holds the text and which the label: by its name, else by the look of its cells."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Literal

from lora_bert.data.literals import literal
from lora_bert.data.rows import HEAD_ROWS, NO_TRAINING, TrainingFormat
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
"""Usual names of text columns; the first one that a table has wins."""

WORD_NAMES = ("tokens", "words", "token", "word")
"""Usual names of columns whose cells are lists of words."""

_SENTENCE_NAMES = (
    "sentence", "sentenceid", "sentid", "sentenceidx", "sentenceno", "sentencenumber",
)  # fmt: skip
"""Usual names, without separators, of columns that say of which sentence a row's word is."""

Role = Literal["text", "label"]
LABEL_NAMES = (
    "label labels category class target sentiment intent topic tag emotion polarity "
    "label_name label_text category_name class_name classification cls gold gold_label output y "
    "标签 类别 分类 情感 类型 意图 情感倾向 标注 主题 话题 "
    "ラベル カテゴリ 感情 라벨 레이블 감정 분류"
).split()
"""Usual names of label columns; the first one that a table has wins."""

ID_NAMES = (
    "id _id guid uid uuid idx index key row_id text_id sentence_id review_id comment_id doc_id "
    "document_id example_id sample_id item_id post_id tweet_id message_id ticket_id phraseid "
    "编号 序号 标识 主键"
).split()
"""Usual names of columns that number the rows; the first one that a table has wins."""

_LABEL_STUDIO = {*"id annotator annotation_id created_at updated_at lead_time agreement".split()}
ONLY_LABEL_STUDIO = {"annotator", "annotation_id", "lead_time"}
"""Columns that no other program writes."""
_BITS = frozenset(("0", "1", "0.0", "1.0", "true", "false", "True", "False"))
_UNSCORED = frozenset(("-1", "-1.0"))
_HEADED = re.compile(r"\.(csv|tsv|tab|txt)\b", re.IGNORECASE)
"""Endings of files whose first line may be a header."""

NUMBER = re.compile(r"[-+]?\d+([.,]\d+)*([eE][-+]?\d+)?%?")
_DECIMAL = re.compile(r"[-+]?\d+[.,]\d+")
_SHORT = re.compile(
    rf"{NUMBER.pattern}|\d{{4}}[-/.]\d\d?[-/.]\d\d?\D?.{{0,20}}"
    r"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\w*,? .{0,12}\d\d:\d\d(?::\d\d)?.{0,12}|https?://\S+"
)
"""Numbers, dates and addresses: however long, they are no texts."""
LONG = 60
"""Characters of a cell that is no label, nor a column's name."""
_WORD = 2
"""Characters of the shortest texts, on average; two make a word in Chinese."""

Cells = Mapping[str, Sequence[str]]
"""The cells of each column."""


def plain_name(name: str) -> str:
    """A column's name without case and separators: ``Sentence_1`` and ``sentence 1`` are one."""
    return re.sub(r"[\s_\-.#:/]+", "", name.strip("\ufeff")).casefold()


def find_columns(
    columns: Sequence[str],
    *,
    text: str | None,
    label: str | None,
    need_label: bool = True,
    training: TrainingFormat = NO_TRAINING,
    cells: Cells,
    source: str,
) -> tuple[str, str | None]:
    """The text column and the label column of a table.

    Args:
        columns: The names that are there.
        text: The text column, or ``None`` to find it by its name (case does not matter).
        label: The same for the label column, or the names of several columns of 0 and 1,
            ``a,b,c``, where no column has that whole name.
        need_label: Whether a label column is looked for, and its absence an error.
        training: What an adapter's training called them: tried before the usual names.
        cells: The columns' cells, to look at where no name tells.
        source: How to name the table in messages.

    Returns:
        Both names; the label's is ``None`` where it is neither needed nor named.

    Raises:
        DataError: A column is not there, or none or several could be meant.
        ConfigError: Both are the same column.
    """
    if text is not None and text == label:
        raise ConfigError(f"'{text}' cannot be both the text column and the label column.")
    text_column = given_column(text, columns, source)
    label_column = label if label_columns(label, columns) else given_column(label, columns, source)
    if text_column is None:
        labels = label_columns(label_column, columns)
        free = [name for name in columns if name not in labels]
        text_column = _by_name("text", training, free, source)
        text_column = text_column or _left_over(free, labels, training, cells)
        if text_column is None:
            names = _names("label", training)
            known = labels or [name for name in free if name.strip().lower() in names]
            raise _no_column("text", columns, source, cells, known, alone=not need_label)
    if label_column is None and need_label:
        label_column = label_column_of(
            columns, text=text_column, label=None, training=training, cells=cells, source=source
        )
        if label_column is None:
            raise _no_column("label", columns, source, cells, (text_column,), alone=True)
    detected = {"text": None if text else text_column, "label": None if label else label_column}
    if notes := [f"{role} column '{name}'" for role, name in detected.items() if name]:
        logger.info("%s", ", ".join(notes))
    return text_column, label_column


def label_column_of(
    columns: Sequence[str], *, text: str | None, label: str | None, training: TrainingFormat,
    cells: Cells, source: str,
) -> str | None:  # fmt: skip
    """The label column of a table, as :func:`find_columns` finds it; None where it does not.

    Raises:
        DataError: Several could be meant.
    """
    if label is not None:
        return label if label_columns(label, columns) else None
    free = [name for name in columns if name != text]
    found = _by_name("label", training, free, source)
    return found or _of_label_studio(free, cells) or _of_bits(free, cells)


def _of_bits(columns: Sequence[str], cells: Cells) -> str | None:
    """All columns but those of ids and of texts, where each holds 0 and 1: each is a label's."""
    ids = id_column(columns, ())
    rest = [name for name in columns if name != ids and name.strip().lower() not in TEXT_NAMES]
    rows = set(zip(*(cells.get(name, ("",))[:HEAD_ROWS] for name in rest), strict=True))
    scored = [row for row in rows if not is_unscored(row)]
    bits = len(rest) > 2 and scored and all(_BITS.issuperset(row) for row in scored)
    return write_names(rest) if bits else None


def is_unscored(row: Collection[str]) -> bool:
    """Whether columns of 0 and 1 say that nobody has said which: all of them hold -1."""
    return _UNSCORED.issuperset(row)


def label_columns(label: str | None, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a label column's name means: that one, or several with commas between."""
    if label is None or label in columns:
        return () if label is None else (label,)
    names = parse_names(label)
    return names if len(names) > 1 and set(names) <= set(columns) else ()


def sentence_column(columns: Sequence[str]) -> str | None:
    """The column that is called as those are that say of which sentence a row's word is."""
    by_name = {plain_name(name): name for name in reversed(columns)}
    return next((by_name[name] for name in _SENTENCE_NAMES if name in by_name), None)


def without(label: str | None, columns: Sequence[str]) -> list[str]:
    """The columns but for those that the label column's name means."""
    labels = label_columns(label, columns)
    return [name for name in columns if name not in labels]


def id_column(columns: Sequence[str], taken: Sequence[str]) -> str | None:
    """The column that is called as those are that number the rows, if there is one."""
    lower = {name.strip().lower(): name for name in columns if name not in taken}
    return next((lower[name] for name in ID_NAMES if name in lower), None)


def given_column(name: str | None, columns: Sequence[str], source: str) -> str | None:
    """The name that an option gives, or None; DataError where there is no such column."""
    if name is None or name in columns:
        return name
    absent = [part for part in parse_names(name) if part not in columns]
    name = absent[0] if 0 < len(absent) < len(parse_names(name)) else name
    raise DataError(
        f"'{source}' has no column '{name}'; its columns are {listed(columns, 20)}.",
        hint=did_you_mean(name, columns),
    )


def _by_name(
    role: str, training: TrainingFormat, columns: Sequence[str], source: str
) -> str | None:
    """The column that is called as in training, else as is usual for its role, text or label."""
    trained = training.label_column
    if role == "label" and len(label_columns(trained, columns)) > 1:
        return trained
    for name in _names(role, training):
        matches = [column for column in columns if column.strip().lower() == name]
        if len(matches) > 1:
            raise DataError(
                f"'{source}' has several columns that could hold the {role}: {listed(matches)}.",
                hint=f"Name the one that is meant with --{role}-column.",
            )
        if matches:
            return matches[0]
    return None


def _names(role: str, training: TrainingFormat) -> list[str]:
    usual, trained = LABEL_NAMES, training.label_column
    if role == "text":
        words = WORD_NAMES if training.tagging else ()
        usual, trained = [*words, *TEXT_NAMES], training.text_column
    return usual if trained is None else [trained.strip().lower(), *usual]


def _of_label_studio(columns: Sequence[str], cells: Cells) -> str | None:
    """The column that Label Studio calls after its control: the one of choices, or the only one."""
    chosen = [
        name for name in columns
        if any(cell.startswith("{") and "choices" in (literal(cell) or ())
               for cell in cells.get(name, ())[:HEAD_ROWS])
    ]  # fmt: skip
    if not chosen and not ONLY_LABEL_STUDIO.isdisjoint(columns):
        chosen = [name for name in columns if name not in _LABEL_STUDIO]
    return chosen[0] if len(chosen) == 1 else None


def _left_over(
    free: Sequence[str], labels: Sequence[str], training: TrainingFormat, cells: Cells
) -> str | None:
    """The one column beside the labels, ids and empty columns, which then holds the texts."""
    usual = {name.lower() for name in _names("label", training)}
    labels = labels or [name for name in free if name.strip().lower() in usual]
    ids = id_column(free, labels)
    rest = [name for name in free if name not in (*labels, ids) and any(cells.get(name, ()))]
    if not labels or len(rest) != 1 or labels[0] not in cells:
        return None
    texts, label_cells = cells[rest[0]][:HEAD_ROWS], cells[labels[0]][:HEAD_ROWS]
    return rest[0] if _look_like_texts(texts, label_cells) else None


def _no_column(
    role: Role, columns: Sequence[str], source: str, cells: Cells, known: Sequence[str], *,
    alone: bool,
) -> DataError:  # fmt: skip
    """The error for a table none of whose columns is called like a text or a label.

    The columns that are ``known`` have the other role; ``alone``: nothing but this one is needed.
    """
    roles: Sequence[Role] = [role] if alone or known else ["text", "label"]
    hint = _guessed(columns, cells, known, roles) or f"Name the {role} column with --{role}-column."
    bits = _bits(columns, cells) if role == "label" else []
    if len(bits) > 1:
        option = quote(write_names(bits))
        hint += f" Several columns of 0 and 1, one a class: --label-column {option}."
    if role == "text" and len(columns) == 1 and _HEADED.search(source):
        hint = (
            f"If '{shortened(columns[0])}' is the first text: --no-header --columns text. If it is "
            f"the column's name: --text-column {quote(columns[0])}."
        )
    return DataError(
        f"No column of '{source}' is called like a {role}; its columns are "
        f"{listed(tuple(cells) or columns, 20)}.",
        hint=hint,
    )


def _bits(columns: Sequence[str], cells: Cells) -> list[str]:
    """The columns that hold 0 and 1, both of them, in the spelling that most of these have."""
    spelled: dict[frozenset[str], list[str]] = {}
    for name in columns:
        if len(kinds := frozenset(cells.get(name, ()))) == 2 and kinds <= _BITS:
            spelled.setdefault(kinds, []).append(name)
    return max(spelled.values(), key=len, default=[])


def _guessed(
    columns: Sequence[str], cells: Cells, known: Sequence[str], roles: Sequence[Role]
) -> str:
    """The options that name columns which look like their ``roles``; "" if unsure."""
    filled = [name for name in columns if any(cells.get(name, ())[:HEAD_ROWS])]
    if len(filled) < 2:
        return ""
    text, label, sure = guess([cells[name][:HEAD_ROWS] for name in filled])
    if label is None or not sure:
        return ""
    found = {"text": filled[text], "label": filled[label]}
    if any(found[role] in known for role in roles):
        return ""
    options = " ".join(f"--{role}-column {quote(found[role])}" for role in roles)
    return f"By the look of their cells: {options}."


def guess(columns: Sequence[Sequence[str]]) -> tuple[int, int | None, bool]:
    """The column of texts, that of labels (None where there is no other), and whether that is sure.

    The longest and most varied cells are texts; short ones that come again and again are labels.
    """
    looks = [_Column.of(cells) for cells in columns]
    text = max(range(len(looks)), key=lambda at: (looks[at].letters, looks[at].variety))
    others = [at for at in range(len(looks)) if at != text]
    if not others:
        return text, None, True
    recurring = [at for at in others if looks[at].recurs]
    varied = [at for at in others if looks[at].letters]  # the others are all the same, or empty
    label = min(
        recurring or varied or others, key=lambda at: (looks[at].variety, looks[at].letters)
    )
    distinct = looks[text].letters >= 2 * looks[label].letters and looks[text].variety > 0.5
    return text, label, len(recurring) == 1 and distinct and not looks[text].recurs


def alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two columns look like texts of one kind, as those of a pair do."""
    looks = _Column.of(one), _Column.of(other)
    shorter, longer = sorted(look.letters for look in looks)
    varied = min(look.variety for look in looks) > 0.5 and not any(look.recurs for look in looks)
    return varied and shorter >= _WORD and 2 * shorter >= longer


def are_scores(cells: Sequence[str]) -> bool:
    """Whether cells are numbers with decimals, and not all the same."""
    filled = {cell.strip() for cell in cells} - {""}
    return len(filled) > 1 and all(map(_DECIMAL.fullmatch, filled))


def _look_like_texts(cells: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether cells are no numbers, and more varied than those of the column of labels."""
    texts = _Column.of(cells)
    return texts.letters >= _WORD and texts.variety > _Column.of(labels).variety


@dataclass(frozen=True)
class _Column:
    """What the cells of one column are like.

    Attributes:
        letters: Their usual length; numbers and dates count as one letter. 0 where all are equal.
        variety: The share of different ones.
        recurs: Whether they are short, of few kinds, and of more than one.
    """

    letters: float
    variety: float
    recurs: bool

    @classmethod
    def of(cls, cells: Sequence[str]) -> _Column:
        filled = [cell.strip() for cell in cells if cell.strip()]
        if not filled:
            return cls(0.0, 1.0, False)
        lengths = [1 if _SHORT.fullmatch(cell) else len(cell) for cell in filled]
        kinds = len(set(filled))
        letters = sum(lengths) / len(filled) if kinds > 1 or len(filled) < 3 else 0.0
        recurs = 1 < kinds <= max(2, len(filled) / 2) and letters <= LONG and len(filled) > 2
        return cls(letters, kinds / len(filled), recurs)
