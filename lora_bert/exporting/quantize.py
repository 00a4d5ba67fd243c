"""Eight bits in place of thirty-two: post-training quantisation, by each engine's own means."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.inference.engines.openvino_engine import import_openvino

_MOST_SAMPLES = 300


def sample_rows(count: int, sets: int = 1) -> list[int]:
    """Which of ``count`` rows show what is usual: not too many, and from all over them.

    Where there are several ``sets`` of rows, each has its share.
    """
    most = max(1, _MOST_SAMPLES // sets)
    rows: list[int] = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
    return rows


def quantise_onnx(source: Path, target: Path, exact: Collection[str]) -> None:
    """Weights to int8 for each channel, activations as they come (dynamic quantisation).

    Products with the constants named in ``exact`` stay in float.
    """
    with _silence():
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        nodes = onnx.load(source, load_external_data=False).graph.node
        quantize_dynamic(
            source,
            target,
            nodes_to_exclude=[node.name for node in nodes if not {*exact}.isdisjoint(node.input)],
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Seven bits of weight: eight overflow on CPUs without VNNI.
            reduce_range=True,
            extra_options={"MatMulConstBOnly": True},
        )


def quantise_openvino(
    model: Any, samples: Iterable[dict[str, np.ndarray]], exact: Collection[str]
) -> Any:
    """OpenVINO's model with weights and activations in int8 (static quantisation).

    Their ranges are taken from ``samples``: the model's inputs for some texts, one after another.
    Products with the constants named in ``exact`` stay in float, and so does attention between its
    projections: what it takes to round there is more than its small products save.
    """
    import_openvino()  # and so without telemetry
    given = list(samples)
    with _silence():
        import nncf

        return nncf.quantize(
            model,
            nncf.Dataset(given),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(given),
            ignored_scope=nncf.IgnoredScope(names=products_in_float(model, exact)),
        )


def products_in_float(model: Any, exact: Collection[str]) -> list[str]:
    """The names of the matrix products of OpenVINO's model that are attention's own or exact."""
    return [
        each.get_friendly_name()
        for each in model.get_ordered_ops()
        if each.get_type_name() == "MatMul"
        and all(name in exact for name in _constants(each.inputs()))
    ]


def _constants(inputs: Sequence[Any]) -> list[str]:
    """The names of those inputs of an operation that are constants."""
    nodes = [value.get_source_output().get_node() for value in inputs]
    return [node.get_friendly_name() for node in nodes if node.get_type_name() == "Constant"]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the tools' bars off standard output, where results go, and their advice to us.

    The program's own logging is afterwards as it was: nncf makes its logger everybody's class.
    """
    level, kind = logging.root.manager.disable, logging.getLoggerClass()
    logging.disable(max(level, logging.WARNING))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.setLoggerClass(kind)
        logging.disable(level)
