"""Predictors by name: added one by one, or the adapters of a directory, loaded when asked."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from lora_bert.adapters.directory import EXPORTED
from lora_bert.adapters.manifest import MANIFEST
from lora_bert.adapters.peft_config import CONFIG, WEIGHTS
from lora_bert.adapters.trunk import is_branch
from lora_bert.backbones.fingerprint import Stamp, stamp_of
from lora_bert.errors import (
    AdapterError,
    ConfigError,
    InputTypeError,
    LoraBertError,
    did_you_mean,
    missing,
)
from lora_bert.inference.predictor import Predictor

_FILES = (CONFIG, WEIGHTS, MANIFEST, "tokenizer.json", *chain(*EXPORTED.values()))
_TRIES = 5


@dataclass
class _Entry:
    """A name; ``predictor`` and what was read for it change together, under the pool's lock."""

    predictor: Predictor | None = None
    stamp: Stamp | None = None
    loading: threading.Lock = field(default_factory=threading.Lock)


def called(place: Path) -> str:
    """How an adapter is called by its directory: as that is named, be it a link."""
    return place.name if place.name not in ("", "..") else place.resolve().name


def checked(name: object) -> str:
    """A name that somebody gave an adapter.

    Raises:
        ConfigError: It is empty, or no string.
    """
    if not isinstance(name, str):
        raise InputTypeError(f"An adapter's name is a string, not {type(name).__name__}.")
    if not name.strip():
        raise ConfigError("An adapter's name is empty.")
    return name


class AdapterPool:
    """Adapters by name, for many threads at once.

    Those that were added stay until they are removed. Those of the directory are loaded when they
    are asked for, and again where their files have changed since; beyond the limit, those that
    were asked longest ago are let go. Whoever has got a predictor keeps it as long as it answers.

    Args:
        load: Loads the adapter of a directory.
        directory: Holds a directory for each adapter; its name is the adapter's.
        limit: Bytes that adapters of the directory may take together; None for any number.
        pinned: Names of those that are never let go.
    """

    def __init__(
        self,
        load: Callable[[Path], Predictor],
        directory: Path | None = None,
        limit: float | None = None,
        pinned: Iterable[str] = (),
    ) -> None:
        self._load, self._directory, self._limit = load, directory, limit
        self._added: dict[str, Predictor] = {}
        self._lazy: OrderedDict[str, _Entry] = OrderedDict()
        self._removed: dict[str, Stamp] = {}
        self._pinned = set(pinned)
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Those that were added, in that order, then those of the directory by name."""
        with self._lock:
            added = tuple(self._added)
        return added + tuple(name for name in self._known() if name not in added)

    @property
    def loaded(self) -> tuple[str, ...]:
        """Those in memory: the added ones, then those asked longest ago."""
        with self._lock:
            return (*self._added, *(name for name, each in self._lazy.items() if each.predictor))

    def add(self, name: str, predictor: Predictor, *, replace: bool) -> None:
        """Answer to a name from now on.

        Raises:
            ConfigError: It is taken, and not to be replaced.
        """
        with self._lock:
            if not replace:
                self._check_free(name)
            self._added[name] = predictor
            self._lazy.pop(name, None)

    def check_free(self, name: str) -> None:
        """Raise ConfigError for a name that is taken."""
        with self._lock:
            self._check_free(name)

    def remove(self, name: str) -> None:
        """Answer to a name no more; ConfigError where there is none."""
        with self._lock:
            if not self._has(name):
                raise self._unknown(name)
            self._added.pop(name, None)
            self._lazy.pop(name, None)
            if self._directory:
                self._removed[name] = _stamp(_below(self._directory, name))

    def pin(self, name: str, *, pinned: bool) -> None:
        """Keep an adapter in memory once it is there, or no longer; ConfigError: there is none."""
        with self._lock:
            if not self._has(name):
                raise self._unknown(name)
            (self._pinned.add if pinned else self._pinned.discard)(name)
            self._let_go(keep=name)

    def get(self, name: str) -> Predictor:
        """The predictor of a name, loaded if need be.

        Raises:
            ConfigError: There is none of this name.
            AdapterError: Incomplete, damaged, or made for another backbone.
        """
        with self._lock:
            if (added := self._added.get(name)) is not None:
                return added
            if not self._has(name):
                self._lazy.pop(name, None)
                raise self._unknown(name)
            entry = self._lazy.setdefault(name, _Entry())
            self._lazy.move_to_end(name)
        with entry.loading:
            return self._current(name, entry)

    def _current(self, name: str, entry: _Entry) -> Predictor:
        """What stands in the directory now: loaded once, whoever asks at the same time."""
        place = _below(self._directory, name)
        if entry.predictor is not None and entry.stamp == _stamp(place):
            return entry.predictor
        predictor, stamp = self._read(place)
        with self._lock:
            entry.predictor, entry.stamp = predictor, stamp
            self._let_go(keep=name)
        return predictor

    def _read(self, place: Path) -> tuple[Predictor, Stamp]:
        """An adapter whose files were the same all the while; what goes wrong else is no fault."""
        for _ in range(_TRIES):
            stamp = _stamp(place)
            try:
                predictor = self._load(place)
            except LoraBertError:
                if _stamp(place) == stamp:
                    raise
            else:
                if _stamp(place) == stamp:
                    return predictor, stamp
        raise AdapterError(
            f"'{place}' is being written: its files changed whenever they were read.",
            hint="Write an adapter beside its place, and rename it.",
        )

    def _let_go(self, keep: str) -> None:
        if self._limit is None:
            return
        sizes = {name: _bytes(each.predictor) for name, each in self._lazy.items()
                 if each.predictor}  # fmt: skip
        total = sum(sizes.values())
        for name, size in sizes.items():
            if total <= self._limit:
                return
            if name != keep and name not in self._pinned:
                del self._lazy[name]
                total -= size

    def _has(self, name: str) -> bool:
        if name in self._added:
            return True
        here = self._directory is not None and _is_name(name)
        return here and _is_adapter(_below(self._directory, name)) and not self._is_removed(name)

    def _is_removed(self, name: str) -> bool:
        """Whether what stands in the directory is what was taken out; another one has come."""
        taken = self._removed.get(name)
        return taken is not None and taken == _stamp(_below(self._directory, name))

    def _known(self) -> list[str]:
        """The directory's that were not taken out."""
        return [name for name in _adapters_in(self._directory) if not self._is_removed(name)]

    def _check_free(self, name: str) -> None:
        if self._has(name):
            raise ConfigError(
                f"The session has an adapter '{name}' already.",
                hint="Give this one another name, remove that one first, or say replace=True.",
            )

    def _unknown(self, name: str) -> ConfigError:
        hint = did_you_mean(name, (*self._added, *self._known()))
        return ConfigError(f"The session has no adapter '{name}'.", hint=hint)


