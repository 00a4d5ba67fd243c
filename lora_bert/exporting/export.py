"""``export``: a classifier becomes a graph for an engine, compared with torch before it counts."""

from __future__ import annotations

import importlib.metadata
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from lora_bert.adapters.directory import EXPORTED, Kind
from lora_bert.adapters.exported import read_exported
from lora_bert.adapters.loading import Loaded
from lora_bert.adapters.manifest import MANIFEST
from lora_bert.adapters.merged import describe_exported, folded, standalone
from lora_bert.config import ExportConfig
from lora_bert.config.keywords import ExportOptions
from lora_bert.config.kinds import StrPath
from lora_bert.data.examples import Examples
from lora_bert.data.given import with_given_rows
from lora_bert.data.texts import Text
from lora_bert.errors import AdapterError
from lora_bert.exporting.merge import TOLERANCE, load_with_samples
from lora_bert.exporting.onnx_graph import classifier_graph
from lora_bert.exporting.quantize import quantise_onnx, quantise_openvino
from lora_bert.files import atomic_directory, claim_output, size_of
from lora_bert.inference.engines.choice import open_engine, require
from lora_bert.inference.engines.graph_inputs import TYPES, feed
from lora_bert.inference.engines.openvino_engine import import_openvino, read_graph
from lora_bert.inference.predictor import Predictor
from lora_bert.options import build
from lora_bert.python_face import called_from_python
from lora_bert.runtime.device import dtype_name
from lora_bert.wording import amount, counted

log = logging.getLogger(__name__)

_NEEDS = {"openvino": ["openvino", "onnx"], "onnx": ["onnxruntime", "onnx"]}
_SURPRISING = 0.95


@dataclass(frozen=True)
class ExportResult:
    """A written exported model.

    Attributes:
        path: Its directory.
        format: ``openvino`` or ``onnx``.
        precision: Of its weights: ``float32`` or ``int8``.
        difference: Largest difference of a probability from torch in float32, 0..1.
        median: The same of the text in the middle: half of the texts differ by less.
        agreement: Share of the texts that get the same label.
        texts: How many were compared.
        accuracy: Of torch, then of the exported model, where the texts have labels.
        size: Bytes of the directory.
        moved: Largest difference from torch in float32 in what ``infer`` computes in here unless it
            is told otherwise, bfloat16; None where that is what was compared.
        measured_in: What these differences are measured in, in words.
        asked_as: How ``lora-bert infer`` is asked.
    """

    path: Path
    format: str
    precision: str
    difference: float
    median: float
    agreement: float
    texts: int
    accuracy: tuple[float, float] | None
    size: int
    moved: float | None = None
    measured_in: str = "probability"
    asked_as: str = '"…"'

    def __repr__(self) -> str:
        return (
            f"ExportResult({str(self.path)!r}: {self.format} {self.precision}, "
            f"{amount(self.size)}, same label on {self.agreement:.1%} of "
            f"{counted(self.texts, 'text')})"
        )


@called_from_python(ExportConfig, ExportOptions)
def export(path: StrPath, output: StrPath, **options: Unpack[ExportOptions]) -> ExportResult:
    """Write an adapter on its backbone, or a merged model, as a graph for an engine.

    Args:
        path: The adapter's or the merged model's directory.
        output: The directory to make.
        **options: See :class:`lora_bert.config.ExportConfig`.

    Raises:
        UnavailableError: The engine's packages are not installed.
        AdapterError: What is exported is damaged, or the graph does not predict the same to within
            1e-4 (in float32); nothing is written then.
        OutputError: ``output`` is taken, not writable, or what is exported.
    """
    return run(build(ExportConfig, with_given_rows({"path": path, "output": output, **options})))


