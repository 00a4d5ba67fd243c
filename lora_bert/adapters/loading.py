"""A directory -> everything that predicting needs, whether it is an adapter or a merged model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lora_bert.adapters import directory
from lora_bert.adapters.manifest import Manifest
from lora_bert.adapters.open_backbone import BackboneSource, OpenBackbone
from lora_bert.adapters.peft_config import is_not_for_peft
from lora_bert.adapters.peft_format import PeftAdapter, assemble, read_peft, with_own_embeddings
from lora_bert.adapters.trained_on import with_kept_options
from lora_bert.backbones.config import read_config
from lora_bert.backbones.embedded import EMBEDDED
from lora_bert.backbones.fingerprint import noted_fingerprint
from lora_bert.backbones.inside import check_inside
from lora_bert.backbones.layout import OF_TOKENS
from lora_bert.backbones.pooling import pooling_before
from lora_bert.backbones.resolve import BackboneFiles, find_backbone, find_local, remember
from lora_bert.backbones.weights import weight_files
from lora_bert.errors import (
    AdapterError,
    BackboneError,
    ConfigError,
    NotFoundError,
    UnavailableError,
)
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.tasks.problem_types import USUAL, by_peft_task, problem_types, task_of
from lora_bert.tokens.tokenizer import DEFAULT_MAX_LENGTH, TextTokenizer, load_tokenizer
from lora_bert.wording import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A classifier in memory.

    Attributes:
        files: Where the backbone is; for a merged model, the model itself.
        own_embeddings: Whether the word embeddings, or their projection, are the adapter's, and not
            those of ``files``.
    """

    backbone: Backbone
    adapter: Adapter
    tokenizer: TextTokenizer
    manifest: Manifest
    files: BackboneFiles
    own_embeddings: bool = False


def load_any(
    path: Path, *, backbone: str | None = None, labels: Sequence[str] = (),
    allow_backbone_mismatch: bool = False, offline: bool = False,
    dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu",
    as_written: bool = False,
) -> Loaded:  # fmt: skip
    """Load the adapter or merged model at ``path``, its frozen weights in that precision and place.

    ``backbone`` is where an adapter's is, if it is not found by its name; ``labels`` are those of
    an adapter that plain PEFT wrote, which does not keep them. A backbone with another fingerprint
    can be allowed, with a warning; ``offline`` asks no hub, and notes nothing for later;
    ``as_written`` is of :class:`.BackboneSource`, for a merged model.

    Raises:
        NotFoundError, UnavailableError: It, or its backbone, is not to be found.
        AdapterError, BackboneError: Incomplete, damaged, or made for another backbone.
    """
    kind = directory.kind_of(path)
    if kind in directory.EXPORTED:
        raise ConfigError(
            f"'{path}' is exported for {kind}: this needs the adapter or merged model that it was "
            "made from."
        )
    check_inside(path, AdapterError)
    if kind == "merged":
        directory.check_stands_alone(path, backbone, labels)
        return _load_merged(path, dtype, device, as_written=as_written)
    stored, manifest = read_peft(path), directory.manifest_of(path)
    source = _source_of(
        stored, manifest, backbone=backbone, mismatch=allow_backbone_mismatch, offline=offline
    )
    opened = source.open(dtype, device)
    loaded = _on_backbone(stored, manifest, opened, labels)
    # Only what the user has named: an adapter must not decide what a name means from now on.
    name = loaded.manifest.backbone_name
    named = backbone and not offline and not _mismatch(path, manifest, opened.source)
    if named and name not in EMBEDDED and find_local(name) is None:
        remember(replace(loaded.files, name=name))
    return loaded


def backbone_files(path: Path) -> BackboneFiles:
    """Where the backbone is that the adapter at ``path`` was trained on.

    Raises:
        NotFoundError, UnavailableError: It is not to be found.
        AdapterError: The adapter is incomplete or damaged, or only another backbone is here.
    """
    stored, manifest = read_peft(path), directory.manifest_of(path)
    return _source_of(stored, manifest).files


def load_adapter(path: Path, backbone: OpenBackbone, *, labels: Sequence[str] = ()) -> Loaded:
    """Load the adapter at ``path`` onto the backbone that it was trained on, which is open.

    ``labels`` are those of an adapter that plain PEFT wrote, which does not keep them.

    Raises:
        NotFoundError: No such directory.
        ConfigError: It is a merged or an exported model or a backbone, or ``labels`` are given to
            an adapter that has its own.
        AdapterError: Incomplete, damaged, or made for another backbone.
    """
    if (what := directory.described(path)) == "a backbone":
        raise ConfigError(
            f"'{path}' is a backbone, not an adapter.",
            hint="Train an adapter on it: lora-bert train --backbone …",
        )
    if what != "an adapter":
        raise ConfigError(f"'{path}' is {what}, and has its backbone inside.")
    stored, manifest = read_peft(path), directory.manifest_of(path)
    if wrong := _mismatch(path, manifest, backbone.source):
        raise AdapterError(wrong)
    return _on_backbone(stored, manifest, backbone, labels)


