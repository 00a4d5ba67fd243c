"""Lists and objects written into a cell: as JSON, or as Python or numpy print them."""

from __future__ import annotations

import ast
import json
import re
from contextlib import suppress
from typing import Any

_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_STRING = re.compile(r"""[uU]?(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_ARRAY = re.compile(r"(?:(?:np|numpy)\.)?array\((?=\[)")
_KIND = re.compile(r"\s*,\s*dtype=(?:'[^']*'|[\w.]+)")
_SCALAR = re.compile(r"(?:np|numpy)\.(?:str_|bool_?|u?int\d+|float\d+)\(")
_WORDS = {
    "true": True, "True": True, "false": False, "False": False,
    "null": None, "None": None, "nan": None, "NaN": None,
}  # fmt: skip
_DEEPEST = 20


class Number(str):
    """A number, kept as it is written."""

    __slots__ = ()


def literal(text: str) -> Any:
    """The list or object that ``text`` is, or None where it is neither.

    JSON, Python's own way of printing (``['a']``, ``('a',)``) and numpy's (``[0 1 1]``,
    ``array(['a'], dtype=object)``, ``[np.str_('a')]``) are understood; numbers come as
    :class:`Number`. Text in brackets that is none of these, such as ``[SPAM]``, is None.
    """
    if text[:1] + text[-1:] not in ("[]", "{}", "()") and not (
        text.endswith(")") and _ARRAY.match(text)
    ):
        return None
    try:
        value, end = _value(text, 0, 0)
    except (ValueError, SyntaxError, IndexError):
        return None
    if text[0] == "(" and any(type(item) is not str for item in value):
        return None  # "(0, 10)" may be the name of an interval
    return value if end == len(text) else None


def may_be_literal(text: str) -> bool:
    """Whether a text begins as a list or an object does."""
    return text[:1] in ("[", "{", "(") or _ARRAY.match(text) is not None


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    """The value that starts at ``at``, and where it ends."""
    if text[at] in "[({":
        if depth == _DEEPEST:
            raise ValueError
        return _collection(text, at, depth)
    if match := _ARRAY.match(text, at):
        value, end = _collection(text, match.end(), depth)
        kind = _KIND.match(text, end)
        return value, _closed(text, kind.end() if kind else end)
    if match := _SCALAR.match(text, at):
        value, end = _value(text, match.end(), depth)
        return value, _closed(text, end)
    if match := _STRING.match(text, at):
        return _string(match.group()), match.end()
    if match := _NUMBER.match(text, at):
        return Number(match.group()), match.end()
    match = _WORD.match(text, at)
    if not match or match.group() not in _WORDS:
        raise ValueError
    return _WORDS[match.group()], match.end()


def _closed(text: str, at: int) -> int:
    """Where a call ends whose closing bracket stands at ``at``."""
    if text[at] != ")":
        raise ValueError
    return at + 1


def _string(token: str) -> str:
    if token[0] == '"':
        with suppress(ValueError):  # an escape that only Python has
            return str(json.loads(token, strict=False))
    return str(ast.literal_eval(token.replace("\r", "\\r").replace("\n", "\\n")))


def _collection(text: str, at: int, depth: int) -> tuple[Any, int]:
    """The list or object that starts at ``at``, and where it ends.

    Commas or, as numpy prints it, white space part the items of a list. Values in braces without
    keys are what Python prints for a set.
    """
    closing = {"[": "]", "(": ")", "{": "}"}[text[at]]
    is_object = closing == "}"
    items: list[Any] = []
    members: dict[str, Any] = {}
    at = _skip(text, at + 1)
    while text[at] != closing:
        item, end = _value(text, at, depth + 1)
        at = _skip(text, end)
        if is_object and text[at] == ":" and isinstance(item, str):
            members[item], end = _value(text, _skip(text, at + 1), depth + 1)
            at = _skip(text, end)
        else:
            items.append(item)
        if text[at] == ",":
            at = _skip(text, at + 1)
        elif text[at] != closing and (is_object or at == end):
            raise ValueError  # two items with nothing between them
    if items and members:
        raise ValueError
    return items or (members if is_object else []), at + 1


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