def run(config: ExportConfig) -> ExportResult:
    """As :func:`export`, of a checked configuration."""
    source, output = Path(config.path), Path(config.output)
    kind: Kind = "openvino" if config.format == "openvino" else "onnx"
    nncf = ["nncf"] if config.int8 and kind == "openvino" else []
    require(kind, f"--format {kind} needs", [*_NEEDS[kind], *nncf])
    claim_output(output, overwrite=config.overwrite)
    loaded, rows = load_with_samples(config, source, output)
    precision = "int8" if config.int8 else "float32"
    task = loaded.manifest.restored_task(source)
    with atomic_directory(output, overwrite=config.overwrite) as work:
        _write_graph(work, loaded, kind, rows.texts if config.int8 else None)
        facts: dict[str, Any] = {"format": kind, "precision": precision}
        if config.int8:
            facts["metrics_of"] = "the model in float, before it was quantised"
        described = replace(standalone(loaded), exported=facts)
        describe_exported(work, loaded, described)
        compared, moved = _compared(config, loaded, work, rows)
        # What int8 changes is told, not judged; but not a number is no probability.
        most = 1.0 if config.int8 else TOLERANCE
        if not compared["difference"] <= most:
            raise AdapterError(
                f"The exported model differs from torch by {compared['difference']:.2g} in "
                f"{task.apart_in}, more than {most:g}; it was not kept."
            )
        facts |= compared | {"versions": {name: importlib.metadata.version(name)
                                      for name in (*_NEEDS[kind], *nncf)}}  # fmt: skip
        (work / MANIFEST).write_text(described.to_json(), encoding="utf-8")
    if compared["agreement"] < _SURPRISING:
        log.warning(
            "The exported model gives %.1f %% of the texts another answer than torch.",
            100 * (1 - compared["agreement"]),
        )
    return ExportResult(
        path=output,
        size=size_of(output),
        format=kind,
        precision=precision,
        moved=moved,
        measured_in=task.apart_in,
        asked_as=task.asked_as[described.inputs == 2],
        **compared,
    )


def _takes_types(loaded: Loaded) -> bool:
    """Whether the graph takes token types: where pairs may be asked, and the backbone has types."""
    return loaded.manifest.inputs != 1 and loaded.tokenizer.takes_types


def _write_graph(work: Path, loaded: Loaded, kind: Kind, samples: Sequence[Text] | None) -> None:
    """Write the graph's files; with ``samples``, texts that show what is usual, in int8."""
    import onnx

    tensors = {name: tensor.numpy() for name, tensor in folded(loaded).items()}
    types = _takes_types(loaded)
    target = work / EXPORTED[kind][0]
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        graph = Path(scratch) / "model.onnx"
        config, pooling = loaded.backbone.config, loaded.adapter.pooling
        onnx.save(classifier_graph(tensors, config, pooling, types=types), graph)
        if kind == "onnx" and samples is None:
            graph.rename(target)
        elif kind == "onnx":
            quantise_onnx(graph, target)
        else:
            model = read_graph(graph)
            if samples is not None:
                texts = loaded.tokenizer.encode(samples)
                wanted = (TYPES,) if types else ()
                inputs = [feed(texts.pad([row]), wanted) for row in range(len(texts))]
                model = quantise_openvino(model, inputs)
            import_openvino().save_model(model, target, compress_to_fp16=False)


def _compared(
    config: ExportConfig, loaded: Loaded, work: Path, rows: Examples
) -> tuple[dict[str, Any], float | None]:
    """How what was written answers beside torch in float32; and how where ``infer`` rounds more."""
    before = Predictor.of(loaded, work)
    with_types = before.tokenizer.encode(rows.texts).token_type_ids is not None
    if with_types and not _takes_types(loaded):
        raise AdapterError(
            f"The tokenizer of '{config.path}' gives single texts token types, which exported "
            "models do not take."
        )
    stored = read_exported(work)
    dtype = "auto" if config.int8 else "float32"
    engine = open_engine(stored, engine=config.format, dtype=dtype)
    after = replace(before, engine=engine, tokenizer=stored.tokenizer, manifest=stored.manifest)
    task = before.task
    both = ours, _ = before.values(rows.texts), after.values(rows.texts)
    accuracy = moved = None
    if rows.labels and task.classes:
        targets = task.targets(rows, before.tokenizer.encode(rows.texts))
        of_torch, exported = (task.right(values, targets) for values in both)
        if of_torch is not None and exported is not None:
            accuracy = float(of_torch.mean()), float(exported.mean())
    same, apart = task.alike(*both), task.apart(*both)
    if engine.name == "openvino" and not config.int8 and dtype_name("auto", "cpu") != "float32":
        usual = open_engine(stored, engine=config.format, dtype="auto")
        rounded = replace(after, engine=usual).values(rows.texts)
        moved = float(task.apart(ours, rounded).max())
    return {
        "difference": float(apart.max()),
        "median": float(np.median(apart)),
        "agreement": float(same.mean()),
        "texts": len(rows),
        "accuracy": accuracy,
    }, moved
