"""``lora_bert.json``: what an adapter says of itself, so that nothing is guessed on loading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, get_args

from lora_bert._version import __version__
from lora_bert.adapters.peft_config import CONFIG, scaling_of
from lora_bert.backbones.config import Pooling
from lora_bert.data.tag_schemes import Tagging
from lora_bert.errors import AdapterError
from lora_bert.files import digests
from lora_bert.json_files import json_text, read_object
from lora_bert.tasks.base import Task
from lora_bert.tasks.problem_types import USUAL, problem_types, task_of

if TYPE_CHECKING:
    from lora_bert.tokens.tokenizer import TextTokenizer

MANIFEST = "lora_bert.json"
SCHEMA = 1

_OBJECTS = (
    "backbone", "label_names", "data", "metrics", "versions", "tokenizer", "exported", "settings",
    "files", "scaling",
)  # fmt: skip
_MAY_LACK = (
    "exported", "tokenizer", "settings", "pooling", "stride", "combined", "files", "scaling"
)  # fmt: skip
_KINDS: Mapping[str, type] = {
    "labels": list, "max_length": int, "stride": int, "clean": bool, "combined": list,
    **dict.fromkeys(_OBJECTS, dict),
}  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """Everything beside the weights that predicting the same tomorrow needs.

    Attributes:
        labels: In the order of the head's outputs.
        max_length: Tokens kept of a text, or of each of its windows.
        backbone: ``name`` (portable), ``revision``, ``model_type`` and ``fingerprint``.
        label_names: Raw label -> label, as ``--label-names`` renamed them.
        clean: Whether the saved tokenizer cleans texts.
        data: Name, hash, row counts and columns of what it was trained on; ``told``: how that was
            named, read and divided; ``from_python`` where no file holds it; ``fitted_to_all`` where
            it has learned from the validation rows too, after they had been answered.
        metrics: On the validation rows, with the interval.
        versions: Of the libraries that made it.
        problem_type: Its task, see :func:`lora_bert.tasks.problem_types.problem_types`.
        settings: What the task needs beside the labels.
        inputs: Texts a row: 1, or 2 where pairs are asked; 0: not known, either may be.
        exported: Of an exported model: ``format``, ``precision``, and how it compared with torch.
        tokenizer: ``fingerprint`` of the tokenizer that is saved with it.
        pooling: What the head reads, see :class:`~lora_bert.model.adapter.Adapter`; None: what
            :func:`~lora_bert.backbones.pooling.pooling_before` says.
        stride: Tokens that the windows of a text that is too long share; 0: it is cut, or the task
            has a stride of its own, see :attr:`windows_share`.
        combined: The adapters that it was combined of: ``adapter``, what each was called; its
            ``share``, where weights were averaged; ``name`` and ``sha256`` of its ``data``;
            ``combined``, where it was combined itself.
        files: SHA-256 of each of the files that hold its weights, as it was written, by name.
        scaling: Of an adapter, what decides in ``adapter_config.json`` how much its matrices count
            for, as it was written.
    """

    labels: tuple[str, ...]
    max_length: int
    backbone: Mapping[str, str | None]
    label_names: Mapping[str, str] = field(default_factory=dict)
    clean: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    task: str = "text-classification"
    problem_type: str = USUAL
    inputs: int = 1
    schema_version: int = SCHEMA
    exported: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    pooling: Pooling | None = None
    stride: int = 0
    combined: Sequence[Mapping[str, Any]] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    scaling: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_json(cls, written: Mapping[str, Any]) -> Manifest:
        """The manifest of values that :meth:`to_json` wrote; others are passed over."""
        known = {entry.name for entry in fields(cls)}
        values = {key: value for key, value in written.items() if key in known}
        return cls(**{**values, "labels": tuple(written["labels"])})

    def __repr__(self) -> str:
        name = self.data.get("name")
        rows = f", trained on {name!r}" if name else ""
        return f"Manifest({len(self.labels):,} labels on {self.backbone_name!r}{rows})"

    def column(self, kind: str) -> str | None:
        """What the training rows called their column of ``text``, ``text_pair`` or ``label``.

        None where that is not known.
        """
        columns = self.data.get("columns")
        return columns.get(kind) if isinstance(columns, dict) else None

    @property
    def learned_from(self) -> frozenset[str]:
        """Fingerprints of the data of its training, or of those of all it was combined of."""
        own = self.data.get("sha256")
        return frozenset([*_digests(self.combined), *([str(own)] if own else [])])

    def restored_task(self, place: object) -> Task:
        """The task that it was trained for; AdapterError, naming ``place``, if that cannot be."""
        try:
            return task_of(self.problem_type).restored(self.labels, self.settings)
        except AdapterError as error:
            raise AdapterError(f"'{place}': {error}", hint=error.hint) from error

    @property
    def tagging(self) -> Tagging | None:
        """How words are tagged and cut, where that is the task."""
        scheme, words = (self.settings.get(name) for name in Tagging._fields)
        if not isinstance(scheme, str) or not isinstance(words, str):
            return None
        return Tagging(scheme, words)

    def reading(self, tokenizer: TextTokenizer) -> TextTokenizer:
        """The tokenizer, which looks for words and makes windows as its task needs them."""
        words = self.restored_task("it").words
        stride, answers = self.windows_share, self.finds_answers
        return replace(tokenizer, words=words, stride=stride, answers=answers)

    @property
    def windows_share(self) -> int:
        """How many tokens the windows of a text that is too long share; 0: it is cut."""
        return self.stride or self.restored_task("it").stride

    @property
    def overflow(self) -> str:
        """What is done with a text that is too long, as ``--overflow`` says it."""
        return "windows" if self.windows_share else "cut"

    @property
    def finds_answers(self) -> bool:
        """Whether it is asked questions about contexts."""
        return task_of(self.problem_type).label_form == "answers"

    @property
    def backbone_name(self) -> str:
        """The portable name of the backbone."""
        return self.backbone.get("name") or ""

    def to_json(self) -> str:
        """The text of ``lora_bert.json``."""
        written = asdict(self)
        for key in _MAY_LACK:
            if not written[key]:
                del written[key]
        return json_text(written) + "\n"


def write_manifest(directory: Path, manifest: Manifest, weights: Iterable[str]) -> None:
    """Write ``lora_bert.json`` beside the files of ``weights``, whose SHA-256 it keeps.

    Beside PEFT's configuration it keeps the scaling, too.
    """
    config = read_object(directory / CONFIG, AdapterError) if (directory / CONFIG).is_file() else {}
    scaling = scaling_of(config) if config else {}
    manifest = replace(manifest, files=digests(directory, weights), scaling=scaling)
    (directory / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


def versions() -> dict[str, str]:
    """lora-bert and the libraries whose version can change what comes out."""
    from importlib import metadata

    names = ("torch", "tokenizers", "safetensors")
    return {"lora-bert": __version__} | {name: metadata.version(name) for name in names}


def read_manifest(path: Path) -> Manifest:
    """Read and check ``lora_bert.json``.

    Raises:
        AdapterError: Not JSON, a key missing or of the wrong kind, or of a newer schema.
    """
    written = read_object(path, AdapterError)
    schema = written.get("schema_version")
    if schema != SCHEMA:
        raise AdapterError(
            f"'{path}' has schema version {schema!r}; lora-bert {__version__} reads {SCHEMA}.",
            hint="Update lora-bert." if isinstance(schema, int) and schema > SCHEMA else "",
        )
    for key, kind in _KINDS.items():
        value = written.get(key, None if key in ("labels", "max_length", "backbone") else kind())
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise AdapterError(f"'{path}': '{key}' is missing or not a {kind.__name__}.")
    labels = written["labels"]
    if not all(isinstance(label, str) for label in labels):
        raise AdapterError(f"'{path}': 'labels' must be strings.")
    if written["max_length"] < 1:
        raise AdapterError(f"'{path}': 'max_length' is {written['max_length']}; 1 is the least.")
    if not 0 <= written.get("stride", 0) < written["max_length"]:
        raise AdapterError(
            f"'{path}': 'stride' is {written['stride']}; windows of {written['max_length']} tokens "
            "share fewer."
        )
    _check_known(path, written, "problem_type", problem_types())
    # Only the task that is meant is imported.
    _check_known(path, written, "task", [task_of(written.get("problem_type", USUAL)).pipeline])
    _check_known(path, written, "inputs", [0, 1, 2])
    _check_known(path, written, "pooling", get_args(Pooling))
    for key in ("backbone", "label_names", "versions", "tokenizer", "files"):
        if not all(isinstance(value, str | None) for value in written.get(key, {}).values()):
            raise AdapterError(f"'{path}': '{key}' holds something else than texts.")
    if not all(map(_is_part, written.get("combined", []))):
        raise AdapterError(f"'{path}': 'combined' holds something else than adapters.")
    name = written["backbone"].get("name") or ""
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts or name.startswith("~"):
        raise AdapterError(f"'{path}' names its backbone by a path, '{name}'.")
    manifest = Manifest.of_json(written)
    manifest.restored_task(path)
    return manifest


def _check_known(path: Path, written: Mapping[str, Any], key: str, known: Sequence[Any]) -> None:
    """Raise AdapterError where ``written`` has something under ``key`` that is not ``known``."""
    if key in written and written[key] not in known:
        raise AdapterError(
            f"'{path}': {key} '{written[key]!s:.60}' is not supported by lora-bert {__version__}.",
            hint="If a later version wrote it, update lora-bert; "
            "if it is a task of your own, import its module first.",
        )


def _is_part(part: Any) -> bool:
    """Whether an entry of ``combined`` is what this version writes."""
    if not isinstance(part, dict) or not isinstance(part.get("adapter"), str):
        return False
    share = part.get("share", 0.0)
    texts = (part.get(key, "") for key in ("name", "sha256"))
    if type(share) not in (int, float) or not all(isinstance(text, str | None) for text in texts):
        return False
    parts = part.get("combined", [])
    return isinstance(parts, list) and all(map(_is_part, parts))


def _digests(parts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The fingerprints of the data of all these adapters, and of those they were combined of."""
    for part in parts:
        if part.get("sha256"):
            yield str(part["sha256"])
        yield from _digests(part.get("combined", ()))
