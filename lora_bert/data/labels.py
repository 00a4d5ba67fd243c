"""What the cells of a label column say: one label, none, or several.

Readers make every value a string, so a list or an object comes as its JSON text whatever the file.
Each distinct cell is looked at once.
"""

from __future__ import annotations

import logging
import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from lora_bert.data.columns import is_unscored
from lora_bert.data.joined_labels import STRONG, joined, parts_of, suspected
from lora_bert.data.literals import Number, literal
from lora_bert.errors import DataError
from lora_bert.names import write_label_names
from lora_bert.wording import counted, listed, printable, shortened

logger = logging.getLogger(__name__)

Labels = tuple[str, ...]
At = Callable[[int], str]
"""Where a row stands, as messages say it."""

HIDDEN = frozenset("-1 -1.0 -100 - ? nan none null na n/a <na> unlabeled unlabelled unknown hidden"
                   .split())  # fmt: skip
"""Cells of a label column that may stand for a label that is not known, or kept back."""
_ZERO = frozenset(("", "0", "0.0", "false", "no"))
_ONE = frozenset(("1", "1.0", "true", "yes"))
_TAGS = ("B-", "I-", "E-", "S-", "L-", "U-")
_INTERVAL = re.compile(r"[\[(]\s*-?[\d.]+\s*,\s*-?[\d.]+\s*[\])]")
_LABEL_KEYS = frozenset(("label", "class", "category"))
_ABOUT_LABEL = frozenset("score confidence probability prob id user annotator created_at".split())


def read_labels(cells: Sequence[str], named: Collection[str], *, source: str, at: At) -> list[str]:
    """The label of each row, "" where it has none.

    A list of one label is that label, an empty list or object none; ``{"choices": ["a"]}`` and
    ``{"a": 1, "b": 0}`` are ``a``. Where all cells are vectors of 0 and 1, of one length and with a
    single 1, the label is the position of the 1, from 0.

    Args:
        cells: The cells of the label column, without white space around them.
        named: Labels that are known or will be renamed: such a cell is one label.
        source: How to name the file in messages.
        at: Says where a row stands.

    Raises:
        DataError: A row has several labels, or what stands there is no label: spans of a text,
            vectors of numbers, an object of no known shape.
    """
    taken_out = sets_in(cells, named, source=source, at=at)
    if several := {cell: labels for cell, labels in taken_out.items() if len(labels) > 1}:
        raise _several(cells, several, at)
    label = {cell: labels[0] if labels else "" for cell, labels in taken_out.items()}
    return [label.get(cell, cell) for cell in cells] if label else list(cells)


def sets_in(
    cells: Sequence[str], named: Collection[str], *, source: str, at: At,
    separator: str | None = None, likely: bool = False, quiet: bool = False,
) -> dict[str, Labels]:  # fmt: skip
    """The labels of the cells that hold a list, an object or, parted by something, several labels.

    What the others are: one label, or none where they are empty.

    Args:
        cells: As :func:`read_labels` takes them, like ``named``, ``source`` and ``at``.
        named: Such a cell is one label.
        source: For messages.
        at: For messages.
        separator: What parts the labels of a cell; None looks whether something does.
        likely: Whether something does that only looks so.
        quiet: Whether nothing is said of what was understood.

    Raises:
        DataError: As :func:`read_labels`, but for several labels.
    """
    distinct = [cell for cell in dict.fromkeys(cells) if cell and cell not in named]
    taken_out = _nested(distinct, source, lambda cell: at(cells.index(cell)), quiet=quiet)
    plain = [cell for cell in distinct if cell not in taken_out]
    if separator is not None:
        whole = ((cell, [part.strip() for part in cell.split(separator)]) for cell in plain)
        return taken_out | {cell: _distinct(parts) for cell, parts in whole}
    single = (labels[0] for labels in taken_out.values() if len(labels) == 1)
    standing = {*plain, *named, *single}
    if found := joined(plain, standing):
        every = likely and found in STRONG
        return taken_out | {
            cell: tuple(dict.fromkeys(parts))
            for cell in plain
            if len(parts := parts_of(cell, found)) > 1 and (every or standing >= set(parts))
        }
    found, example = suspected(plain, standing)
    if likely and found in STRONG:
        logger.info("The labels of '%s' are parted at '%s', as in '%s'; --label-separator says it "
                    "otherwise.", source, printable(found), shortened(example, 40))  # fmt: skip
        return taken_out | {cell: _distinct(map(str.strip, cell.split(found))) for cell in plain}
    if example and not quiet:
        logger.warning(
            "Labels of '%s' such as '%s' look like several labels in one cell; each is taken for a "
            "class of its own. If they are several: --task multi-label.",
            source,
            shortened(example, 40),
        )
    return taken_out


