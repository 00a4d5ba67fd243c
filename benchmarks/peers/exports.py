"""A merged model in the other engines' formats, made with their own converters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import read_rows, text_encoder
from benchmarks.peers.engines import MAX_LENGTH


def openvino(model: str) -> dict[str, Any]:
    """Write ``openvino.xml`` beside the model: ``convert_model`` on the transformers model."""
    import openvino as ov

    network, example = _network(model)
    converted = ov.convert_model(network, example_input=example)
    ov.save_model(converted, str(Path(model, "openvino.xml")), compress_to_fp16=False)
    return {}


def openvino_int8(model: str, samples: str) -> dict[str, Any]:
    """Write ``openvino.int8.xml``: NNCF's post-training quantisation, for transformers.

    Its ranges are those of 300 texts, NNCF's number, of the file ``samples``.
    """
    import nncf
    import openvino as ov

    encode, _ = text_encoder(model, MAX_LENGTH)
    texts = [text for text, _ in read_rows(samples)[:300]]
    ids = [np.array([row]) for row in encode(texts)]
    inputs = [{"input_ids": row, "attention_mask": np.ones_like(row)} for row in ids]
    quantised = nncf.quantize(
        ov.Core().read_model(str(Path(model, "openvino.xml"))),
        nncf.Dataset(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
    )
    ov.save_model(quantised, str(Path(model, "openvino.int8.xml")), compress_to_fp16=False)
    return {}


def onnx(model: str) -> dict[str, Any]:
    """Write ``model.onnx`` beside the model, and ``model.int8.onnx``, quantised dynamically."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    network, example = _network(model)
    target = Path(model, "model.onnx")
    axes = {0: "rows", 1: "tokens"}
    torch.onnx.export(
        network,
        (),
        str(target),
        kwargs=example,
        input_names=list(example),
        output_names=["logits"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "rows"}},
        dynamo=False,
    )
    quantize_dynamic(target, target.with_name("model.int8.onnx"), weight_type=QuantType.QInt8)
    return {}


def _network(model: str) -> tuple[Any, dict[str, Any]]:
    import torch
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(model, dtype=torch.float32)
    network.config.return_dict = False
    ids = torch.randint(5, 1000, (2, 16))
    return network.eval(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
