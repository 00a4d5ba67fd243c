"""Reading a model that was exported for an engine: its description and tokenizer. No torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_bert.adapters import directory
from lora_bert.adapters.manifest import Manifest
from lora_bert.adapters.trunk import GRAPHS, Trunk, trunk_below
from lora_bert.backbones.config import read_config
from lora_bert.backbones.families.registry import encoder_config
from lora_bert.backbones.inside import check_inside
from lora_bert.errors import AdapterError
from lora_bert.tokens.tokenizer import TextTokenizer, load_tokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """What predicting needs of an exported model, whose ``graph`` an engine is to open.

    That of a branch stands on the graph of a ``trunk``.
    """

    graph: Path
    kind: directory.Kind
    tokenizer: TextTokenizer
    manifest: Manifest
    trunk: ExportedTrunk | None = None


@dataclass(frozen=True)
class ExportedTrunk:
    """What branches stand on: a graph that an engine is to open, and what is known of it."""

    graph: Path
    known: Trunk

    @classmethod
    def below(cls, branch: Path, kept: object) -> ExportedTrunk:
        """That of the branch in a directory; the rest as :func:`.trunk_below`."""
        place, known = trunk_below(branch, kept)
        return cls(place / GRAPHS[known.format][0], known)


def read_exported(
    path: Path, *, backbone: str | None = None, labels: Sequence[str] = ()
) -> Exported:
    """Read the exported model at ``path``.

    Raises:
        ConfigError: A backbone or labels are given.
        AdapterError, BackboneError: A file is missing or damaged.
    """
    directory.check_stands_alone(path, backbone, labels)
    check_inside(path, AdapterError)
    kind = directory.kind_of(path)
    names = directory.graph_files(path, kind)
    if names != directory.EXPORTED[kind]:
        log.info("'%s': its graph is '%s'.", path, names[0])
    for name in names:
        if not (path / name).is_file():
            raise AdapterError(
                f"'{path}' is not a whole exported model: it has no {name}.",
                hint="Copy the directory again, with all its files.",
            )
    config = read_config(path)
    directory.check_answerable(config, path)
    encoder = encoder_config(config)
    manifest = directory.standalone_manifest(path, config, encoder.max_length)
    if manifest.max_length > encoder.max_length:
        raise AdapterError(
            f"'{path}' keeps {manifest.max_length:,} tokens of a text, but has positions for "
            f"{encoder.max_length:,} only."
        )
    # A graph answers for an id beyond its table with another token's row, or not at all.
    rows = config.get("vocab_size")
    tokenizer = load_tokenizer(
        path, encoder, max_length=manifest.max_length, error=AdapterError,
        rows=rows if type(rows) is int and rows > 0 else None,
    )  # fmt: skip
    tokenizer = manifest.reading(tokenizer)
    directory.check_tokenizer(path, manifest)
    kept = manifest.exported.get("trunk")
    trunk = None if kept is None else ExportedTrunk.below(path, kept)
    return Exported(path / names[0], kind, tokenizer, manifest, trunk)
