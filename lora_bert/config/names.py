"""Lists and mappings of names that are written as one option."""

from __future__ import annotations

import csv
import io

from lora_bert.errors import ConfigError


def parse_names(text: str | None) -> tuple[str, ...]:
    """``a,b`` -> ``("a", "b")``; None or "" -> ``()``; ``"a,b",c`` -> ``("a,b", "c")``."""
    # As a line of csv, so that a name may hold a comma.
    lines = io.StringIO(text or "", newline="")
    parts = next(csv.reader(lines, skipinitialspace=True), [])
    return tuple(part.strip() for part in parts if part.strip())


def parse_label_names(text: str | None) -> dict[str, str]:
    """``0=negative,1=positive`` -> ``{"0": "negative", "1": "positive"}``.

    Raises:
        ConfigError: A part without ``=``.
    """
    names = {}
    for part in parse_names(text):
        old, equals, new = part.partition("=")
        if not equals or not old.strip() or not new.strip():
            raise ConfigError(
                f"--label-names: '{part}' is not of the form OLD=NEW.",
                hint="For example: --label-names 0=negative,1=positive",
            )
        names[old.strip()] = new.strip()
    return names
