"""JSON values as strings, numbers with the spelling they have in the file."""

from __future__ import annotations

import json
import re
from typing import Any

from lora_bert.data.literals import Number
from lora_bert.errors import DataError

_BEHIND = re.compile(r"[\s,]*(?=[{\[])")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_NUMBER = "NaN"
"""As Python's ``json`` and pandas write what is missing."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice}' stands twice in one object")
    return members


DECODER = json.JSONDecoder(
    parse_int=Number, parse_float=Number, parse_constant=Number, object_pairs_hook=_members
)
"""Decodes JSON; numbers become strings, a key given twice is a ValueError."""


def decoded(text: str) -> Any:
    """The value of a JSON document, a list of them where several stand one after another.

    Raises:
        ValueError, RecursionError: It is no JSON, has a key twice, or is nested too deeply.
    """
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        values = _one_by_one(text) if error.msg == "Extra data" else []
        if not values:
            raise
        return values


def _one_by_one(text: str) -> list[Any]:
    """The objects, or lists, of a text that holds one after another, also with commas between.

    Empty where the text is something else. A key given twice is a ValueError.
    """
    values: list[Any] = []
    at = 0
    while match := _BEHIND.match(text, at):
        try:
            value, at = DECODER.raw_decode(text, match.end())
        except json.JSONDecodeError:
            return []
        values.append(value)
        if type(value) is not type(values[0]):
            return []
    return values if not text[at:].strip().strip(",") else []


def not_json(source: str, line: int, text: str, error: json.JSONDecodeError) -> DataError:
    """The error for a text that is no JSON; ``line`` counts in the file."""
    return DataError(
        f"'{source}', line {line:,}, column {error.colno:,}: not JSON ({error.msg}).",
        hint=_hint(text, error),
    )


def _hint(text: str, error: json.JSONDecodeError) -> str:
    """What to do about a usual mistake in JSON; empty for others."""
    before, here = text[: error.pos].rstrip()[-1:], text[error.pos : error.pos + 1]
    if "'" in (here, text[error.pos + 1 : error.pos + 2]) and before in ("", "{", "[", ","):
        return "Single quotes are Python's way of writing: write the rows with json.dumps."
    if before == "," and here in ("]", "}", ""):
        return "Take out the comma behind the last value."
    if text[error.pos :].startswith(("//", "/*", "#")):
        return "JSON has no comments: take them out."
    return ""


def cell(value: Any) -> str:
    """One decoded value as a table's cell: null is empty, a list or object its JSON text."""
    if value is None or (isinstance(value, Number) and value == _NO_NUMBER):
        return ""
    # Half of a character pair cannot be written as UTF-8 and would stop every later step.
    try:
        return _SURROGATE.sub("\ufffd", value if isinstance(value, str) else _written(value))
    except RecursionError:
        raise DataError("A JSON value is nested too deeply to be a cell of a table.") from None


def _written(value: Any) -> str:
    if isinstance(value, Number):
        return value
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_written(k)}: {_written(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
