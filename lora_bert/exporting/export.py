"""``export``: a classifier becomes a graph for an engine; several share the graph of a trunk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack, overload

from lora_bert.adapters.directory import EXPORTED, Kind, check_named_once
from lora_bert.adapters.merged import folded
from lora_bert.config import ExportConfig
from lora_bert.config.keywords import ExportOptions
from lora_bert.config.kinds import StrPath
from lora_bert.data.given import with_given_rows
from lora_bert.errors import ConfigError
from lora_bert.exporting.export_branches import export_branches
from lora_bert.exporting.export_result import ExportResult, SharedExportResult
from lora_bert.exporting.graph_files import Exporting, needed, takes_types, write_graph
from lora_bert.exporting.merge import load_with_samples
from lora_bert.exporting.onnx_graph import classifier_graph
from lora_bert.exporting.quantize import sample_rows
from lora_bert.files import atomic_directory, claim_output
from lora_bert.inference.adapter_pool import adapter_places
from lora_bert.inference.engines.choice import require
from lora_bert.inference.engines.graph_inputs import TYPES, feed
from lora_bert.options import build
from lora_bert.python_face import called_from_python


@overload
def export(path: StrPath, output: StrPath, **options: Unpack[ExportOptions]) -> ExportResult: ...
@overload
def export(
    path: Sequence[StrPath], output: StrPath, **options: Unpack[ExportOptions]
) -> ExportResult | SharedExportResult: ...
@called_from_python(ExportConfig, ExportOptions)
def export(
    path: StrPath | Sequence[StrPath], output: StrPath, **options: Unpack[ExportOptions]
) -> ExportResult | SharedExportResult:
    """Write an adapter on its backbone, or a merged model, as a graph for an engine.

    Several adapters on one backbone share a graph: that of the layers below the lowest that any of
    them changes, the trunk, stands beside a directory for each, its branch.

    Args:
        path: The adapter's or the merged model's directory, or a list of adapters'.
        output: The directory to make.
        **options: See :class:`lora_bert.config.ExportConfig`.

    Returns:
        Of one what was written, of several by the name of each.

    Raises:
        UnavailableError: The engine's packages are not installed.
        AdapterError: What is exported is damaged, or stands on another backbone than the others, or
            a graph does not predict the same to within 1e-4 (in float32); nothing is written then.
        ConfigError: Of several, two have the same name, or one is no adapter.
        OutputError: ``output`` is taken, not writable, or what is exported.
    """
    return run(build(ExportConfig, with_given_rows({"path": path, "output": output, **options})))


def run(config: ExportConfig) -> ExportResult | SharedExportResult:
    """As :func:`export`, of a checked configuration."""
    if not config.path:
        raise ConfigError(
            "export needs an adapter or merged model and a directory for the result.",
            hint="lora-bert export ADAPTER OUT",
        )
    kind: Kind = "openvino" if config.format == "openvino" else "onnx"
    require(kind, f"--format {kind} needs", needed(config))
    claim_output(Path(config.output), overwrite=config.overwrite)
    check_named_once(map(Path, config.path), "Name each adapter once.")
    places = adapter_places(config.path)
    if len(places) > 1:
        return export_branches(config, kind, places)
    return _export_alone(config, kind, next(iter(places.values())))


def _export_alone(config: ExportConfig, kind: Kind, source: Path) -> ExportResult:
    output = Path(config.output)
    loaded, rows = load_with_samples(config, source, output)
    one = Exporting(source, loaded, rows, takes_types(loaded))
    samples = None
    if config.int8:
        texts = loaded.tokenizer.encode(rows.texts)
        wanted = (TYPES,) if one.types else ()
        samples = (feed(texts.pad([row]), wanted) for row in sample_rows(len(texts)))
    with atomic_directory(output, overwrite=config.overwrite) as work:
        tensors = {name: tensor.numpy() for name, tensor in folded(loaded).items()}
        encoder = loaded.backbone.config
        model = classifier_graph(tensors, encoder, loaded.adapter.pooling, types=one.types)
        write_graph(model, work / EXPORTED[kind][0], kind, samples, encoder.layout)
        return one.finish(work, output, config, {})
