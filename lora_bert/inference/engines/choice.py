"""Which engine answers: what fits a directory, what was asked for, what is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from lora_bert.adapters.directory import Kind
from lora_bert.adapters.exported import Exported
from lora_bert.errors import ConfigError, UnavailableError
from lora_bert.inference.engines.engine import Engine

_FITS: Mapping[Kind, tuple[str, ...]] = {
    "adapter": ("torch",),
    "merged": ("torch",),
    "openvino": ("openvino",),
    "onnx": ("openvino", "onnx"),
}
_PACKAGES = {"openvino": ("openvino",), "onnx": ("onnxruntime",)}


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
    engine = _fastest(model) if engine == "auto" else engine
    require(engine, f"'{model.graph.parent}' runs with")
    head = model.manifest.restored_task(model.graph.parent).head()
    outputs, of_tokens = head.outputs, head.of_tokens
    if engine == "openvino":
        from lora_bert.inference.engines.openvino_engine import OpenVinoEngine

        length = model.manifest.max_length
        return OpenVinoEngine(
            model.graph, outputs, dtype=dtype, max_length=length, of_tokens=of_tokens
        )
    if dtype == "bfloat16":
        raise ConfigError("--dtype bfloat16: ONNX Runtime has no bfloat16 on CPUs.")
    from lora_bert.inference.engines.onnx_engine import OnnxEngine

    return OnnxEngine(model.graph, outputs, of_tokens=of_tokens)


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


def _fastest(model: Exported) -> str:
    """OpenVINO reads ONNX too, and is faster; what was quantised for ONNX Runtime is not."""
    if model.kind == "openvino":
        return "openvino"
    precision, name = model.manifest.exported.get("precision"), model.graph.stem.lower()
    quantised = precision == "int8" or "int8" in name or "quantized" in name
    return "onnx" if quantised or not _is_installed("openvino") else "openvino"


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # imported, but without a specification
        return False