def labels_of_columns(columns: Mapping[str, Sequence[str]], *, at: At) -> list[str]:
    """The label of each row: of columns of 0 and 1, the name of the one that holds 1, else "".

    Raises:
        DataError: A row has several, or a cell is neither 0 nor 1.
    """
    sets = [labels or () for labels in sets_of_columns(columns, at=at)]
    several = [index for index, labels in enumerate(sets) if len(labels) > 1]
    if several:
        ones = sets[several[0]]
        raise _multi_label(at(several[0]), ones, len(several), len(sets), "")
    return [next(iter(labels), "") for labels in sets]


def sets_of_columns(columns: Mapping[str, Sequence[str]], *, at: At) -> list[Labels | None]:
    """The labels of each row: of columns of 0 and 1, the names of those that hold 1.

    None of a row that has -1 in all of them: nobody has said its labels.

    Raises:
        DataError: A cell is neither 0 nor 1.
    """
    first: dict[tuple[str, ...], tuple[str, ...]] = {}  # equal rows as one object
    rows = [first.setdefault(row, row) for row in zip(*columns.values(), strict=True)]
    labels: dict[tuple[str, ...], Labels | None] = {}
    for row in first:
        if is_unscored(row):
            labels[row] = None
            continue
        for name, cell in zip(columns, row, strict=True):
            if cell.strip().lower() not in _ZERO | _ONE:
                raise DataError(
                    f"{at(rows.index(row))}: column '{shortened(name)}' holds "
                    f"'{shortened(cell, 40)}' where 0 or 1 is needed.",
                    hint="Of several label columns, those that hold 1 name the row's labels.",
                )
        cells = zip(columns, row, strict=True)
        labels[row] = tuple(name for name, cell in cells if cell.strip().lower() in _ONE)
    return [labels[row] for row in rows]


def _nested(
    distinct: Sequence[str], source: str, at: Callable[[str], str], *, quiet: bool
) -> dict[str, Labels]:
    """The labels of the cells that hold a list or an object."""
    values = {cell: value for cell in distinct if (value := literal(cell)) is not None}
    if not values or _are_intervals(values, distinct):
        return {}
    vectors = _vectors(values) if len(values) == len(distinct) else {}
    labels = vectors or {cell: _labels(value, cell, at) for cell, value in values.items()}
    if quiet or any(len(several) > 1 for several in labels.values()):
        return labels
    if vectors:
        size = len(next(value for value in values.values() if value))
        logger.info(
            "The labels of '%s' are vectors of %s numbers; the label is the position of the "
            "1, from 0. Names for them: --label-names 0=…,1=….",
            source, size,
        )  # fmt: skip
    else:
        logger.info("Labels of '%s' that stand in a list or an object are taken out of it.", source)
    return labels


def _are_intervals(values: Mapping[str, Any], distinct: Sequence[str]) -> bool:
    """Whether pairs of numbers are intervals, ``[20, 30]`` beside ``[30, 40)``, so each a label."""
    if not all(map(_INTERVAL.fullmatch, distinct)):
        return False
    if len(values) < len(distinct):  # with a round bracket
        return True
    pairs = sorted([float(low), float(high)] for low, high in values.values())
    ends = [end for pair in pairs for end in pair]
    return len(pairs) > 2 and ends == sorted(ends) and all(low < high for low, high in pairs)


def _vectors(values: Mapping[str, Any]) -> dict[str, Labels]:
    """The positions of the ones, where all cells are vectors of 0 and 1 of one length."""
    filled = [value for value in values.values() if value]
    if not all(isinstance(value, list) for value in filled) or len({*map(len, filled)}) != 1:
        return {}
    if len(filled[0]) < 2 or any(_bit(item) is None for value in filled for item in value):
        return {}
    return {
        cell: tuple(str(index) for index, item in enumerate(value) if _bit(item))
        for cell, value in values.items()
    }


