"""Writing to disk so that nothing is ever half there, and where the cache lives.

Everything is written beside its final place, waited for until it is on the disk, and renamed into
its place; a crash, a power cut or a full disk leaves what stood there before.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path, PurePath
from stat import S_ISREG
from typing import Any

from lora_bert.errors import OutputError
from lora_bert.json_files import json_text

CHECKPOINT = "lora_bert_checkpoint.json"
PARTS_MARK = "_lora_bert.json"
"""Stands beside the part files of predictions: all of them are there. Readers skip the name."""
# One of these stands in every directory we write, and in every model.
_OURS = (
    "adapter_config.json", "lora_bert.json", "config.json", "evaluation.json", "trunk.json",
    CHECKPOINT, PARTS_MARK,
)  # fmt: skip
# And one of these in each that is read as a whole; a project may have a config.json of its own.
_WHOLE = tuple(name for name in _OURS if name not in ("config.json", "evaluation.json"))


def cache_dir() -> Path:
    """The user's cache directory: ``$LORA_BERT_CACHE``, else where the system keeps caches.

    On Linux that is ``$XDG_CACHE_HOME/lora-bert``, by default ``~/.cache/lora-bert``.
    """
    from platformdirs import user_cache_path

    override = os.environ.get("LORA_BERT_CACHE")
    return Path(override) if override else user_cache_path("lora-bert", appauthor=False)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digests(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each of these files of a directory, by name."""
    return {name: sha256(directory / name) for name in names}


def size_of(path: Path) -> int:
    """Bytes of the files in a directory, or of a file."""
    return sum(seen.st_size for seen in stats_below(path) if S_ISREG(seen.st_mode))


def are_whole(sizes: Mapping[str, Any], directory: Path) -> bool:
    """Whether the files of a directory that ``sizes`` names are there, each with so many bytes."""
    try:
        return all((directory / name).stat().st_size == size for name, size in sizes.items())
    except OSError:
        return False


def stats_below(path: Path) -> Iterator[os.stat_result]:
    """What the system says of a file or directory and of everything in it."""
    for place in (path, *path.rglob("*")):
        with suppress(OSError):  # gone meanwhile, or another user's
            yield place.stat()


def claim_output(path: Path, *, overwrite: bool = False) -> None:
    """Check, before any long work, that a directory can be written at ``path``.

    Raises:
        OutputError: ``path`` is a file, a non-empty directory (unless ``overwrite``), a directory
            that cannot be replaced, lies inside an adapter or a model, or is a place where nothing
            can be created.
    """
    with _sentences(path):
        if path.is_file():
            raise OutputError(f"Output '{path}' is a file; a directory is needed.")
        final, here = path.resolve(), Path.cwd()
        _check_outside(path)
        # Path.is_mount is not to be had on Windows.
        if final in (here, *here.parents) or os.path.ismount(final):
            # The finished directory is renamed into its place; these cannot be moved out of it.
            raise OutputError(
                f"Output '{path}' is a mount point, or the current directory or one above it.",
                hint="Name a directory inside it.",
            )
        taken = path.is_dir() and any(path.iterdir())
        if taken and not overwrite:
            raise OutputError(
                f"Output directory '{path}' is not empty.",
                hint="Choose another one, or replace it with --overwrite.",
            )
        if taken and not any((path / name).is_file() for name in _OURS):
            raise OutputError(
                f"Output directory '{path}' holds something else than an adapter, a model or an "
                "evaluation: --overwrite does not replace that.",
                hint="Name another directory, or empty it yourself.",
            )
        # Directories above it are made only with it: a run that fails leaves none behind.
        place = next(parent for parent in final.parents if parent.exists())
        with _temporary_directory(place / final.name):
            pass


def claim_file(path: Path, *, overwrite: bool = False) -> None:
    """Check, before any long work, that a file can be written at ``path``.

    Raises:
        OutputError: ``path`` is a directory, exists (unless ``overwrite``), lies inside an adapter
            or a model, or is in a place where nothing can be created.
    """
    with _sentences(path):
        if path.is_dir():
            raise OutputError(f"Output '{path}' is a directory; a file is needed.")
        _check_outside(path)
        if path.exists() and not overwrite:
            raise _exists(path)
        place = next(parent for parent in path.resolve().parents if parent.exists())
        with tempfile.TemporaryFile(dir=place):
            pass


def _check_outside(path: Path) -> None:
    """Raise OutputError for an output inside a directory that is read as a whole."""
    for place in path.resolve().parents:
        if any((place / name).is_file() for name in _WHOLE):
            raise OutputError(
                f"Output '{path}' lies inside '{place}', which is an adapter, a model, or "
                "something else that is read as a whole.",
                hint="Name a place outside it.",
            )


def spare_inputs(output: Path, inputs: Iterable[str | Path | None]) -> None:
    """Check that replacing ``output`` loses nothing that is read: none of ``inputs`` lies there.

    Raises:
        OutputError: One of them does.
    """
    final = output.resolve()
    for source in (Path(name) for name in inputs if name):
        place = source.resolve()
        if place.exists() and final in (place, *place.parents):
            raise OutputError(
                f"Output '{output}' is or holds '{source}', which is read here.",
                hint="Name another directory.",
            )


