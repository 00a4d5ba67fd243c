"""``verify``: whether an adapter, model or backbone is whole, safe to open and fits together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Unpack

from lora_bert.adapters import directory
from lora_bert.adapters.loading import Loaded, load_any
from lora_bert.adapters.manifest import MANIFEST
from lora_bert.adapters.peft_config import CONFIG, WEIGHTS, read_peft_config
from lora_bert.adapters.peft_format import read_peft
from lora_bert.adapters.trained_on import RUN
from lora_bert.adapters.trunk import GRAPHS, TRUNK, is_branch, trunk_below
from lora_bert.backbones.config import read_config
from lora_bert.backbones.families.registry import encoder_config, read_encoder_config
from lora_bert.backbones.fingerprint import read_identified
from lora_bert.backbones.inside import check_inside
from lora_bert.backbones.weights import embedded_tokens, weight_files
from lora_bert.config import TrainConfig, VerifyConfig
from lora_bert.config.keywords import VerifyOptions
from lora_bert.config.kinds import StrPath
from lora_bert.errors import AdapterError, BackboneError, LoraBertError
from lora_bert.inference.predictor import Predictor, open_predictor
from lora_bert.inference.samples import check_answers
from lora_bert.names import parse_names
from lora_bert.options import build, read_yaml
from lora_bert.python_face import called_from_python
from lora_bert.tokens.tokenizer import DEFAULT_MAX_LENGTH, TextTokenizer, load_tokenizer
from lora_bert.wording import counted, listed

if TYPE_CHECKING:
    from torch import Tensor

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
"""Endings of files that may run code when they are opened."""


@dataclass(frozen=True)
class Check:
    """One of the things to look at: what was found, or what is wrong and how to mend it.

    ``passed`` is None where it was not looked at, because one before it failed.
    """

    name: str
    passed: bool | None
    said: str


@dataclass(frozen=True)
class Verification:
    """What ``verify`` found.

    Attributes:
        path: What was looked at.
        kind: ``adapter``, ``merged``, ``openvino``, ``onnx`` or ``backbone``.
        checks: In order; each presupposes those before it.
        exit_code: 0, or that of the error that the failed check met with.
    """

    path: str
    kind: str
    checks: tuple[Check, ...]
    exit_code: int

    def __repr__(self) -> str:
        failed = next((check for check in self.checks if check.passed is False), None)
        said = f"{failed.name}: {failed.said}" if failed else "nothing is wrong"
        return f"Verification({str(self.path)!r}: {self.kind}, {said})"

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return self.exit_code == 0

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {"passed": self.passed, **asdict(self), "checks": [asdict(c) for c in self.checks]}


@called_from_python(VerifyConfig, VerifyOptions)
def verify(path: StrPath, **options: Unpack[VerifyOptions]) -> Verification:
    """Check an adapter, a merged or exported model, or a backbone, without network.

    Args:
        path: Its directory, or the name of a backbone that is here.
        **options: See :class:`lora_bert.config.VerifyConfig`.

    Raises:
        NotFoundError: There is nothing of that name.
        AdapterError: It is none of these.
    """
    return run(build(VerifyConfig, {"path": path, **options}))


def run(config: VerifyConfig) -> Verification:
    """As :func:`verify`, of a checked configuration."""
    place = directory.located(config.path, "adapter, model or backbone")
    kind: str = directory.kind_of(place)
    if kind == "merged" and not _classifies(place):
        kind = "backbone"
    names, look = _CHECKS[kind]
    checks: list[Check] = []
    code, findings = 0, look(place, config)
    for name in names:
        if code:
            checks.append(Check(name, None, "not looked at"))
            continue
        try:
            checks.append(Check(name, True, next(findings)))
        except LoraBertError as error:
            code = error.exit_code
            checks.append(Check(name, False, f"{error} {error.hint}".strip()))
    return Verification(config.path, kind, tuple(checks), code)


def _classifies(path: Path) -> bool:
    """Whether a directory means to be a classifier; a damaged one is looked at as a backbone."""
    if (path / MANIFEST).exists():
        return True
    with suppress(LoraBertError):
        return directory.is_classifier(read_config(path))
    return False


def _adapter(path: Path, config: VerifyConfig) -> Iterator[str]:
    yield check_files(path, (CONFIG, WEIGHTS))
    rank = read_peft_config(path).get("r")
    if (path / RUN).is_file():
        read_yaml(path / RUN, TrainConfig)
    manifest = directory.manifest_of(path)
    if manifest is None:
        yield f"plain PEFT's, rank {rank}: labels and fingerprints are not kept"
    else:
        directory.check_scaling(path, manifest.scaling)
        unkept = "" if manifest.scaling else "; no scaling is kept"
        yield f"{counted(len(manifest.labels), 'label')}, rank {rank}{unkept}"
    tensors = read_peft(path).tensors
    as_written = _as_written(path, manifest.files if manifest else {}, (WEIGHTS,))
    yield f"{counted(len(tensors), 'tensor')}, {_numbers(tensors)}{as_written}"
    loaded = _load(path, config)
    kept, place = loaded.manifest.backbone.get("fingerprint"), f"'{loaded.files.path}'"
    yield f"{place}, fingerprint {kept[:12]}…" if kept else f"{place}; no fingerprint is kept"
    yield _tokenizer(loaded)
    yield check_answers(Predictor.of(loaded, path))


def _merged(path: Path, config: VerifyConfig) -> Iterator[str]:
    yield check_files(path, ("config.json",))
    settings = read_config(path)
    directory.check_answerable(settings, path)
    positions = encoder_config(settings).max_length
    labels = directory.standalone_manifest(path, settings, positions).labels
    yield counted(len(labels), "label")
    loaded = _load(path, config)
    names = [file.name for file in weight_files(path)]
    as_written = _as_written(path, loaded.manifest.files, names)
    yield f"{loaded.backbone.parameter_count:,} finite numbers{as_written}"
    yield _tokenizer(loaded)
    yield check_answers(Predictor.of(loaded, path))


def _exported(path: Path, _config: VerifyConfig) -> Iterator[str]:
    yield check_files(path, directory.graph_files(path, directory.kind_of(path)))
    predictor = open_predictor(path)
    names = directory.graph_files(path, directory.kind_of(path))
    as_written = _as_written(path, predictor.manifest.files, names)
    if is_branch(path):
        place, known = trunk_below(path, predictor.manifest.exported.get("trunk"))
        directory.check_written(place, known.files, GRAPHS[known.format], TRUNK)
    opened = f"opened by {predictor.engine.name}{as_written}"
    yield f"{counted(len(predictor.labels), 'label')}, {opened}"
    yield _tokenizer(predictor)
    yield check_answers(predictor)


def _backbone(path: Path, _config: VerifyConfig) -> Iterator[str]:
    yield check_files(path, ("config.json",), pickles_too=True)
    encoder = read_encoder_config(path)
    yield f"{encoder.model_type}, {encoder.hidden_size} wide"
    tensors, fingerprint = read_identified(path, encoder)
    yield f"{_numbers(tensors)}, fingerprint {fingerprint}"
    rows = embedded_tokens(path, encoder)
    tokenizer = load_tokenizer(path, encoder, max_length=DEFAULT_MAX_LENGTH, rows=rows)
    pieces = f"{tokenizer.core.get_vocab_size():,} pieces"
    yield f"{pieces}, fingerprint {tokenizer.fingerprint}{_beyond(tokenizer)}"


_CHECKS: Mapping[str, tuple[tuple[str, ...], Callable[[Path, VerifyConfig], Iterator[str]]]] = {
    "adapter": (
        ("files", "description", "weights", "backbone", "tokenizer", "answers"), _adapter
    ),
    "merged": (("files", "description", "weights", "tokenizer", "answers"), _merged),
    "openvino": (("files", "graph", "tokenizer", "answers"), _exported),
    "onnx": (("files", "graph", "tokenizer", "answers"), _exported),
    "backbone": (("files", "description", "weights", "tokenizer"), _backbone),
}  # fmt: skip
"""By kind: what is checked, and what says of each in turn what was found, or raises its error."""


def _as_written(path: Path, kept: Mapping[str, str], names: Sequence[str]) -> str:
    """What is to be said of files of weights that are those that were written, or may not be."""
    directory.check_written(path, kept, names)
    return f", SHA-256 {kept[names[0]][:12]}…" if names[0] in kept else "; no SHA-256 is kept"


def _numbers(tensors: Mapping[str, Tensor]) -> str:
    return f"{sum(tensor.numel() for tensor in tensors.values()):,} finite numbers"


def _load(path: Path, config: VerifyConfig) -> Loaded:
    return load_any(
        path, backbone=config.backbone, labels=parse_names(config.labels),
        allow_backbone_mismatch=config.allow_backbone_mismatch, offline=True,
    )  # fmt: skip


def check_files(path: Path, needed: tuple[str, ...], *, pickles_too: bool = False) -> str:
    """Check that everything is there, nothing leads elsewhere, nothing could run; what there is.

    Raises:
        AdapterError: It is not so; BackboneError with ``pickles_too``, which is for backbones.
    """
    error = BackboneError if pickles_too else AdapterError
    check_inside(path, error)
    absent = [name for name in needed if not (path / name).is_file()]
    if absent:
        raise error(f"'{path}' lacks {listed(absent)}.", hint="Copy it again, with all its files.")
    names = [entry.name for entry in path.rglob("*") if entry.is_file()]
    ours = {PurePath(name).name for name in needed}
    pickles = [name for name in names if name.lower().endswith(PICKLES) and name not in ours]
    if pickles and not pickles_too:
        raise error(
            f"'{path}' holds {listed(pickles)}: a pickle could run code when it is opened.",
            hint="lora-bert never opens it; remove it.",
        )
    if pickles_too:
        weight_files(path)
    beside = f"; {listed(pickles)} beside them is never opened" if pickles else ""
    return f"{counted(len(names), 'file')}, none leads elsewhere{beside}"


def _tokenizer(loaded: Loaded | Predictor) -> str:
    kept = loaded.manifest.tokenizer.get("fingerprint")
    pieces = f"{loaded.tokenizer.core.get_vocab_size():,} pieces"
    said = f"{pieces}, fingerprint {kept[:12]}…" if kept else f"{pieces}; no fingerprint is kept"
    return said + _beyond(loaded.tokenizer)


def _beyond(tokenizer: TextTokenizer) -> str:
    """What is to be said of tokens that the embeddings have no row for: it works without them."""
    beyond = tokenizer.beyond
    if not beyond:
        return ""
    return (
        f"; the embeddings have {tokenizer.rows:,} rows and none for {listed(beyond, 3)}: texts "
        "that hold such a token are refused"
    )
