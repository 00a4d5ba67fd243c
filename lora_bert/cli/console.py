"""What the command line says on stderr: notes, warnings, errors."""

from __future__ import annotations

import logging
import os
import sys
import traceback

import click

from lora_bert._version import __version__
from lora_bert.messages import JsonHandler, MessageHandler, write_line

EXIT_BUG = 70
# All but the line feed and the tab; those above 127 are terminal commands, too.
_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)
}


def start() -> None:
    """Send our notes and warnings to stderr; keep other libraries quiet."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal in the C locale cannot show every text; better a mark than a crash.
            stream.reconfigure(errors="replace")
    logger = logging.getLogger("lora_bert")
    logger.handlers = [MessageHandler(lambda text, warns: _say(text, "yellow" if warns else None))]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def in_json() -> None:
    """From now on a line of JSON for each note and warning, ours and those of the web server."""
    for name in ("lora_bert", "uvicorn"):
        logging.getLogger(name).handlers = [JsonHandler(write_line)]


def quiet() -> None:
    """Say only warnings and errors, show no bars."""
    logging.getLogger("lora_bert").setLevel(logging.WARNING)
    os.environ["TQDM_DISABLE"] = "1"


def fail(message: str, hint: str, code: int, error: BaseException | None) -> int:
    """Print an error and what to do about it; the exit code."""
    if error is not None and os.environ.get("LORA_BERT_DEBUG"):
        traceback.print_exception(error)
    _say(f"error: {message}", "red")
    if hint:
        _say(f"       {hint}", None)
    return code


def bug(error: BaseException) -> int:
    """Print what is a mistake of ours, and how to report it; the exit code."""
    kind = f"{type(error).__name__}: {error}"
    hint = (
        f"This is a bug in lora-bert {__version__}. Please report it with the output of the same "
        "command and --debug."
    )
    return fail(f"Unexpected {kind}", hint, EXIT_BUG, error)


def silence() -> None:
    """Send what is left in stdout's buffer nowhere, so that exiting does not fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def visible(text: str) -> str:
    """``text`` with control characters written as escapes, so that none reaches the terminal."""
    return text.translate(_CONTROLS)


def _say(text: str, colour: str | None) -> None:
    text = visible(text)
    write_line(click.style(text, fg=colour) if colour and sys.stderr.isatty() else text)
