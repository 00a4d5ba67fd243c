"""Lists and mappings of names that are written as one text, as options are."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping

from lora_bert.errors import ConfigError

_QUOTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*')
_ESCAPE = re.compile(r"\\(?:\\|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")


def parse_names(text: str | None) -> tuple[str, ...]:
    """``a,"b,c"`` -> ``("a", "b,c")``: names, in quotes as in csv where they need it.

    None, "" and ``,`` are no name. Where quotes do not balance, commas alone part the names.
    """
    text = text or ""
    try:
        (names,) = csv.reader([text], skipinitialspace=True)
    except (csv.Error, ValueError):
        names = text.split(",")
    return tuple(name.strip() for name in names if name.strip())


def write_names(names: Iterable[str]) -> str:
    """What :func:`parse_names` reads as ``names``."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def parse_label_names(text: str | None) -> dict[str, str]:
    r"""``0=negative,1=positive`` -> ``{"0": "negative", "1": "positive"}``.

    A name with a comma or an equals sign stands in double quotes, ``"red,green"=both``, and is then
    taken to the letter: a quote in it is doubled, ``\u200b`` is the character of that number and
    ``\\`` a backslash.

    Raises:
        ConfigError: A part without ``=``.
    """
    text, at, names = text or "", 0, {}
    while at < len(text):
        start, end = at, _end(text, at, ",")
        if not text[at:end].strip():
            at = end + 1
            continue
        old, at = _side(text, at, "=,")
        equals = text[at : at + 1] == "="
        new, at = _side(text, at + 1, ",") if equals else ("", at)
        if not equals or not old or not new:
            part = text[start : _end(text, at, ",")].strip()
            raise ConfigError(
                f"--label-names: '{part}' is not of the form OLD=NEW.",
                hint="For example: --label-names 0=negative,1=positive",
            )
        names[old] = new
        at += 1
    return names


def write_label_names(names: Mapping[str, str]) -> str:
    """What :func:`parse_label_names` reads as ``names``; every character of it can be seen."""
    return ",".join(f"{_written(old)}={_written(new)}" for old, new in names.items())


def _side(text: str, at: int, ends: str) -> tuple[str, int]:
    """One side of a pair, which ``ends`` with such a character, and where that is."""
    quoted = _QUOTED.match(text, at)
    if quoted and text[quoted.end() : quoted.end() + 1] in ("", ends[0]):
        inside = quoted.group(1).replace('""', '"')
        return _ESCAPE.sub(_character, inside), quoted.end()
    end = _end(text, at, ends)
    return text[at:end].strip(), end


def _end(text: str, at: int, marks: str) -> int:
    """Where one of these characters stands next, or where ``text`` ends."""
    return min((stop for mark in marks if (stop := text.find(mark, at)) >= 0), default=len(text))


def _character(escape: re.Match[str]) -> str:
    digits = escape.group(1) or escape.group(2)
    if digits is None:
        return "\\"
    number = int(digits, 16)
    return chr(number) if number <= 0x10FFFF else escape.group()


def _written(name: str) -> str:
    if name.isprintable() and name == name.strip() and not set(name) & set(',="'):
        return name
    return '"' + "".join(map(_escaped, name.replace('"', '""'))) + '"'


def _escaped(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char.isprintable():
        return char
    number = ord(char)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
