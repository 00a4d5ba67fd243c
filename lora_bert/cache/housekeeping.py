"""What the cache directory holds, and clearing it. Everything in it is made again when needed."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_bert.backbones.embedded import EMBEDDED
from lora_bert.cache.entries import (
    BROKEN_OFF,
    discard,
    is_leftover,
    is_own,
    last_used,
    read_record,
)
from lora_bert.data.named import NAMED, Published
from lora_bert.errors import ConfigError, NotFoundError, OutputError, did_you_mean
from lora_bert.files import cache_dir, size_of

LEFTOVER = "leftover"
"""The kind of what a process left behind that was stopped while it wrote."""
FETCHED = "data"
"""The kind that comes from the network: it goes only when it is named."""
KINDS = ("backbones", FETCHED, LEFTOVER, "openvino", "tokens", "trunk")

_SHORTEST_KEY = 4
_FETCHED = {Path(data.path).parts[0] for data in NAMED.values() if isinstance(data, Published)}
_UNPACKED = re.compile(f"({'|'.join(map(re.escape, EMBEDDED))})-[0-9a-f]{{12}}")


@dataclass(frozen=True)
class Entry:
    """Something in the cache.

    Attributes:
        kind: One of :data:`KINDS`.
        key: Its name in the directory.
        what: The same in words.
        size: Bytes on disk.
        used: When it was last used, seconds since 1970.
        path: Where it is.
    """

    kind: str
    key: str
    what: str
    size: int
    used: float
    path: Path


def entries(names: Sequence[str] = (), *, unused_days: float = 0.0) -> list[Entry]:
    """What is in the cache, by kind, the last used first.

    With ``names`` only these kinds and keys, which may be shortened to their beginnings; with
    ``unused_days`` only what was not used for so many days.

    Raises:
        NotFoundError: One of the names is neither a kind nor the beginning of a key.
        ConfigError: It is the beginning of more than one.
    """
    known = _all()
    if names:
        chosen = {entry.path for name in names for entry in _named(name, known)}
        known = [entry for entry in known if entry.path in chosen]
    before = time.time() - unused_days * 86400.0
    return [entry for entry in known if entry.used <= before or not unused_days]


def clear(names: Sequence[str] = (), *, unused_days: float = 0.0) -> list[Entry]:
    """Remove :func:`entries` from the cache, and say which.

    Without names, all but the kind :data:`FETCHED` and what may be written at this moment.

    Raises:
        NotFoundError, ConfigError: As :func:`entries`.
        OutputError: One of them cannot be removed.
    """
    gone = []
    for entry in entries(names, unused_days=unused_days):
        is_under_way = entry.kind == LEFTOVER and time.time() - entry.used < BROKEN_OFF
        if not names and (entry.kind == FETCHED or is_under_way):
            continue
        try:
            discard(entry.path)
        except OSError as error:
            problem = error.strerror or error
            raise OutputError(f"Cannot remove '{entry.path}': {problem}.") from error
        gone.append(entry)
    return gone


def _all() -> list[Entry]:
    places = (cache_dir() / kind for kind in KINDS)
    known = [_entry(path) for place in places for path in place.glob("*") if _is_own(path)]
    return sorted(known, key=lambda entry: (entry.kind, -entry.used, entry.key))


def _is_own(path: Path) -> bool:
    """Whether it is of our making: the cache may lie among others' files."""
    kind = path.parent.name
    ours = (kind == FETCHED and path.name in _FETCHED) or (
        kind == "backbones" and _UNPACKED.fullmatch(path.name)
    )
    return is_own(path) or (bool(ours) and path.is_dir())


def _entry(path: Path) -> Entry:
    kind = LEFTOVER if is_leftover(path) else path.parent.name
    what = str(read_record(path).get("what") or path.name)
    if kind == LEFTOVER:
        what = f"of a write into {path.parent.name}, broken off or under way"
    return Entry(kind, path.name, what, size_of(path), last_used(path), path)


def _named(name: str, known: Sequence[Entry]) -> list[Entry]:
    of_kind = [entry for entry in known if entry.kind == name]
    if of_kind or name in KINDS:
        return of_kind
    matches = [entry for entry in known if entry.key.startswith(name)]
    if len(matches) > 1:
        raise ConfigError(
            f"'{name}' is the beginning of {len(matches)} keys.", hint="Write more of it."
        )
    if not matches or len(name) < _SHORTEST_KEY:
        hint = did_you_mean(name, KINDS) or "See what there is with: lora-bert cache list"
        raise NotFoundError(f"The cache holds no kind and no key '{name}'.", hint=hint)
    return matches
