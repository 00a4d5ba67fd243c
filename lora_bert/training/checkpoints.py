"""Checkpoints: what a training needs to go on as if nothing had happened.

They stand beside the adapter-to-be, in ``OUTPUT.checkpoints/``: a directory for each, safetensors
and JSON, whole or not there; the last two are kept. They go when the training has come to its end.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from lora_bert._version import __version__
from lora_bert.adapters.manifest import MANIFEST
from lora_bert.adapters.peft_config import WEIGHTS
from lora_bert.backbones.weights import read_safetensors, write_safetensors
from lora_bert.errors import OutputError
from lora_bert.files import CHECKPOINT, atomic_directory, beside, claim_output, sha256, write_json
from lora_bert.json_files import json_text, read_object, read_own
from lora_bert.training.progress import Progress

log = logging.getLogger(__name__)

FORMAT = 1
KEPT = 2
_STATE, _TENSORS = CHECKPOINT, "state.safetensors"
_LOCK, _WRITTEN = "lock", "written.json"

State = Callable[[], tuple[Mapping[str, Any], Mapping[str, Tensor]]]
"""Gives the schedule and the tensors of a :class:`Checkpoint`."""


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


@dataclass
class Checkpoints:
    """Saves a training's state when that is due.

    Attributes:
        place: Where checkpoints stand.
        identity: Of the run.
        minutes: Between two checkpoints; 0, without steps: none at all.
        steps: Optimizer steps between two, in place of minutes.
        kept: The moment of the newest checkpoint that is there.
    """

    place: Path
    identity: Mapping[str, Any]
    minutes: float
    steps: int | None
    kept: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self._tried, self._since = self.kept[0] if self.kept else 0, time.monotonic()

    def save_if_due(self, progress: Progress, state: State) -> None:
        """Save if it is time to do so."""
        if self.steps is not None:
            due = progress.step - self._tried >= self.steps
        else:
            due = bool(self.minutes) and time.monotonic() - self._since >= 60 * self.minutes
        if due:
            self.save(progress, state)

    def save(self, progress: Progress, state: State) -> bool:
        """Save now, unless nothing is to be saved; whether a checkpoint of this step is there.

        A disk that is full does not end a training: it is said, and tried again when due.
        """
        if not (self.minutes or self.steps):
            return False
        if progress.moment == self.kept:
            return True
        try:
            _save(self.place, Checkpoint(self.identity, progress, *state()))
        except OutputError as error:
            log.warning("There is no checkpoint of step %d: %s", progress.step, error)
            return False
        finally:
            self._tried, self._since = progress.step, time.monotonic()
        self.kept = progress.moment
        return True


def checkpoints_of(output: Path) -> Path:
    """Where the checkpoints of a training into ``output`` stand."""
    return beside(output, ".checkpoints")


def _save(place: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into ``place``, then drop all but the last two."""
    with atomic_directory(place / _name(checkpoint.progress.step), overwrite=True) as work:
        write_safetensors(work / _TENSORS, checkpoint.tensors)
        content = {
            "identity": checkpoint.identity,
            "progress": asdict(checkpoint.progress),
            "schedule": checkpoint.schedule,
        }
        state = {
            "format": FORMAT,
            "lora-bert": __version__,
            "tensors_sha256": sha256(work / _TENSORS),
            "state_sha256": _digest(content),
            **content,
        }
        (work / _STATE).write_text(json_text(state) + "\n", encoding="utf-8")
    for old in _newest_first(place)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def _newest(output: Path) -> Checkpoint | None:
    """The newest checkpoint that can be read; None where there is none at all."""
    paths = _newest_first(checkpoints_of(output))
    for path in paths:
        try:
            return _read(path)
        except (OutputError, OSError) as error:
            log.warning("The checkpoint '%s' cannot be read: %s", path, error)
    if paths:
        raise OutputError(
            f"None of the checkpoints in '{paths[0].parent}' can be read.",
            hint="Begin anew with --overwrite, which removes them.",
        )
    return None