def _bit(value: Any) -> bool | None:
    """A 0 or 1 as bool; None for everything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Number) and float(value) in (0, 1):
        return float(value) == 1
    return None


def _labels(value: Any, cell: str, at: Callable[[str], str]) -> Labels:
    """The labels that a list or an object holds."""
    if isinstance(value, dict):
        return _labels_of_object(value, cell, at)
    if _is_spans(value):
        raise DataError(
            f"{at(cell)}: the label '{shortened(cell, 40)}' marks parts of the text, as sequence "
            "labelling (named entities) does.",
            hint="That is another task: --task token-tagging.",
        )
    numbers = [float(item) for item in value if isinstance(item, Number)]
    if len(value) > 1 and not all(number.is_integer() for number in numbers):
        raise _numbers(cell, at)
    if any(isinstance(item, (list, dict)) for item in value):
        if len(value) == 1:
            return _labels(value[0], cell, at)
        keys = [_key_of_label(item) if isinstance(item, dict) else None for item in value]
        named = [item[key] for item, key in zip(value, keys, strict=True) if key]
        if len(named) < len(value) or any(isinstance(item, (list, dict)) for item in named):
            raise _no_shape(cell, at)
        return _distinct(named)
    return _distinct(value)


def _labels_of_object(value: Mapping[str, Any], cell: str, at: Callable[[str], str]) -> Labels:
    if "choices" in value:  # Label Studio
        chosen = value["choices"]
        return _labels(chosen if isinstance(chosen, list) else [chosen], cell, at)
    if {"start", "end"} <= value.keys():
        return _labels([value], cell, at)
    if (key := _key_of_label(value)) and not isinstance(value[key], (list, dict)):
        return _distinct([value[key]])
    if all(_bit(item) is not None for item in value.values()):
        return tuple(name for name, item in value.items() if _bit(item))
    if all(isinstance(item, Number) for item in value.values()):
        raise _numbers(cell, at)
    named = [value[name] for name in ("label", "name") if name in value] or list(value.values())
    others = [name for name in value if name not in ("label", "name", "score")]
    if len(named) == 1 and type(named[0]) is str and (len(value) == 1 or not others):
        return _distinct(named)
    raise _no_shape(cell, at)


def _key_of_label(value: Mapping[str, Any]) -> str | None:
    """``label`` in ``{"label": 1, "user": 3}``, so where only what describes it stands beside."""
    keys = [name for name in value if name.lower() in _LABEL_KEYS]
    rest = [name for name in value if name not in keys and name.lower() not in _ABOUT_LABEL]
    return keys[0] if len(keys) == 1 and not rest else None


def _distinct(values: Iterable[Any]) -> Labels:
    """The labels among scalar values: each once, without what is empty."""
    labels = (
        str(value).lower() if isinstance(value, bool) else (value or "").strip() for value in values
    )
    return tuple(dict.fromkeys(label for label in labels if label))


def _is_spans(value: Sequence[Any]) -> bool:
    """Whether a list marks places in a text, ``[[0, 5, "PER"]]``, or tags its words."""
    if value and all(isinstance(item, str) for item in value):
        tagged = [item for item in value if item.startswith(_TAGS)]
        return bool(tagged) and len(tagged) + list(value).count("O") == len(value) > 1
    return any(
        ({"start", "end"} <= item.keys() or "start_offset" in item)
        if isinstance(item, dict)
        else isinstance(item, list)
        and len(item) > 2
        and sum(isinstance(part, Number) for part in item) == 2
        for item in value
    )


def _numbers(cell: str, at: Callable[[str], str]) -> DataError:
    return DataError(
        f"{at(cell)}: the label '{shortened(cell, 40)}' is made of numbers such as probabilities, "
        "and names no class.",
        hint="Write each row's class into the label column, or name its column with "
        "--label-column.",
    )


def _no_shape(cell: str, at: Callable[[str], str]) -> DataError:
    return DataError(
        f"{at(cell)}: the label '{shortened(cell, 40)}' is a list or an object that no label can "
        "be taken from.",
        hint='A label is a text or number, a list of one, {"choices": ["a"]} or {"a": 1, "b": 0}.',
    )


def _several(cells: Sequence[str], several: Mapping[str, Labels], at: At) -> DataError:
    sizes = Counter(cells)
    number = sum(sizes[cell] for cell in several)
    first = next(index for index, cell in enumerate(cells) if cell in several)
    cell = cells[first]
    filled = len(cells) - sizes[""]
    as_one = shlex.quote(write_label_names({cell: "NAME"})) if len(cell) <= 80 else ""
    return _multi_label(at(first), several[cell], number, filled, as_one)


def _multi_label(place: str, labels: Labels, number: int, rows: int, as_one: str) -> DataError:
    have = "has" if number == 1 else "have"
    return DataError(
        f"{place}: several labels in one row, {listed(labels)}; {number:,} of "
        f"{counted(rows, 'row')} {have} several, where each row must have one.",
        hint="To learn all of them: --task multi-label. Keep the rows of one label"
        + (f", or make a class of a combination: --label-names {as_one}." if as_one else "."),
    )