def adapter_names(directory: Path) -> list[str]:
    """The names of the adapters in a directory, sorted.

    Raises:
        NotFoundError: No such directory.
    """
    if not directory.is_dir():
        raise missing(directory, "directory of adapters")
    return _adapters_in(directory)


def adapter_places(paths: Iterable[str | Path]) -> dict[str, Path]:
    """The directories of adapters by their names; one that holds adapters stands for all of them.

    Raises:
        ConfigError: Two have the same name.
        NotFoundError: So have two of which one is not there.
    """
    places: dict[str, Path] = {}
    for place in _expanded(paths):
        name = called(place)
        if (other := places.get(name)) and not _same_directory(other, place):
            raise ConfigError(
                f"'{other}' and '{place}' are both called '{name}', and answers are told "
                "apart by that.",
                hint="Rename one of the directories.",
            )
        places.setdefault(name, place)
    return places


def _same_directory(one: Path, other: Path) -> bool:
    for place in (one, other):
        if not place.exists():
            raise missing(place, "directory")
    return one.samefile(other)


def _expanded(paths: Iterable[str | Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        is_one = any((path / name).exists() for name in (CONFIG, "config.json"))
        names = () if is_one or not path.is_dir() else adapter_names(path)
        yield from (path / name for name in names) if names else (path,)


def _adapters_in(directory: Path | None) -> list[str]:
    if directory is None:
        return []
    with suppress(FileNotFoundError):
        return sorted(place.name for place in directory.iterdir()
                      if _is_name(place.name) and _is_adapter(place))  # fmt: skip
    return []


def _is_adapter(place: Path) -> bool:
    return (place / CONFIG).is_file() or is_branch(place)


def _is_name(name: str) -> bool:
    """Whether it names an entry of a directory, and nothing above or below; not a hidden one."""
    fits = 0 < len(name.encode("utf-8", "replace")) < 256
    return fits and Path(name).name == name and not name.startswith(".") and "\0" not in name


def _below(directory: Path | None, name: str) -> Path:
    return (directory or Path()) / name


def _stamp(place: Path) -> Stamp:
    with suppress(FileNotFoundError):  # it goes while it is looked at
        return stamp_of([file for name in _FILES if (file := place / name).is_file()])
    return []


def _bytes(predictor: Predictor | None) -> int:
    """What an adapter takes beside the backbone; nothing where its engine does not say."""
    return int(getattr(predictor and predictor.engine, "own_bytes", 0))
