"""Checkpoints: what a training needs to go on as if nothing had happened.

They stand beside the adapter-to-be, in ``OUTPUT.checkpoints/``: a directory for each, safetensors
and JSON, whole or not there; the last two are kept. They go when the adapter is written.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from lora_bert._version import __version__
from lora_bert.backbones.checkpoint import read_safetensors, write_safetensors
from lora_bert.errors import AdapterError, OutputError
from lora_bert.files import atomic_directory, sha256, short_name
from lora_bert.training.progress import Progress

log = logging.getLogger(__name__)

FORMAT = 1
KEPT = 2
_STATE, _TENSORS, _LOCK = "state.json", "state.safetensors", "lock"


@dataclass(frozen=True)
class Checkpoint:
    """A moment between two optimizer steps.

    Attributes:
        identity: What the run is: see :mod:`lora_bert.training.identity`.
        progress: How far it had come.
        schedule: Of the learning rate, as its ``state_dict`` has it.
        tensors: Adapter, best adapter and the optimizer's moments, by name.
    """

    identity: Mapping[str, Any]
    progress: Progress
    schedule: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def checkpoints_of(output: Path) -> Path:
    """Where the checkpoints of a training into ``output`` stand."""
    place = output.resolve()
    return place.with_name(f"{short_name(place.name, 200)}.checkpoints")


def save_checkpoint(place: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into ``place``, then drop all but the last two.

    Raises:
        OutputError: It cannot be written; the earlier ones are still there.
    """
    path = place / f"step-{checkpoint.progress.step:09d}"
    shutil.rmtree(path, ignore_errors=True)  # a damaged one that was passed over
    with atomic_directory(path, overwrite=True) as work:
        write_safetensors(work / _TENSORS, checkpoint.tensors)
        state = {
            "format": FORMAT,
            "lora-bert": __version__,
            "sha256": sha256(work / _TENSORS),
            "identity": checkpoint.identity,
            "progress": asdict(checkpoint.progress),
            "schedule": checkpoint.schedule,
        }
        text = json.dumps(state, ensure_ascii=False, indent=2) + "\n"
        (work / _STATE).write_text(text, encoding="utf-8")
    for old in _newest_first(place)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def newest_checkpoint(output: Path) -> Checkpoint | None:
    """The newest whole checkpoint of a training into ``output``; None where there is none."""
    for path in _newest_first(checkpoints_of(output)):
        try:
            return _read(path)
        except (AdapterError, OSError, ValueError, LookupError, TypeError) as error:
            log.warning("The checkpoint '%s' is damaged, an earlier one is looked for: %s",
                        path, error)  # fmt: skip
    return None


def to_continue(output: Path, *, resume: bool, overwrite: bool) -> Checkpoint | None:
    """The checkpoint that a training into ``output`` goes on from; None where it is to begin.

    Raises:
        OutputError: There is one, and nobody said what is to become of it.
    """
    found = newest_checkpoint(output)
    if resume:
        if found is None:
            log.info("'%s' left no checkpoint: beginning at the beginning.", output)
        return found
    if found is not None and not overwrite:
        raise OutputError(
            f"A training into '{output}' was stopped after step {found.progress.step}.",
            hint="Go on with --resume, or begin anew with --overwrite.",
        )
    return None


def discard_checkpoints(output: Path) -> None:
    """Remove all checkpoints of a training into ``output``."""
    for path in _newest_first(checkpoints_of(output)):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def training_into(output: Path) -> Iterator[Path]:
    """Yield the place of the checkpoints of ``output``, which no other training can use meanwhile.

    The operating system gives the lock back when the process ends, however it ends. What is empty
    at the end goes.

    Raises:
        OutputError: Another training writes there, or the place cannot be made.
    """
    place = checkpoints_of(output)
    absent = [parent for parent in (place, *place.parents) if not parent.exists()]
    lock = FileLock(place / _LOCK, timeout=0)
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"Another training is writing to '{output}'.", hint="Wait for it, or name another."
        ) from error
    except OSError as error:
        raise OutputError(f"Cannot write '{place}': {error.strerror or error}.") from error
    for leftover in place.glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a process that was killed while it saved
    try:
        yield place
    finally:
        if not _newest_first(place):
            (place / _LOCK).unlink(missing_ok=True)
            with suppress(OSError):
                for directory in absent or [place]:
                    directory.rmdir()
        lock.release()


def _newest_first(place: Path) -> list[Path]:
    return sorted(place.glob("step-*"), reverse=True)


def _read(path: Path) -> Checkpoint:
    state = json.loads((path / _STATE).read_text(encoding="utf-8"))
    if state["format"] != FORMAT:
        raise ValueError(f"its format is {state['format']}, this version reads {FORMAT}")
    if state["sha256"] != sha256(path / _TENSORS):
        raise ValueError("its tensors are not those that were written")
    known = {entry.name for entry in fields(Progress)}
    progress = Progress(**{key: state["progress"][key] for key in known})
    tensors = read_safetensors(path / _TENSORS, AdapterError)
    return Checkpoint(state["identity"], progress, state["schedule"], tensors)
