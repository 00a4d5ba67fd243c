"""A directory -> everything that predicting needs, whether it is an adapter or a merged model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from lora_bert.adapters.directory import (
    EXPORTED,
    backbone_name,
    check_answerable,
    check_stands_alone,
    check_tokenizer,
    kind_of,
    labels_of_its_own,
    manifest_of,
    problem_type_of,
    standalone_manifest,
)
from lora_bert.adapters.manifest import Manifest
from lora_bert.adapters.peft_format import PeftAdapter, assemble, read_peft, with_own_words
from lora_bert.adapters.trained_on import with_kept_options
from lora_bert.backbones.families import family_of, read_config
from lora_bert.backbones.fingerprint import read_identified
from lora_bert.backbones.inside import check_inside
from lora_bert.backbones.noted_backbones import noted_fingerprint
from lora_bert.backbones.resolve import BackboneFiles, find_backbone, find_local, remember
from lora_bert.backbones.weights import read_checkpoint, weight_files
from lora_bert.errors import (
    AdapterError,
    BackboneError,
    ConfigError,
    NotFoundError,
    UnavailableError,
)
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.builder import build_backbone, load_backbone
from lora_bert.tasks.registry import problem_types
from lora_bert.tokens.tokenizer import DEFAULT_MAX_LENGTH, TextTokenizer, load_tokenizer
from lora_bert.wording import counted

log = logging.getLogger(__name__)

_OTHER_BACKBONE = "It was trained on another backbone: name that with --backbone."


@dataclass(frozen=True)
class Loaded:
    """A classifier in memory.

    Attributes:
        files: Where the backbone is; for a merged model, the model itself.
        own_words: Whether the word embeddings are the adapter's, and not those of ``files``.
    """

    backbone: Backbone
    adapter: Adapter
    tokenizer: TextTokenizer
    manifest: Manifest
    files: BackboneFiles
    kind: Literal["adapter", "merged"]
    own_words: bool = False


def load_any(
    path: Path,
    *,
    backbone: str | None = None,
    labels: Sequence[str] = (),
    allow_backbone_mismatch: bool = False,
    offline: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Loaded:
    """Load the adapter or merged model at ``path``.

    Args:
        path: Its directory.
        backbone: Where the adapter's backbone is, if it is not found by its name.
        labels: The labels of an adapter that plain PEFT wrote, which does not keep them.
        allow_backbone_mismatch: Take a backbone with another fingerprint, with a warning.
        offline: Ask no hub, and note nothing for later.
        dtype: Precision of the frozen weights.
        device: Where they go.

    Raises:
        NotFoundError, UnavailableError: It, or its backbone, is not to be found.
        AdapterError, BackboneError: Incomplete, damaged, or made for another backbone.
    """
    kind = kind_of(path)
    if kind in EXPORTED:
        raise ConfigError(
            f"'{path}' is exported for {kind}: this needs the adapter or merged model that it was "
            "made from."
        )
    check_inside(path, AdapterError)
    if kind == "merged":
        check_stands_alone(path, backbone, labels)
        return _load_merged(path, dtype, device)
    stored = read_peft(path)
    described = manifest_of(path)
    files, base, fits = _open_backbone(
        path, stored, described, asked=backbone, dtype=dtype, device=device,
        mismatch=allow_backbone_mismatch, offline=offline,
    )  # fmt: skip
    shared, base = base, base if described else with_own_words(stored, base)
    if base is not shared:
        log.warning(
            "'%s' holds word embeddings of its own, %s: they stand in for those of '%s'.",
            path, counted(len(base.word_embeddings), "row"), files.name,
        )  # fmt: skip
    adapter = assemble(stored, base)
    manifest = described or _guessed(stored, adapter, base, files, labels)
    manifest = replace(manifest, data=with_kept_options(manifest, path))
    if labels and described:
        raise labels_of_its_own(path)
    _check_labels(path, manifest, adapter, base)
    home = path if (path / "tokenizer.json").is_file() else files.path
    if described and home != path:
        raise AdapterError(f"'{path}' is not a whole adapter: it has no tokenizer.json.")
    tokenizer = load_tokenizer(
        home,
        base.config,
        max_length=manifest.max_length,
        rows=len(base.word_embeddings),
        error=AdapterError,
    )
    check_tokenizer(path, manifest)
    own = (described is not None and fits) or home == files.path
    _check_reach(path, tokenizer, base, _OTHER_BACKBONE, belongs=own)
    # Only what the user has named: an adapter must not decide what a name means from now on.
    if backbone and fits and not offline and find_local(manifest.backbone_name) is None:
        remember(replace(files, name=manifest.backbone_name))
    own_words = base is not shared
    return Loaded(base, adapter.to(base.device), tokenizer, manifest, files, "adapter", own_words)


def _open_backbone(
    path: Path,
    stored: PeftAdapter,
    described: Manifest | None,
    *,
    asked: str | None,
    dtype: torch.dtype,
    device: torch.device | str,
    mismatch: bool,
    offline: bool,
) -> tuple[BackboneFiles, Backbone, bool]:
    """The backbone of an adapter, and whether it is the one it was trained on.

    Equal shapes are not enough: on other weights an adapter's answers mean nothing.
    """
    needed = described.backbone.get("fingerprint") if described else None
    name = asked or backbone_name(path, stored.config, described)
    wrong: list[tuple[BackboneFiles, str]] = []
    for files in _places(path, name, stored, needed, asked=asked is not None, offline=offline):
        config = read_config(files.path)
        family = family_of(config)
        weights, found = read_identified(files.path, config, family)
        if described is None or needed in (None, found):
            return files, build_backbone(weights, config, dtype=dtype, device=device), True
        said = (
            f"'{path}' was trained on another backbone than '{files.path}': it needs "
            f"'{described.backbone_name}' with fingerprint {needed[:12]}…, this one has "
            f"{found[:12]}…."
        )
        wrong.append((files, said))
    files, said = wrong[0]
    if not mismatch:
        hint = "Name the right one with --backbone; --allow-backbone-mismatch takes this one."
        raise AdapterError(said, hint=hint)
    log.warning("%s Its answers may mean nothing.", said)
    return files, load_backbone(files.path, dtype=dtype, device=device), False


def _places(
    path: Path, name: str, stored: PeftAdapter, needed: str | None, *, asked: bool, offline: bool
) -> Iterator[BackboneFiles]:
    """Where the backbone may be: under its name, then where its fingerprint was seen."""
    revision = None if asked else stored.config.get("revision")
    local = find_local(name)
    if local is not None or asked:
        yield local or find_backbone(name, revision, offline=offline)
    for place in noted_fingerprint(needed) if needed and not asked else ():
        if (place / "config.json").is_file() and _has_weights(place):
            log.info("'%s' is looked for in '%s', where it was seen.", name, place)
            yield BackboneFiles(name, place)
    if local is not None or asked:
        return
    try:
        yield find_backbone(name, revision, offline=offline)
    except (NotFoundError, UnavailableError) as error:
        raise type(error)(
            f"'{path}' needs the backbone '{name}', which is not here.",
            hint="Give its directory with --backbone, or list the directory that holds it in "
            "$LORA_BERT_BACKBONES.",
        ) from error


def _has_weights(place: Path) -> bool:
    try:
        return bool(weight_files(place))
    except BackboneError:
        return False


def _guessed(
    stored: PeftAdapter,
    adapter: Adapter,
    base: Backbone,
    files: BackboneFiles,
    labels: Sequence[str],
) -> Manifest:
    """What can be known of an adapter that plain PEFT wrote: its labels are only counted."""
    count = adapter.head[f"{base.family.head.output}.weight"].shape[0]
    said = base.config.get("problem_type")
    problem = problem_type_of({"problem_type": said, "num_labels": count})
    if problem not in problem_types():
        raise AdapterError(
            f"'{stored.path}' has {counted(count, 'output')} of the problem_type '{problem}'; "
            "lora-bert answers with one label a text.",
            hint="PEFT and transformers answer with it as it is meant.",
        )
    length = min(DEFAULT_MAX_LENGTH, base.family.max_length(base.config))
    log.warning(
        "'%s' was not written by lora-bert: texts are cut at %d tokens.", stored.path, length
    )
    if not labels:
        log.warning("Its labels are called LABEL_0 … LABEL_%d; name them with --labels.", count - 1)
    named = tuple(labels) or tuple(f"LABEL_{index}" for index in range(count))
    backbone = {"name": files.name, "revision": files.revision}
    return Manifest(named, length, backbone, problem_type=problem)


def _check_labels(path: Path, manifest: Manifest, adapter: Adapter, base: Backbone) -> None:
    outputs = adapter.head[f"{base.family.head.output}.weight"].shape[0]
    if outputs != manifest.restored_task(path).head().outputs:
        raise AdapterError(
            f"'{path}': the head has {outputs} outputs, but {len(manifest.labels)} labels are "
            "named."
        )


def _check_reach(
    path: Path, tokenizer: TextTokenizer, base: Backbone, hint: str, *, belongs: bool
) -> None:
    """Check that the backbone has a position for every length, and was not made for other tokens.

    Tokens that were added to a vocabulary may lack a row: texts that hold one are refused. A whole
    vocabulary that is larger is another one, unless it is known to belong there (``belongs``).
    """
    pieces, rows = (
        tokenizer.core.get_vocab_size(with_added_tokens=False),
        base.word_embeddings.shape[0],
    )
    positions = base.family.max_length(base.config)
    if (pieces > rows and not belongs) or tokenizer.max_length > positions:
        raise AdapterError(
            f"'{path}' makes {pieces:,} kinds of tokens, up to {tokenizer.max_length:,} of a text; "
            f"the backbone knows {rows:,} and has {positions:,} positions.",
            hint=hint,
        )


def _lacking(base: Backbone) -> str:
    """The layer of the head that a classifier does not have, or ""."""
    head = base.family.head
    parts = [part for part in (head.dense, head.norm) if part]
    return next((part for part in parts if f"{part}.weight" not in base.pretrained_head), "")


def _load_merged(path: Path, dtype: torch.dtype, device: torch.device | str) -> Loaded:
    config = read_config(path)
    check_answerable(config, path)
    family = family_of(config)
    tensors = read_checkpoint(path, family)
    base = build_backbone(tensors, config, dtype=dtype, device=device)
    if f"{family.head.output}.weight" not in base.pretrained_head:
        raise AdapterError(
            f"'{path}' is a backbone, not a classifier: it has no '{family.head.output}'.",
            hint="Train an adapter on it: lora-bert train --backbone …",
        )
    if lacking := _lacking(base):
        raise AdapterError(
            f"'{path}' has no '{lacking}', which a {family.model_type} classifier of whole texts "
            "needs beside its output layer: it is another kind of model, or not whole.",
            hint="To train a text classifier on its encoder: lora-bert train --backbone …",
        )
    adapter = Adapter({}, base.pretrained_head, len(base.layers))
    outputs = base.pretrained_head[f"{family.head.output}.weight"].shape[0]
    # Where nothing is said of the outputs, they are what the weights have.
    manifest = standalone_manifest(
        path, {"num_labels": outputs, **config}, family.max_length(config)
    )
    _check_labels(path, manifest, adapter, base)
    tokenizer = load_tokenizer(
        path,
        config,
        max_length=manifest.max_length,
        rows=len(base.word_embeddings),
        error=AdapterError,
    )
    check_tokenizer(path, manifest)
    known = "fingerprint" in manifest.tokenizer
    _check_reach(
        path, tokenizer, base, "Tokenizer and weights are not of one model.", belongs=known
    )
    return Loaded(base, adapter, tokenizer, manifest, BackboneFiles(path.name, path), "merged")
