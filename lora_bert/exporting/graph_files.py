"""A classifier as the files of an exported model, held against torch before they count."""

from __future__ import annotations

import importlib.metadata
import logging
import math
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.adapters.directory import EXPORTED, Kind, kind_of
from lora_bert.adapters.exported import read_exported
from lora_bert.adapters.loading import Loaded
from lora_bert.adapters.manifest import write_manifest
from lora_bert.adapters.merged import describe_exported, standalone
from lora_bert.backbones.layout import Layout
from lora_bert.config import ExportConfig
from lora_bert.data.examples import Examples
from lora_bert.errors import AdapterError
from lora_bert.exporting.export_result import ExportResult
from lora_bert.exporting.merge import TOLERANCE
from lora_bert.exporting.quantize import quantise_onnx, quantise_openvino
from lora_bert.files import size_of
from lora_bert.inference.engines.choice import open_engine
from lora_bert.inference.engines.openvino_engine import import_openvino, read_graph
from lora_bert.inference.predictor import Predictor
from lora_bert.runtime.device import dtype_name

log = logging.getLogger(__name__)

NEEDS: Mapping[str, tuple[str, ...]] = {
    "openvino": ("openvino", "onnx"), "onnx": ("onnxruntime", "onnx")
}  # fmt: skip
_SURPRISING = 0.95


def write_graph(
    model: Any,
    target: Path,
    kind: Kind,
    samples: Iterable[dict[str, np.ndarray]] | None,
    layout: Layout,
) -> None:
    """Write the files of an ONNX model in a format.

    With ``samples``, inputs that show what is usual, in int8, but for the head: it is small, and
    rounding it moves more labels than rounding all that is below. They are looked at for OpenVINO
    alone.
    """
    import onnx

    head = [f"{part}.weight" for part in layout.head.parts]
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        graph = Path(scratch) / "model.onnx"
        onnx.save(model, graph)
        if kind == "onnx" and samples is None:
            graph.rename(target)
        elif kind == "onnx":
            quantise_onnx(graph, target, head)
        else:
            read = read_graph(graph)
            if samples is not None:
                read = quantise_openvino(read, samples, head)
            import_openvino().save_model(read, target, compress_to_fp16=False)


@dataclass(frozen=True)
class Exporting:
    """One classifier on its way.

    Attributes:
        source: What it was read from.
        loaded: The classifier in torch.
        rows: On which the two are compared.
        types: Whether the graph takes token types.
    """

    source: Path
    loaded: Loaded
    rows: Examples
    types: bool

    def finish(
        self, work: Path, path: Path, config: ExportConfig, facts: Mapping[str, Any]
    ) -> ExportResult:
        """Describe the graph that was written into ``work``, with ``facts``, and compare it.

        ``path`` is where it will stand.

        Raises:
            AdapterError: It does not answer as torch does.
        """
        task = self.loaded.manifest.restored_task(self.source)
        precision = "int8" if config.int8 else "float32"
        facts = {"format": config.format, "precision": precision, **facts}
        if config.int8:
            facts["metrics_of"] = "the model in float, before it was quantised"
        described = replace(standalone(self.loaded), exported=facts)
        describe_exported(work, self.loaded, described)
        compared, moved = self._compared(work, config)
        apart = compared["difference"]
        # What int8 changes is told, not judged; but it has to be a number.
        if not math.isfinite(apart) or (apart > TOLERANCE and not config.int8):
            most = "" if config.int8 else f", more than {TOLERANCE:g}"
            raise AdapterError(
                f"The exported model of '{self.source}' differs from torch by {apart:.2g} in "
                f"{task.apart_in}{most}; it was not kept."
            )
        versions = {name: importlib.metadata.version(name) for name in needed(config)}
        described = replace(described, exported={**facts, **compared, "versions": versions})
        write_manifest(work, described, EXPORTED[kind_of(work)])
        if compared["agreement"] < _SURPRISING:
            log.warning(
                "The exported model of '%s' gives %.1f %% of the texts another answer than torch.",
                self.source,
                100 * (1 - compared["agreement"]),
            )
        return ExportResult(
            path=path,
            size=size_of(work),
            format=config.format,
            precision=precision,
            moved=moved,
            measured_in=task.apart_in,
            asked_as=task.asked_as[described.inputs == 2],
            **compared,
        )

    def _compared(self, work: Path, config: ExportConfig) -> tuple[dict[str, Any], float | None]:
        """How it answers beside torch in float32; and how where ``infer`` rounds more."""
        rows, before = self.rows, Predictor.of(self.loaded, work)
        with_types = before.tokenizer.encode(rows.texts).token_type_ids is not None
        if with_types and not self.types:
            raise AdapterError(
                f"The tokenizer of '{self.source}' gives single texts token types, which exported "
                "models do not take."
            )
        stored = read_exported(work)
        dtype = "auto" if config.int8 else "float32"
        engine = open_engine(stored, engine=config.format, dtype=dtype)
        after = replace(before, engine=engine, tokenizer=stored.tokenizer, manifest=stored.manifest)
        task = before.task
        both = ours, _ = before.computed(rows.texts), after.computed(rows.texts)
        accuracy = moved = None
        if rows.labels and task.classes:
            targets = task.targets(rows, before.tokenizer.encode(rows.texts))
            of_torch, exported = (task.right(values, targets) for values in both)
            if of_torch is not None and exported is not None:
                accuracy = float(of_torch.mean()), float(exported.mean())
        same, apart = task.alike(*both), task.apart(*both)
        if engine.name == "openvino" and not config.int8 and dtype_name("auto", "cpu") != "float32":
            usual = open_engine(stored, engine=config.format, dtype="auto")
            rounded = replace(after, engine=usual).computed(rows.texts)
            moved = float(task.apart(ours, rounded).max())
        return {
            "difference": float(apart.max()),
            "median": float(np.median(apart)),
            "agreement": float(same.mean()),
            "texts": len(rows),
            "accuracy": accuracy,
        }, moved


def needed(config: ExportConfig) -> list[str]:
    """The packages that an export needs."""
    nncf = ["nncf"] if config.int8 and config.format == "openvino" else []
    return [*NEEDS[config.format], *nncf]


def takes_types(loaded: Loaded) -> bool:
    """Whether a graph takes token types: where pairs may be asked, and the backbone has types."""
    return loaded.manifest.inputs != 1 and loaded.tokenizer.takes_types
