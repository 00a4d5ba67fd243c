"""How labels are renamed: by ``--label-file``, which names numbers, and by ``--label-names``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lora_bert.config.shared import LabelledFileOptions
from lora_bert.errors import ConfigError, DataError, missing
from lora_bert.names import parse_label_names
from lora_bert.wording import shortened

_ESCAPES = {"\\t": "\t", "\\n": "\n"}


def separator(written: str | None) -> str | None:
    r"""What ``--label-separator`` says: ``\t`` and ``\n`` stand for what they do elsewhere.

    Raises:
        ConfigError: It is empty.
    """
    if written == "":
        raise ConfigError("--label-separator is empty.", hint="For example: --label-separator '|'")
    return _ESCAPES.get(written or "", written)


def renaming(config: LabelledFileOptions) -> dict[str, str]:
    """Raw label -> label; ``--label-names`` go before the names of ``--label-file``.

    Raises:
        ConfigError: ``--label-names`` cannot be read.
        NotFoundError: There is no such file.
        DataError: The file does not name labels.
    """
    names = read_label_file(Path(config.label_file)) if config.label_file else {}
    return names | parse_label_names(config.label_names)


def read_label_file(path: Path) -> dict[str, str]:
    """The names of labels that are numbers: number -> name.

    A text file has a name a line, from 0, or every line has a number before its name, parted by a
    tab, a comma or a colon. JSON is a list of names, ``{"0": "name"}``, ``{"name": 0}``, or a
    ``config.json`` with ``id2label``.

    Raises:
        NotFoundError: There is no such file.
        DataError: It is not UTF-8, empty, or says something else.
    """
    if not path.is_file():
        raise missing(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"--label-file: '{path}' is not UTF-8.") from None
    names = _of_json(text, path) if text.lstrip()[:1] in ("{", "[") else _of_lines(text)
    if not names:
        raise DataError(f"--label-file: '{path}' names no label.")
    if empty := [number for number, name in names.items() if not name]:
        raise DataError(f"--label-file: '{path}' has no name for {empty[0]}.")
    twice = next((name for name in names.values() if list(names.values()).count(name) > 1), None)
    if twice is not None:
        raise DataError(f"--label-file: '{path}' gives the name '{shortened(twice)}' twice.")
    return names


def _of_lines(text: str) -> dict[str, str]:
    lines = text.strip("\r\n").splitlines()
    for mark in ("\t", ",", ":"):
        pairs = [line.partition(mark) for line in lines if line.strip()]
        if all(between and number.strip().isdecimal() for number, between, _ in pairs):
            return {number.strip(): name.strip() for number, _, name in pairs}
    return {str(number): line.strip() for number, line in enumerate(lines)}


def _of_json(text: str, path: Path) -> dict[str, str]:
    try:
        written: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"--label-file: '{path}' is not valid JSON ({error}).") from None
    except (ValueError, RecursionError):
        raise DataError(
            f"--label-file: '{path}' is nested too deeply, or has a number with too many digits."
        ) from None
    if isinstance(written, dict):
        written = written.get("id2label", written)
    if isinstance(written, list) and all(isinstance(name, str) for name in written):
        return {str(number): name.strip() for number, name in enumerate(written)}
    if isinstance(written, dict):
        if all(isinstance(name, str) and key.isdecimal() for key, name in written.items()):
            return {key: name.strip() for key, name in written.items()}
        if all(type(number) is int for number in written.values()):
            return {str(number): name.strip() for name, number in written.items()}
    raise DataError(
        f"--label-file: '{path}' does not name labels.",
        hint='JSON is a list of names, {"0": "name"} or {"name": 0}.',
    )
