"""Several adapters as one exported trunk, which runs once a text, and a branch of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from lora_bert.adapters.directory import EXPORTED, Kind, described
from lora_bert.adapters.exported import ExportedTrunk
from lora_bert.adapters.loading import Loaded, backbone_files, load_adapter
from lora_bert.adapters.merged import folded
from lora_bert.adapters.open_backbone import OpenBackbone, open_backbone
from lora_bert.adapters.trunk import GRAPHS, TRUNK, Trunk
from lora_bert.config import ExportConfig
from lora_bert.errors import ConfigError
from lora_bert.exporting.export_result import ExportResult, SharedExportResult
from lora_bert.exporting.graph_files import Exporting, takes_types, write_graph
from lora_bert.exporting.merge import rows_to_compare
from lora_bert.exporting.onnx_graph import branch_graph, trunk_graph
from lora_bert.exporting.quantize import sample_rows
from lora_bert.files import atomic_directory, digests, size_of, spare_inputs
from lora_bert.inference.engines.choice import open_trunk
from lora_bert.inference.engines.graph_inputs import HIDDEN, MASK, TYPES, feed
from lora_bert.model.forward import branch_start, trunk
from lora_bert.options import flag
from lora_bert.tokens.batching import TokenBatch


def export_branches(
    config: ExportConfig, kind: Kind, places: Mapping[str, Path]
) -> SharedExportResult:
    """Write the adapters in ``places``, by name, as branches on a trunk; errors: see export."""
    _check(config, kind, places)
    output, first = Path(config.output), next(iter(places.values()))
    opened = open_backbone(config.backbone or str(backbone_files(first).path))
    parts = {name: _loaded(place, opened) for name, place in places.items()}
    spare_inputs(output, (*places.values(), opened.source.files.path, config.data))
    known = _trunk_of(list(parts.values()), opened, config)
    exporting = {
        name: Exporting(places[name], part, rows_to_compare(config, part), known.types)
        for name, part in parts.items()
    }
    with atomic_directory(output, overwrite=config.overwrite) as work:
        branches = dict(_Writing(config, kind, known, exporting).into(work, output))
    return SharedExportResult(
        path=output,
        format=kind,
        precision=known.precision,
        trunk_layers=known.layers,
        layers=len(opened.backbone.layers),
        size=size_of(output),
        branches=branches,
    )


@dataclass(frozen=True)
class _Writing:
    """What is written, and how."""

    config: ExportConfig
    kind: Kind
    known: Trunk
    parts: Mapping[str, Exporting]

    def into(self, work: Path, output: Path) -> Iterator[tuple[str, ExportResult]]:
        """Write everything into ``work``, which becomes ``output``; branch by branch what it is."""
        graph = work / GRAPHS[self.kind][0]
        self._write_trunk(graph)
        known = replace(self.known, files=digests(work, GRAPHS[self.kind]))
        (work / TRUNK).write_text(known.to_json(), encoding="utf-8")
        # Open as long as branches are compared on it.
        shared = open_trunk(
            ExportedTrunk(graph.resolve(), self.known), engine=self.kind,
            dtype="auto" if self.config.int8 else "float32",
        )  # fmt: skip
        facts = {"trunk": self.known.identity}
        for name, part in self.parts.items():
            place = work / name
            place.mkdir()
            self._write_branch(place / EXPORTED[self.kind][0], part)
            yield name, part.finish(place, output / name, self.config, facts)
        del shared

    def _write_trunk(self, graph: Path) -> None:
        parts, known, samples = list(self.parts.values()), self.known, None
        if self.config.int8:
            samples = chain.from_iterable(map(self._read, parts))
        encoder = parts[0].loaded.backbone.config
        model = trunk_graph(_tensors(parts[0].loaded), encoder, known.layers, types=known.types)
        write_graph(model, graph, self.kind, samples, encoder.layout)

    def _write_branch(self, graph: Path, part: Exporting) -> None:
        loaded, depth = part.loaded, self.known.layers
        tensors, encoder = _tensors(loaded), loaded.backbone.config
        model = branch_graph(tensors, encoder, loaded.adapter.pooling, depth)
        samples = self._given(part) if self.config.int8 else None
        write_graph(model, graph, self.kind, samples, encoder.layout)

    def _read(self, part: Exporting) -> Iterator[dict[str, np.ndarray]]:
        """What the trunk is given of some texts."""
        texts = part.loaded.tokenizer.encode(part.rows.texts)
        wanted = (TYPES,) if self.known.types else ()
        rows = sample_rows(len(texts), len(self.parts))
        return (feed(texts.pad([row]), wanted) for row in rows)

    def _given(self, part: Exporting) -> Iterator[dict[str, np.ndarray]]:
        """What a branch is given of some texts."""
        backbone, texts = part.loaded.backbone, part.loaded.tokenizer.encode(part.rows.texts)
        for row in sample_rows(len(texts)):
            length = texts.lengths[row]
            hidden = trunk(backbone, TokenBatch.of(texts, [row]), self.known.layers)
            mask = np.ones((1, length), dtype=np.int64)
            yield {HIDDEN: hidden[None, :length].numpy(), MASK: mask}


def _check(config: ExportConfig, kind: Kind, places: Mapping[str, Path]) -> None:
    """Raise ConfigError for what cannot be written side by side."""
    for name in ("labels", "allow_backbone_mismatch"):
        if getattr(config, name):
            raise ConfigError(f"{flag(name)} is for one adapter, and several are exported.")
    for name, place in places.items():
        if (what := described(place)) == "a backbone":
            raise ConfigError(f"'{place}' is a backbone, not an adapter.")
        if what != "an adapter":
            raise ConfigError(
                f"'{place}' is no adapter, and has its backbone inside: it cannot share a trunk.",
                hint="Export it alone, or name the adapter that it was made of.",
            )
        if name.startswith(".") or name in (TRUNK, *GRAPHS[kind]):
            raise ConfigError(
                f"'{place}': a branch is called as its adapter, and cannot be called '{name}'.",
                hint="Rename the adapter's directory.",
            )


def _loaded(place: Path, opened: OpenBackbone) -> Loaded:
    """An adapter on the backbone of all."""
    loaded = load_adapter(place, opened)
    if loaded.own_embeddings:
        raise ConfigError(
            f"'{place}' has embeddings, or a projection of them, of its own, so it cannot share "
            "a trunk.",
            hint="Export it alone.",
        )
    return loaded


def _trunk_of(parts: Sequence[Loaded], opened: OpenBackbone, config: ExportConfig) -> Trunk:
    """What all of the adapters have in common."""
    return Trunk(
        format=config.format,
        precision="int8" if config.int8 else "float32",
        backbone=parts[0].manifest.backbone_name,
        fingerprint=opened.source.fingerprint,
        layers=min(branch_start(part.backbone, part.adapter) for part in parts),
        width=opened.backbone.hidden_size,
        max_length=max(part.tokenizer.max_length for part in parts),
        types=any(takes_types(part) for part in parts),
    )


def _tensors(loaded: Loaded) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in folded(loaded).items()}
