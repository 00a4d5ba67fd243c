"""Log records as sentences on stderr, for the command line and for Python's prompt."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

_READERS = ("lora_bert.data.", "lora_bert.evaluation.dataset")
"""Loggers of those who read files."""


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


def write_line(text: str) -> None:
    """Write a line to stderr, above a progress bar if there is one."""
    # tqdm is there only if something that takes time was imported; then a bar may be on screen.
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr)  # noqa: T201