@contextmanager
def atomic_directory(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty directory beside ``path`` that becomes ``path`` when the block succeeds.

    With ``overwrite`` a directory that stands there is replaced, and only once the new one is
    complete; without it a non-empty one is an :class:`OutputError`, also when it has come to stand
    there meanwhile. A symbolic link stays: what it leads to is replaced.
    """
    claim_output(path, overwrite=overwrite)
    with _sentences(path):
        path = path.resolve()
        with _temporary_directory(path) as work:
            yield work
            put_in_place(work, path, overwrite=overwrite)


def put_in_place(work: Path, path: Path, *, overwrite: bool = False) -> None:
    """Make a finished directory the one at ``path``, beside which it is, as above."""
    with _sentences(path):
        _complete(work)
        _swap(work, path, overwrite=overwrite)
        _to_disk(path.parent)


@contextmanager
def shared_directory(path: Path, is_complete: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty directory that becomes ``path``, unless another process was there first.

    For what several processes may make at once with the same result, as in a cache: a complete
    directory is never touched, and the work of those who come later is dropped. One that is not
    complete is replaced.
    """
    with _sentences(path), _temporary_directory(path) as work:
        yield work
        _complete(work)
        if not is_complete(path):
            _settle(work, path, is_complete)


@contextmanager
def atomic_file(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a path beside ``path`` whose file becomes ``path`` when the block succeeds.

    Without ``overwrite``, a file that has come to stand there meanwhile is an :class:`OutputError`.
    A symbolic link stays: what it leads to is replaced.
    """
    with _sentences(path):
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        work = _neighbour(path)
        try:
            work.touch(mode=0o600, exist_ok=False)
            yield work
            work.chmod(_allowed(0o666))
            _to_disk(work)
            if path.exists() and not overwrite:
                raise _exists(path)
            work.replace(path)
        finally:
            work.unlink(missing_ok=True)


def _exists(path: Path) -> OutputError:
    return OutputError(f"Output '{path}' exists.", hint="Choose another name, or use --overwrite.")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON, whole or not at all."""
    with atomic_file(path) as work:
        work.write_text(json_text(value) + "\n", encoding="utf-8")


def portable(name: str) -> str:
    """A path as it may be kept: as it is where it is relative, and of any other one the last part.

    No directory of this machine is in it.
    """
    path = PurePath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    return path.as_posix() if inside else path.name


def beside(path: Path, suffix: str) -> Path:
    """The path next to ``path`` that has its name and a suffix."""
    place = path.resolve()
    return place.with_name(f"{short_name(place.name)}{suffix}")


def _neighbour(path: Path) -> Path:
    """A new hidden name beside ``path``.

    What is named before it is made can be removed, whenever Ctrl-C comes.
    """
    return path.parent / f".{short_name(path.name)}.{secrets.token_hex(8)}"


def short_name(name: str) -> str:
    """``name``, or of a long one its beginning and a hash: file systems allow 255 bytes."""
    written = os.fsencode(name)
    if len(written) <= 200:
        return name
    mark = hashlib.sha256(written).hexdigest()[:8]
    return f"{written[:191].decode('utf-8', 'ignore')}-{mark}"


def disk_error(problem: Exception) -> OSError:
    """What safetensors' writer met with: it tells of the disk in an error of its own.

    "Error while serializing: I/O error: No space left on device (os error 28)".
    """
    return OSError(str(problem).rpartition("error: ")[2].partition(" (os error")[0])


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or a directory's list of names, would survive a power cut.

    Not every system opens directories, and not every file system flushes them.
    """
    with suppress(OSError) if path.is_dir() else nullcontext():
        handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _complete(work: Path) -> None:
    """Give a directory that was made private the usual modes, and wait until it is on the disk."""
    for entry in (*work.rglob("*"), work):
        entry.chmod(_allowed(0o777 if entry.is_dir() else 0o666))
        _to_disk(entry)


def _allowed(mode: int) -> int:
    """``mode`` less what the user's umask takes away."""
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    return mode & ~mask


def _swap(work: Path, path: Path, *, overwrite: bool) -> None:
    """Put ``work`` at ``path``; what stood there goes only once the new one stands."""
    if not overwrite:
        with suppress(FileNotFoundError):
            path.rmdir()  # refuses what somebody has put into it meanwhile
    if not overwrite or not path.exists():
        work.rename(path)
        return
    old = _neighbour(path)
    was = old / "was"
    try:
        old.mkdir(mode=0o700)
        path.rename(was)
        work.rename(path)
    except BaseException:
        if was.exists() and not path.exists():
            was.rename(path)
        with suppress(OSError):
            old.rmdir()
        raise
    _remove(old)


def _settle(work: Path, path: Path, is_complete: Callable[[Path], bool]) -> None:
    """Put ``work`` at ``path`` in place of an incomplete one; losing the race for it is success."""
    with _temporary_directory(path) as old:
        with suppress(FileNotFoundError):
            path.rename(old / "was")
        try:
            work.rename(path)
        except OSError:
            if not is_complete(path):
                raise


@contextmanager
def _temporary_directory(path: Path) -> Iterator[Path]:
    """An empty directory beside ``path``, which goes, unless it was renamed."""
    work = _neighbour(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work.mkdir(mode=0o700)
        yield work
    finally:
        _remove(work)


def _remove(directory: Path) -> None:
    """Remove a directory and all in it, where that can be; Ctrl-C waits until it is gone."""
    try:
        shutil.rmtree(directory, ignore_errors=True)
    except KeyboardInterrupt:
        shutil.rmtree(directory, ignore_errors=True)
        raise


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals about ``path`` into an :class:`OutputError`."""
    try:
        yield
    except OSError as error:
        # Ctrl-C between a file's opening and its first use has the standard library close it twice.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        reason = error.strerror or str(error)
        raise OutputError(f"Cannot write '{path}': {reason}.") from error