def _on_backbone(
    stored: PeftAdapter, described: Manifest | None, opened: OpenBackbone, labels: Sequence[str]
) -> Loaded:
    """The adapter on a backbone that is the one it needs, or that the user insists on."""
    path, files = stored.path, opened.source.files
    base = with_own_embeddings(stored, opened.backbone)
    own_embeddings = base is not opened.backbone
    problem = described.problem_type if described else by_peft_task(stored.config)
    if (kind := task_of(problem).auto_class) in OF_TOKENS:
        base = base.reading_tokens(kind)
    if base.word_embeddings is not opened.backbone.word_embeddings:
        log.warning(
            "'%s' holds word embeddings of its own, %s: they stand in for those of '%s'.",
            path, counted(len(base.word_embeddings), "row"), files.name,
        )  # fmt: skip
    pooling = described.pooling if described else None
    if described and pooling is None and not is_not_for_peft(stored.config):
        pooling = pooling_before(base.config)
    adapter = assemble(stored, base, pooling)
    outputs = len(adapter.head[f"{base.config.layout.head.output}.weight"])
    manifest = described or _guessed(stored, outputs, base, files, labels, problem)
    manifest = replace(manifest, data=with_kept_options(manifest, path))
    if labels and described:
        raise directory.labels_of_its_own(path)
    _check_labels(path, manifest, outputs)
    home = path if (path / "tokenizer.json").is_file() else files.path
    if described and home != path:
        raise AdapterError(f"'{path}' is not a whole adapter: it has no tokenizer.json.")
    fits = described is not None and not _mismatch(path, described, opened.source)
    belongs = fits or home == files.path
    hint = "It was trained on another backbone: name that with --backbone."
    tokenizer = _tokenizer(path, home, manifest, base, hint, belongs=belongs)
    return Loaded(base, adapter.to(base.device), tokenizer, manifest, files, own_embeddings)


def _tokenizer(
    path: Path, home: Path, manifest: Manifest, base: Backbone, hint: str, *, belongs: bool
) -> TextTokenizer:
    """The tokenizer in ``home`` of the classifier at ``path``.

    The backbone must have a position for every length, and not be made for other tokens. Tokens
    that were added to a vocabulary may lack a row: texts that hold one are refused. A whole
    vocabulary that is larger is another one, unless it is known to belong there (``belongs``).
    """
    rows, positions = len(base.word_embeddings), base.config.max_length
    tokenizer = load_tokenizer(
        home, base.config, max_length=manifest.max_length, rows=rows, error=AdapterError
    )
    tokenizer = manifest.reading(tokenizer)
    directory.check_tokenizer(path, manifest)
    pieces = tokenizer.core.get_vocab_size(with_added_tokens=False)
    if (pieces > rows and not belongs) or tokenizer.max_length > positions:
        raise AdapterError(
            f"'{path}' makes {pieces:,} kinds of tokens, up to {tokenizer.max_length:,} of a text; "
            f"the backbone knows {rows:,} and has {positions:,} positions.",
            hint=hint,
        )
    return tokenizer


def _mismatch(path: Path, manifest: Manifest | None, source: BackboneSource) -> str:
    """What is wrong with a backbone for the adapter at ``path``; "" where that is not known."""
    needed = manifest.backbone.get("fingerprint") if manifest else None
    if manifest is None or needed is None or needed == source.fingerprint:
        return ""
    return (
        f"'{path}' was trained on another backbone than '{source.files.path}': it needs "
        f"'{manifest.backbone_name}' with fingerprint {needed[:12]}…, this one has "
        f"{source.fingerprint[:12]}…."
    )


def _source_of(
    stored: PeftAdapter, manifest: Manifest | None, *, backbone: str | None = None,
    mismatch: bool = False, offline: bool = False,
) -> BackboneSource:  # fmt: skip
    """The files of an adapter's backbone.

    Equal shapes are not enough: on other weights an adapter's answers mean nothing.
    """
    name = backbone or directory.backbone_name(stored.path, stored.config, manifest)
    needed = manifest.backbone.get("fingerprint") if manifest else None
    others: list[tuple[BackboneSource, str]] = []
    for files in _places(name, stored, needed, named=backbone is not None, offline=offline):
        source = BackboneSource(files)
        if not (wrong := _mismatch(stored.path, manifest, source)):
            return source
        others.append((source, wrong))
    source, wrong = others[0]
    if not mismatch:
        hint = "Name the right one with --backbone; --allow-backbone-mismatch takes this one."
        raise AdapterError(wrong, hint=hint)
    log.warning("%s Its answers may mean nothing.", wrong)
    return source


