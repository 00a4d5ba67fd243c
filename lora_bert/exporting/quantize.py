"""Eight bits in place of thirty-two: post-training quantisation, by each engine's own means."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.inference.engines.openvino_engine import import_openvino

_MOST_SAMPLES = 300


def quantise_onnx(source: Path, target: Path) -> None:
    """Weights to int8 for each channel, activations as they come (dynamic quantisation)."""
    with _silence():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Seven bits of weight: eight overflow on CPUs without VNNI.
            reduce_range=True,
            extra_options={"MatMulConstBOnly": True},
        )


def quantise_openvino(model: Any, samples: Sequence[dict[str, np.ndarray]]) -> Any:
    """OpenVINO's model with weights and activations in int8 (static quantisation).

    Their ranges are taken from ``samples``: the model's inputs for some texts, one after another.
    Attention between its projections stays in float: what it takes to round there is more than its
    small products save.
    """
    import_openvino()  # and so without telemetry
    with _silence():
        import nncf

        return nncf.quantize(
            model,
            nncf.Dataset(samples[:_MOST_SAMPLES]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=min(len(samples), _MOST_SAMPLES),
            ignored_scope=nncf.IgnoredScope(names=products_without_weights(model)),
        )


def products_without_weights(model: Any) -> list[str]:
    """The names of the matrix products of OpenVINO's model that are attention's own."""
    return [
        each.get_friendly_name()
        for each in model.get_ordered_ops()
        if each.get_type_name() == "MatMul"
        and all(_made_by(value) != "Constant" for value in each.inputs())
    ]


def _made_by(value: Any) -> str:
    return str(value.get_source_output().get_node().get_type_name())


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
