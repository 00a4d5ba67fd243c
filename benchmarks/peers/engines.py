"""Others' ways to predict with a merged model; each gives a function texts -> probabilities.

Every one of them tokenises with the same library, sorts the texts by length, computes batches of 32
padded to their longest, and puts the answers back in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.batches import longest_first
from benchmarks.data import text_encoder

Array = NDArray[Any]
Predict = Callable[[Sequence[str]], Array]
BATCH = 32
MAX_LENGTH = 256


def transformers_torch(
    model: str, *, dtype: str, device: str = "cpu", batch: int = BATCH
) -> Predict:
    """``AutoModelForSequenceClassification`` with SDPA, in batches of so many texts."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForSequenceClassification.from_pretrained(
        model, dtype=getattr(torch, dtype), attn_implementation="sdpa"
    )
    network = network.eval().to(device)

    def predict(texts: Sequence[str]) -> Array:
        encoded = tokenizer(list(texts), truncation=True, max_length=MAX_LENGTH)["input_ids"]
        found: Any = None
        with torch.inference_mode():
            for rows in longest_first([len(ids) for ids in encoded], batch):
                ids, mask = _padded([encoded[row] for row in rows], tokenizer.pad_token_id)
                scores = network(
                    input_ids=torch.from_numpy(ids).to(device),
                    attention_mask=torch.from_numpy(mask).to(device),
                ).logits.float()
                if found is None:
                    found = torch.empty(len(texts), scores.shape[1])
                found[rows] = torch.softmax(scores, dim=-1).cpu()
        return found.numpy()  # type: ignore[no-any-return]

    return predict


def openvino_by_hand(
    model: str, *, precision: str, queue: bool, file: str = "openvino.xml"
) -> Predict:
    """OpenVINO's CPU device, as its documentation drives it.

    Args:
        model: Directory with the graph (see :mod:`benchmarks.peers.exports`) and the tokenizer.
        precision: ``bf16`` or ``f32``, the inference precision hint.
        queue: An asynchronous queue under the throughput hint; else one request under the latency
            hint.
        file: The graph's name.
    """
    import openvino as ov

    compiled = ov.Core().compile_model(
        str(Path(model, file)),
        "CPU",
        {
            "PERFORMANCE_HINT": "THROUGHPUT" if queue else "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
        },
    )
    encode, pad_id = text_encoder(model, MAX_LENGTH)
    if queue:
        return _queued(ov, compiled, encode, pad_id)
    request = compiled.create_infer_request()

    def predict(texts: Sequence[str]) -> Array:
        def scores(ids: Array, mask: Array) -> Array:
            request.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True)
            return np.array(request.get_output_tensor(0).data)

        return _one_by_one(encode(texts), pad_id, scores)

    return predict


def _queued(ov: Any, compiled: Any, encode: Any, pad_id: int) -> Predict:
    jobs = ov.AsyncInferQueue(compiled)

    def predict(texts: Sequence[str]) -> Array:
        encoded = encode(texts)
        answers: dict[int, tuple[list[int], Array]] = {}

        def keep(request: Any, about: tuple[int, list[int]]) -> None:
            answers[about[0]] = about[1], np.array(request.get_output_tensor(0).data)

        jobs.set_callback(keep)
        batches = longest_first([len(ids) for ids in encoded], BATCH)
        for number, rows in enumerate(batches):
            ids, mask = _padded([encoded[row] for row in rows], pad_id)
            jobs.start_async({"input_ids": ids, "attention_mask": mask}, (number, rows))
        jobs.wait_all()
        found = np.empty((len(texts), answers[0][1].shape[1]), dtype=np.float32)
        for rows, scores in answers.values():
            found[rows] = _softmax(scores)
        return found

    return predict


def onnxruntime_cpu(model: str, *, file: str) -> Predict:
    """ONNX Runtime's CPU provider with its default settings."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(Path(model, file)), providers=["CPUExecutionProvider"])
    encode, pad_id = text_encoder(model, MAX_LENGTH)

    def predict(texts: Sequence[str]) -> Array:
        def scores(ids: Array, mask: Array) -> Array:
            found: Array = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
            return found

        return _one_by_one(encode(texts), pad_id, scores)

    return predict


def _one_by_one(encoded: Any, pad_id: int, scores: Callable[[Array, Array], Array]) -> Array:
    found: Array | None = None
    for rows in longest_first([len(ids) for ids in encoded], BATCH):
        answer = _softmax(scores(*_padded([encoded[row] for row in rows], pad_id)))
        if found is None:
            found = np.empty((len(encoded), answer.shape[1]), dtype=np.float32)
        found[rows] = answer
    assert found is not None
    return found


def _padded(encoded: Sequence[Sequence[int]], pad_id: int) -> tuple[Array, Array]:
    shape = (len(encoded), max(map(len, encoded)))
    ids, mask = np.full(shape, pad_id, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for at, row in enumerate(encoded):
        ids[at, : len(row)] = row
        mask[at, : len(row)] = 1
    return ids, mask


def _softmax(scores: Array) -> Array:
    scores = scores.astype(np.float32)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]
