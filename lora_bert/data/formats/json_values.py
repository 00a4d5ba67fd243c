"""JSON values as strings, numbers with the spelling they have in the file."""

from __future__ import annotations

import json
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


class _Spelling(str):
    """A number, kept as it is written."""

    __slots__ = ()


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice}' stands twice in one object")
    return members


DECODER = json.JSONDecoder(
    parse_int=_Spelling,
    parse_float=_Spelling,
    parse_constant=_Spelling,
    object_pairs_hook=_members,
)
"""Decodes JSON; numbers become strings, a key given twice is a ValueError."""


def cell(value: Any) -> str:
    """One decoded value as a table's cell: null is empty, a list or object its JSON text."""
    if value is None:
        return ""
    # Half of a character pair cannot be written as UTF-8 and would stop every later step.
    return _SURROGATE.sub("\ufffd", value if isinstance(value, str) else _written(value))


def _written(value: Any) -> str:
    if isinstance(value, _Spelling):
        return value
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_written(k)}: {_written(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
