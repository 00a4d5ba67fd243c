"""Which engine answers: what fits a directory, what was asked for, what is installed."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from lora_bert.adapters.directory import Kind
from lora_bert.adapters.exported import Exported, ExportedTrunk
from lora_bert.adapters.trunk import GRAPHS
from lora_bert.backbones.fingerprint import stamp_of
from lora_bert.errors import ConfigError, UnavailableError
from lora_bert.files import size_of
from lora_bert.inference.engines.branches import BranchEngine, GraphEngine
from lora_bert.inference.engines.engine import Engine
from lora_bert.inference.engines.graph_inputs import Part

_FITS: Mapping[Kind, tuple[str, ...]] = {
    "adapter": ("torch",),
    "merged": ("torch",),
    "openvino": ("openvino",),
    "onnx": ("openvino", "onnx"),
}
_PACKAGES = {"openvino": ("openvino",), "onnx": ("onnxruntime",)}

_TRUNKS: WeakValueDictionary[str, Any] = WeakValueDictionary()
"""Engines of trunks, by files, engine and precision: one for all branches in this process."""
_LOCK = threading.Lock()


def check_fits(engine: str, kind: Kind, path: Path) -> None:
    """Raise ConfigError where an engine cannot run what a directory holds."""
    fitting = _FITS[kind]
    if engine in ("auto", *fitting):
        return
    if "torch" in fitting:
        raise ConfigError(
            f"--engine {engine}: '{path}' is not exported for it.",
            hint=f"lora-bert export {path} OUT --format {engine}",
        )
    raise ConfigError(
        f"--engine {engine}: '{path}' is exported for {kind}.",
        hint=f"Leave --engine out, or say {' or '.join(fitting)}.",
    )


def open_engine(model: Exported, *, engine: str, dtype: str, device: str = "auto") -> Engine:
    """Open an exported model.

    Args:
        model: The model.
        engine: ``openvino``, ``onnx``, or ``auto``: the fastest one that is installed.
        dtype: ``auto``, ``float32`` or ``bfloat16``; not ``int8``, which is exported so.
        device: ``auto`` or ``cpu``.

    Raises:
        ConfigError: A device or precision the engine does not have.
        UnavailableError: The engine is not installed.
        AdapterError: The graph is damaged.
    """
    precision, name = model.manifest.exported.get("precision"), model.graph.stem.lower()
    quantised = precision == "int8" or "int8" in name or "quantized" in name
    engine = _able(engine, model.graph, model.kind, quantised=quantised, dtype=dtype, device=device)
    head = model.manifest.restored_task(model.graph.parent).head()
    opened = _graph_engine(
        engine, model.graph, head.outputs, dtype=dtype, max_length=model.manifest.max_length,
        of_tokens=head.of_tokens, part="branch" if model.trunk else "whole",
    )  # fmt: skip
    if model.trunk is None:
        return opened
    trunk = open_trunk(model.trunk, engine=engine, dtype=dtype)
    return BranchEngine(trunk, opened, size_of(model.graph.parent))


def open_trunk(
    trunk: ExportedTrunk, *, engine: str, dtype: str, device: str = "auto"
) -> GraphEngine:
    """Open the trunk of exported branches; the one in memory where it is open already.

    As :func:`open_engine`, errors too.
    """
    known, quantised = trunk.known, trunk.known.precision == "int8"
    engine = _able(
        engine, trunk.graph, known.format, quantised=quantised, dtype=dtype, device=device
    )
    files = [trunk.graph.parent / name for name in GRAPHS[known.format]]
    key = f"{trunk.graph} {stamp_of(files)} {engine} {dtype}"
    with _LOCK:
        if (opened := _TRUNKS.get(key)) is None:
            opened = _TRUNKS[key] = _graph_engine(
                engine, trunk.graph, known.width, dtype=dtype, max_length=known.max_length,
                of_tokens=False, part="trunk",
            )  # fmt: skip
    engine_of_all: GraphEngine = opened
    return engine_of_all


def _graph_engine(
    engine: str, graph: Path, outputs: int, *, dtype: str, max_length: int, of_tokens: bool,
    part: Part,
) -> GraphEngine:  # fmt: skip
    if engine == "openvino":
        from lora_bert.inference.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(
            graph, outputs, dtype=dtype, max_length=max_length, of_tokens=of_tokens, part=part
        )
    from lora_bert.inference.engines.onnx_engine import OnnxEngine

    return OnnxEngine(graph, outputs, of_tokens=of_tokens, part=part)


def require(extra: str, who: str, packages: Sequence[str] = ()) -> None:
    """Raise UnavailableError where packages of an extra lack, by default those of its engine.

    ``who`` begins the sentence, up to the packages' names.
    """
    lacking = [name for name in packages or _PACKAGES[extra] if not _is_installed(name)]
    if lacking:
        verb = "is" if len(lacking) == 1 else "are"
        raise UnavailableError(
            f"{who} {' and '.join(lacking)}, which {verb} not installed.",
            hint=f"pip install 'lora-bert[{extra}]'",
        )


def _able(engine: str, graph: Path, kind: str, *, quantised: bool, dtype: str, device: str) -> str:
    """The engine that opens a graph, of the name that was asked for; errors: see open_engine."""
    if device == "cuda":
        raise ConfigError(
            "--device cuda: exported models run on the CPU.",
            hint="On a GPU, use the adapter or the merged model.",
        )
    if dtype == "int8":
        raise ConfigError(
            "--dtype int8: an exported model has eight bits from its export, or has none.",
            hint="Export with --int8, and leave --dtype out; adapters and merged models take it.",
        )
    engine = _fastest(kind, quantised=quantised) if engine == "auto" else engine
    require(engine, f"'{graph.parent}' runs with")
    if engine == "onnx" and dtype == "bfloat16":
        raise ConfigError("--dtype bfloat16: ONNX Runtime has no bfloat16 on CPUs.")
    return engine


def _fastest(kind: str, *, quantised: bool) -> str:
    """OpenVINO reads ONNX too, and is faster; what was quantised for ONNX Runtime is not."""
    if kind == "openvino":
        return "openvino"
    return "onnx" if quantised or not _is_installed("openvino") else "openvino"


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # imported, but without a specification
        return False
