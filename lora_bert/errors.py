"""Everything that can go wrong, as one tree of typed errors.

Library functions raise these and nothing else for bad input; only the command line turns them into
a sentence (docs/errors.md) and an exit code. The codes follow BSD's ``sysexits.h``, except 2 (bad
usage, as every command-line tool has it), 130 (stopped with Ctrl-C) and 143 (stopped with SIGTERM).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class LoraBertError(Exception):
    """Base of every error that lora-bert raises on purpose.

    ``str(error)`` is one sentence that says what is wrong and where; ``hint`` says how to mend it
    (empty when the sentence already does).

    Attributes:
        exit_code: Of a command that ends with it.
        said_elsewhere: Whether another process of the training has said it already.
    """

    exit_code = 1
    said_elsewhere = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(hint)  # so that a traceback shows it too


class ConfigError(LoraBertError):
    """An option, a key of ``run.yaml`` or a combination of them makes no sense."""

    exit_code = 2


class InputTypeError(ConfigError, TypeError):
    """A Python function was given a value of a type that it does not take."""


class DataError(LoraBertError):
    """A data file can be opened but not understood, or holds nothing to work with."""

    exit_code = 65


class TextError(DataError):
    """A text cannot be answered; :meth:`at` adds where it stands, for those who know.

    ``number`` is its place among the texts that were encoded at once, from 0.
    """

    def __init__(self, message: str, *, number: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.number = number

    def at(self, where: str) -> DataError:
        """The same error with the place of the text: ``"'a.csv', line 3"``."""
        message = str(self)
        return DataError(f"{where}: {message[0].lower()}{message[1:]}", hint=self.hint)


class AdapterError(LoraBertError):
    """An adapter or merged model is incomplete, damaged or does not fit its backbone."""

    exit_code = 65


class BackboneError(LoraBertError):
    """A backbone is incomplete, damaged or of a kind that lora-bert cannot run."""

    exit_code = 65


class NotFoundError(LoraBertError):
    """A file, directory or name does not exist."""

    exit_code = 66


class UnavailableError(LoraBertError):
    """The network, a device or an optional package is needed and not there."""

    exit_code = 69


class PeerError(UnavailableError):
    """Another process of the same training has ended or does not answer.

    ``exit_code`` is that of the other's error, if it had one.
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = 69) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class OutputError(LoraBertError):
    """The place to write to is taken, not writable, or would overwrite an input."""

    exit_code = 73


class DivergedError(LoraBertError):
    """The loss, its gradient or a figure of the validation became infinite or NaN."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The entry of ``known`` that looks most like ``word``, or "" when none is close."""
    by_lower = {name.lower(): name for name in known}
    match = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[match[0]] if match else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"Did you mean 'x'?"`` for the nearest known word, or ""."""
    match = nearest(word, known)
    return f"Did you mean '{match}'?" if match else ""


def _another_kind(path: Path) -> NotFoundError:
    """The error for a file where a directory is wanted, or the other way round."""
    if not path.is_file():
        return NotFoundError(f"'{path}' is not a file.")
    # Of a file of a model the model is meant: it lies beside config.json, or a folder below it.
    holders = [
        place
        for place in (path.parent, path.resolve().parent.parent)
        if any((place / name).is_file() for name in ("config.json", "adapter_config.json"))
    ]
    hint = f"Did you mean '{holders[0]}'?" if holders else ""
    return NotFoundError(f"'{path}' is not a directory.", hint=hint)


def missing(path: str | Path, what: str = "file") -> NotFoundError:
    """The error for a path that is not there, suggesting a neighbour with a similar name."""
    path = Path(path)
    hint = ""
    if path.parent.is_dir():
        names = sorted(entry.name for entry in path.parent.iterdir())
        if path.name in names:
            return _another_kind(path)
        match = nearest(path.name, names)
        hint = f"Did you mean '{path.parent / match}'?" if match else ""
    return NotFoundError(f"No such {what}: '{path}'.", hint=hint)
