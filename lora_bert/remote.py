"""Files by URL, such as ``s3://bucket/new.parquet``, through fsspec and what it asks for."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lora_bert.errors import (
    ConfigError,
    LoraBertError,
    NotFoundError,
    OutputError,
    UnavailableError,
)
from lora_bert.files import atomic_file
from lora_bert.wording import by_number, reason

_WITH_DIRECTORIES = {"file", "ftp", "hdfs", "sftp", "smb", "ssh", "webhdfs"}
"""File systems that have no file without its directory; others have but names with slashes."""
_STATE = ("size", "created", "mtime", "LastModified", "last_modified", "ETag", "etag", "md5Hash")
"""What file systems say of a file that changes with it."""


def is_url(name: str) -> bool:
    """Whether ``name`` is a URL and not a path of this machine."""
    return "://" in name


def base_name(name: str) -> str:
    """The file's name in a path or URL, without the query that a URL of the web may have."""
    return posixpath.basename(urlsplit(name).path if _is_of_the_web(name) else name)


def _is_of_the_web(name: str) -> bool:
    return name.startswith(("http://", "https://"))


@contextmanager
def store_of(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL or path, and the place in it; what it raises comes as our errors.

    Raises:
        NotFoundError: There is no such file.
        ConfigError: No file system has URLs that begin so.
        UnavailableError: It does not answer, does not let us in, or its package is not installed.
    """
    from fsspec.core import url_to_fs

    try:
        system, place = url_to_fs(url)
        system.invalidate_cache()
        yield system, place
    except LoraBertError:
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"No such file: '{url}'.") from error
    except ImportError as error:
        package = str(error).strip().rstrip(".")
        raise UnavailableError(f"'{url}' cannot be opened: {package}.") from error
    except ValueError as error:
        raise ConfigError(f"'{url}': {reason(error)}.") from error
    except Exception as error:
        raise UnavailableError(
            f"'{url}' cannot be reached: {reason(error) or type(error).__name__}.",
            hint="fsspec takes keys, endpoints and regions from where the store's own tools do.",
        ) from error


def matching(pattern: str) -> list[str]:
    """The files that a URL with ``*``, ``?`` or ``[…]`` fits, ``a2`` before ``a10``; else itself.

    Raises:
        NotFoundError: It fits none, or there is no such file.
        ConfigError: It is a directory.
    """
    with store_of(pattern) as (system, place):
        if any(mark in place for mark in ("*[" if _is_of_the_web(pattern) else "*?[")):
            # Names that begin with _ or . say something about the others.
            names = [
                name
                for name in sorted(system.glob(place), key=by_number)
                if not posixpath.basename(name).startswith(("_", ".")) and system.isfile(name)
            ]
            if not names:
                raise NotFoundError(f"No file fits the pattern '{pattern}'.")
            return [system.unstrip_protocol(name) for name in names]
        if system.isdir(place):
            raise ConfigError(
                f"'{pattern}' is a directory: of a URL, files are named.",
                hint=f"A pattern fits all of them: '{pattern.rstrip('/')}/*.parquet'",
            )
        system.info(place)
    return [pattern]


def state_of(name: str) -> str:
    """What changes when the file changes: its size with its time or tag, where these are known.

    Raises:
        UnavailableError: A file of the web of which the server says neither.
    """
    with store_of(name) as (system, place):
        told = system.info(place)
        state = {key: str(told[key]) for key in _STATE if told.get(key) is not None}
        if _is_of_the_web(name) and not state.keys() - {"size"}:
            raise UnavailableError(
                f"'{name}': the server does not say when the file has changed.",
                hint="Copy it to a disk or a store first.",
            )
        return f"{system.ukey(place)} {sorted(state.items())}"


def names_in(directory: str) -> set[str]:
    """The names of what a directory holds; none where there is no such directory."""
    with store_of(directory) as (system, place), suppress(FileNotFoundError):
        return {posixpath.basename(name.rstrip("/")) for name in system.ls(place, detail=False)}
    return set()


def exists(name: str) -> bool:
    """Whether there is such a file or directory."""
    with store_of(name) as (system, place):
        return bool(system.exists(place))


def remove(names: Iterable[str]) -> None:
    """Remove files, or directories with all they hold, where they are there."""
    for name in names:
        with store_of(name) as (system, place), suppress(FileNotFoundError):
            system.rm(place, recursive=True)


def copy(names: Iterable[str], source: str, target: str) -> None:
    """Copy files from one directory to another of the same store, which does it by itself."""
    with store_of(source) as (system, place), store_of(target) as (_, other):
        chosen = list(names)
        system.copy([f"{place}/{name}" for name in chosen], [f"{other}/{name}" for name in chosen])


@contextmanager
def local_copy(name: str) -> Iterator[Path]:
    """A file on this machine with the content of ``name``, for as long as the block; of a path, it.

    Errors inside the block name the URL, not the copy.
    """
    if not is_url(name):
        yield Path(name)
        return
    with tempfile.TemporaryDirectory(prefix="lora-bert-") as directory:
        path = Path(directory, base_name(name))
        with store_of(name) as (system, place):
            system.get_file(place, str(path))
        try:
            yield path
        except LoraBertError as error:
            message = str(error).replace(str(path), name)
            raise type(error)(message, hint=error.hint.replace(str(path), name)) from error


@contextmanager
def whole_file(name: str, *, overwrite: bool = True) -> Iterator[Path]:
    """A path of this machine whose file becomes ``name`` after the block, whole or not at all.

    Without ``overwrite`` a path that has come to be taken meanwhile is an error.

    Raises:
        OutputError: It cannot be written.
    """
    if not is_url(name):
        with atomic_file(Path(name), overwrite=overwrite) as work:
            yield work
        return
    with tempfile.TemporaryDirectory(prefix="lora-bert-") as directory:
        work = Path(directory, "whole")
        yield work
        try:
            with store_of(name) as (system, place):
                if _WITH_DIRECTORIES & {*system.protocol}:
                    system.makedirs(posixpath.dirname(place), exist_ok=True)
                system.put_file(str(work), place)
        except (NotFoundError, UnavailableError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            raise OutputError(
                f"Cannot write '{name}': {reason(cause)}.", hint=error.hint
            ) from error