def _places(
    name: str, stored: PeftAdapter, needed: str | None, *, named: bool, offline: bool
) -> Iterator[BackboneFiles]:
    """Where the backbone may be: under its name, then where its fingerprint was seen."""
    revision = None if named else stored.config.get("revision")
    local = find_local(name)
    if local is not None or named:
        yield local or find_backbone(name, revision, offline=offline)
    for place in noted_fingerprint(needed) if needed and not named else ():
        if (place / "config.json").is_file() and _has_weights(place):
            log.info("'%s' is looked for in '%s', where it was seen.", name, place)
            yield BackboneFiles(name, place)
    if local is not None or named:
        return
    try:
        yield find_backbone(name, revision, offline=offline)
    except (NotFoundError, UnavailableError) as error:
        raise type(error)(
            f"'{stored.path}' needs the backbone '{name}', which is not here.",
            hint="Give its directory with --backbone, or list the directory that holds it in "
            "$LORA_BERT_BACKBONES.",
        ) from error


def _has_weights(place: Path) -> bool:
    try:
        return bool(weight_files(place))
    except BackboneError:
        return False


def _guessed(
    stored: PeftAdapter, outputs: int, base: Backbone, files: BackboneFiles, labels: Sequence[str],
    problem: str,
) -> Manifest:  # fmt: skip
    """What can be known of an adapter that plain PEFT wrote: its labels are only counted."""
    if problem == USUAL:
        said = base.config.raw.get("problem_type")
        problem = directory.problem_type_of({"problem_type": said, "num_labels": outputs})
    if problem not in problem_types():
        raise AdapterError(
            f"'{stored.path}' has {counted(outputs, 'output')} of the problem_type '{problem}'; "
            f"there are {', '.join(problem_types())}.",
            hint="PEFT and transformers answer with it as it is meant.",
        )
    length = min(DEFAULT_MAX_LENGTH, base.config.max_length)
    log.warning(
        "'%s' was not written by lora-bert: texts are cut at %d tokens.", stored.path, length
    )
    if not labels:
        last = outputs - 1
        log.warning("Its labels are called LABEL_0 … LABEL_%d; name them with --labels.", last)
    named = tuple(labels) or tuple(f"LABEL_{index}" for index in range(outputs))
    backbone = {"name": files.name, "revision": files.revision}
    pooling = base.config.head.pooling
    inputs = directory.inputs_of(problem)
    return Manifest(named, length, backbone, problem_type=problem, inputs=inputs, pooling=pooling)


def _check_labels(path: Path, manifest: Manifest, outputs: int) -> None:
    if outputs != manifest.restored_task(path).head().outputs:
        raise AdapterError(
            f"'{path}': the head has {outputs} outputs, but {len(manifest.labels)} labels are "
            "named."
        )


def _load_merged(
    path: Path, dtype: torch.dtype, device: torch.device | str, *, as_written: bool
) -> Loaded:
    settings = read_config(path)
    directory.check_answerable(settings, path)
    files = BackboneFiles(path.name, path)
    base = BackboneSource(files, as_written).open(dtype, device).backbone
    if (kind := task_of(directory.problem_type_of(settings)).auto_class) in OF_TOKENS:
        base = base.reading_tokens(kind)
    config, head = base.config, base.config.layout.head
    output = head.output
    if f"{output}.weight" not in base.pretrained_head:
        raise AdapterError(
            f"'{path}' is a backbone, not a classifier: it has no '{output}'.",
            hint="Train an adapter on it: lora-bert train --backbone …",
        )
    if lacking := [part for part in head.parts if f"{part}.weight" not in base.pretrained_head]:
        raise AdapterError(
            f"'{path}' has no '{lacking[0]}', which a {config.model_type} classifier of whole "
            "texts needs beside its output layer: it is another kind of model, or not whole.",
            hint="To train a text classifier on its encoder: lora-bert train --backbone …",
        )
    adapter = Adapter({}, base.pretrained_head, len(base.layers), pooling=config.head.pooling)
    outputs = len(base.pretrained_head[f"{output}.weight"])
    # Where nothing is said of the outputs, they are what the weights have.
    manifest = directory.standalone_manifest(
        path, {"num_labels": outputs, **settings}, config.max_length
    )
    _check_labels(path, manifest, outputs)
    known = "fingerprint" in manifest.tokenizer
    tokenizer = _tokenizer(
        path, path, manifest, base, "Tokenizer and weights are not of one model.", belongs=known
    )
    return Loaded(base, adapter, tokenizer, manifest, files)
