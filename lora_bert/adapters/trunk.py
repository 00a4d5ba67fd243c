"""The trunk that exported branches share: graph and ``trunk.json``, beside their directories."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lora_bert.adapters.manifest import MANIFEST
from lora_bert.backbones.inside import check_entry
from lora_bert.errors import AdapterError
from lora_bert.json_files import json_text, read_object

TRUNK = "trunk.json"
GRAPHS: Mapping[str, tuple[str, ...]] = {
    "openvino": ("trunk.xml", "trunk.bin"), "onnx": ("trunk.onnx",)
}  # fmt: skip
"""By format the files of its graph, of which the first one is opened."""
_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("format", "precision", "backbone", "fingerprint"), str),
    **dict.fromkeys(("layers", "width", "max_length"), int),
    "types": bool, "files": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Trunk:
    """What ``trunk.json`` says. A branch keeps the same, and fits no other trunk.

    Attributes:
        format: ``openvino`` or ``onnx``.
        precision: Of its weights: ``float32`` or ``int8``.
        backbone: The backbone's name.
        fingerprint: The backbone's.
        layers: How many of the backbone's layers it has.
        width: Of its hidden states.
        max_length: Tokens of the longest text that one of the branches is asked.
        types: Whether it takes token types.
        files: SHA-256 of the files of its graph, by name; empty where that is not known.
    """

    format: str
    precision: str
    backbone: str
    fingerprint: str
    layers: int
    width: int
    max_length: int
    types: bool
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """What is written."""
        return json_text(asdict(self)) + "\n"

    @property
    def identity(self) -> dict[str, Any]:
        """What a branch keeps of it: everything that decides what it gives."""
        names = ("format", "precision", "fingerprint", "layers", "width", "types")
        return {name: getattr(self, name) for name in names}


def is_trunk(path: str | Path) -> bool:
    """Whether a directory holds a trunk, and branches on it."""
    with suppress(OSError, ValueError):  # too long for the name of a file, or with a NUL in it
        return (Path(path) / TRUNK).is_file()
    return False


def is_branch(path: Path) -> bool:
    """Whether a directory is one of those beside a trunk."""
    # In this order: a path that no file can have is none, and cannot be resolved.
    return (path / MANIFEST).is_file() and is_trunk(path.resolve().parent)


def branch_names(path: Path) -> list[str]:
    """The names of the branches on the trunk in ``path``, sorted."""
    return sorted(entry.parent.name for entry in path.glob(f"*/{MANIFEST}"))


def read_trunk(path: Path) -> Trunk:
    """The trunk in the directory ``path``.

    Raises:
        AdapterError: It is damaged, or a file of its graph is missing.
    """
    written = read_object(path / TRUNK, AdapterError)
    written.setdefault("files", {})
    for name, kind in _KINDS.items():
        value: Any = written.get(name)
        if type(value) is not kind or (kind is int and not 0 <= value < 1 << 31):
            raise AdapterError(f"'{path / TRUNK}': {name} is {value!r:.60}.")
    trunk = Trunk(**{name: written[name] for name in _KINDS})
    if trunk.format not in GRAPHS:
        raise AdapterError(f"'{path / TRUNK}': format is {trunk.format!r:.60}.")
    for name in GRAPHS[trunk.format]:
        if not (path / name).is_file():
            raise AdapterError(
                f"'{path}' has no {name}, on which its branches stand.",
                hint="Copy the directory again, with all its files.",
            )
        check_entry(path / name, path, AdapterError)
    return trunk


def trunk_below(branch: Path, kept: Any) -> tuple[Path, Trunk]:
    """The directory of a branch's trunk, and the trunk; ``kept`` is what the branch keeps of it.

    Raises:
        AdapterError: The trunk is not there, is damaged, or is another one.
    """
    place = branch.resolve().parent
    if not is_trunk(place):
        raise AdapterError(
            f"'{branch}' is a branch, and the trunk that it stands on is not in '{place}'.",
            hint="Copy the directory that holds both.",
        )
    trunk = read_trunk(place)
    if kept != trunk.identity:
        raise AdapterError(
            f"'{branch}' is a branch on another trunk than the one in '{place}'.",
            hint="Export all of its adapters together.",
        )
    return place, trunk
