"""``lora_bert.json``: what an adapter says of itself, so that nothing is guessed on loading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lora_bert._version import __version__
from lora_bert.errors import AdapterError
from lora_bert.tasks.classification import PROBLEM_TYPE, TASK

MANIFEST = "lora_bert.json"
SCHEMA = 1


@dataclass(frozen=True)
class Manifest:
    """Everything beside the weights that predicting the same tomorrow needs.

    Attributes:
        labels: In the order of the head's outputs.
        max_length: Tokens kept of a text.
        backbone: ``name`` (portable), ``revision``, ``model_type`` and ``fingerprint``.
        label_names: Raw label -> label, as ``--label-names`` renamed them.
        clean: Whether the saved tokenizer cleans texts.
        data: Name, hash, row counts and columns of what it was trained on.
        metrics: On the validation rows, with the interval.
        versions: Of the libraries that made it.
        inputs: Texts per row.
        exported: Of an exported model: ``format``, ``precision``, and how it compared with torch.
    """

    labels: tuple[str, ...]
    max_length: int
    backbone: Mapping[str, str | None]
    label_names: Mapping[str, str] = field(default_factory=dict)
    clean: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    task: str = TASK
    problem_type: str = PROBLEM_TYPE
    inputs: int = 1
    schema_version: int = SCHEMA
    exported: Mapping[str, Any] = field(default_factory=dict)

    def column(self, kind: str) -> str | None:
        """What the training rows called their column of ``text`` or ``label``, if that is known."""
        columns = self.data.get("columns")
        return columns.get(kind) if isinstance(columns, dict) else None

    @property
    def backbone_name(self) -> str:
        """The portable name of the backbone."""
        return self.backbone.get("name") or ""

    def to_json(self) -> str:
        """The text of ``lora_bert.json``."""
        written = asdict(self)
        if not self.exported:
            del written["exported"]
        return json.dumps(written, ensure_ascii=False, indent=2) + "\n"


def read_manifest(path: Path) -> Manifest:
    """Read and check ``lora_bert.json``.

    Raises:
        AdapterError: Not JSON, a key missing or of the wrong kind, or of a newer schema.
    """
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AdapterError(f"'{path}' is not valid JSON: {error}.") from error
    except OSError as error:
        raise AdapterError(f"'{path}' cannot be read: {error.strerror}.") from error
    if not isinstance(written, dict):
        raise AdapterError(f"'{path}' does not hold a JSON object.")
    schema = written.get("schema_version")
    if schema != SCHEMA:
        raise AdapterError(
            f"'{path}' has schema version {schema!r}; lora-bert {__version__} reads {SCHEMA}.",
            hint="Update lora-bert." if isinstance(schema, int) and schema > SCHEMA else "",
        )
    return _checked(written, path)


def _checked(written: dict[str, Any], path: Path) -> Manifest:
    known = {entry.name for entry in fields(Manifest)}
    kinds: dict[str, type] = {"labels": list, "max_length": int, "backbone": dict}
    kinds |= dict.fromkeys(("label_names", "data", "metrics", "versions", "exported"), dict)
    for key, kind in kinds.items():
        required = key in ("labels", "max_length", "backbone")
        if key not in written and not required:
            continue
        if not isinstance(written.get(key), kind):
            raise AdapterError(f"'{path}': '{key}' is missing or not a {kind.__name__}.")
    labels = written["labels"]
    if len(labels) < 2 or not all(isinstance(label, str) for label in labels):
        raise AdapterError(f"'{path}': 'labels' must be at least two strings.")
    if len(set(labels)) != len(labels):
        raise AdapterError(f"'{path}': 'labels' holds the same label twice.")
    for key, ours in (("task", TASK), ("problem_type", PROBLEM_TYPE), ("inputs", 1)):
        if written.get(key, ours) != ours:
            raise AdapterError(f"'{path}': {key} '{written[key]}' is not supported.")
    values = {key: value for key, value in written.items() if key in known}
    return Manifest(**{**values, "labels": tuple(labels)})