def to_continue(output: Path, *, resume: bool, overwrite: bool) -> tuple[Checkpoint | None, bool]:
    """The checkpoint that a training into ``output`` goes on from; whether it may replace that.

    Raises:
        OutputError: There is a checkpoint, and nobody said what is to become of it; none can be
            read; or the output is taken, or cannot be written.
    """
    checkpoint = _newest(output) if resume or not overwrite else None
    if checkpoint is not None and not resume:
        raise OutputError(
            f"A training into '{output}' was stopped after step {checkpoint.progress.step}.",
            hint="Go on with --resume, or begin anew with --overwrite.",
        )
    if resume and checkpoint is None and not overwrite and (output / MANIFEST).is_file():
        raise OutputError(
            f"'{output}' holds an adapter, and there is no checkpoint to go on from.",
            hint="Train anew with --overwrite.",
        )
    # What Ctrl-C has left in the output is of the same training.
    replaces = overwrite or (checkpoint is not None and _is_its_own(output))
    if checkpoint is not None and not replaces and (output / MANIFEST).is_file():
        raise OutputError(
            f"'{output}' holds an adapter that the stopped training has not written.",
            hint="Go on and replace it with --resume --overwrite.",
        )
    claim_output(output, overwrite=replaces)
    return checkpoint, replaces


def discard_checkpoints(output: Path, *, after: int = -1) -> None:
    """Remove the checkpoints of a training into ``output``, or those after a step."""
    place = checkpoints_of(output)
    for path in _newest_first(place):
        if path.name > _name(after):
            shutil.rmtree(path, ignore_errors=True)
    if after < 0:
        (place / _WRITTEN).unlink(missing_ok=True)


def note_written(output: Path) -> None:
    """Note what stands in ``output`` as the work of the training that is to go on, if it can."""
    if _newest_first(checkpoints_of(output)):
        write_json(checkpoints_of(output) / _WRITTEN, {"sha256": sha256(output / WEIGHTS)})


def _is_its_own(output: Path) -> bool:
    """Whether what stands in ``output`` is what a stopped training has left there."""
    noted, weights = read_own(checkpoints_of(output) / _WRITTEN), output / WEIGHTS
    return weights.is_file() and bool(noted.get("sha256") == sha256(weights))


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
        empty, removed = not _newest_first(place), False
        if empty:
            # While it is held: who comes next must not lock a file that nobody sees any more.
            with suppress(OSError):
                (place / _LOCK).unlink()
                removed = True
        lock.release()
        if empty:
            with suppress(OSError):
                if not removed:  # Windows removes no open file
                    (place / _LOCK).unlink(missing_ok=True)
                for directory in absent or [place]:
                    directory.rmdir()


def _newest_first(place: Path) -> list[Path]:
    return sorted(place.glob("step-*"), reverse=True)


def _read(path: Path) -> Checkpoint:
    state = read_object(path / _STATE, OutputError)
    if state.get("format") != FORMAT:
        raise OutputError(f"Its format is {state.get('format')!r}; this version reads {FORMAT}.")
    content = {key: state.get(key) for key in ("identity", "progress", "schedule")}
    if state.get("state_sha256") != _digest(content):
        raise OutputError(f"'{_STATE}' is not what was written.")
    if state.get("tensors_sha256") != sha256(path / _TENSORS):
        raise OutputError(f"'{_TENSORS}' is not what was written.")
    tensors = read_safetensors(path / _TENSORS, OutputError)
    progress = Progress(**state["progress"])
    return Checkpoint(state["identity"], progress, state["schedule"], tensors)


def _digest(content: Mapping[str, Any]) -> str:
    """Of what a checkpoint says beside its tensors: what it vouches for need not be looked at."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _name(step: int) -> str:
    return "step-" if step < 0 else f"step-{step:09d}"
