"""Log records on stderr: as sentences, for who reads them, or as JSON, for who collects them."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable

_READERS = ("lora_bert.data.", "lora_bert.evaluation.dataset")
"""Loggers of those who read files."""

REQUESTS = "lora_bert.requests"
"""The logger of a server's requests, whose records are JSON already."""


class MessageHandler(logging.Handler):
    """Writes notes and warnings as sentences; what is said of a file, once.

    ``write`` takes a sentence and whether it is a warning.
    """

    def __init__(self, write: Callable[[str, bool], None]) -> None:
        super().__init__()
        self._write = write
        self._said_of_files: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless a file that is read again made the same one before."""
        text = record.getMessage()
        if record.name.startswith(_READERS):
            if text in self._said_of_files:
                return
            self._said_of_files.add(text)
        is_warning = record.levelno >= logging.WARNING
        self._write(f"warning: {text}" if is_warning else text, is_warning)


class JsonHandler(logging.Handler):
    """Writes each record as a line of JSON to ``write``: when, how grave, what."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write, self._formatter = write, logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; that of a request stands as it is."""
        text = record.getMessage()
        if record.name != REQUESTS:
            said = {"time": stamp(record.created), "level": record.levelname.lower()}
            said["message"] = text
            if record.exc_info:
                said["traceback"] = self._formatter.formatException(record.exc_info)
            text = json.dumps(said)
        self._write(text)


def stamp(seconds: float) -> str:
    """A time in seconds since 1970, as ISO 8601 has it: ``2026-11-28T12:00:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def write_line(text: str) -> None:
    """Write a line to stderr, above a progress bar if there is one."""
    # tqdm is there only if something that takes time was imported; then a bar may be on screen.
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr)  # noqa: T201
