"""The OpenVINO engine: an exported model on the CPU, in bfloat16 where that is fast."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.backbones.fingerprint import stamp_of
from lora_bert.inference.engines.compiled_graph import CompiledGraph
from lora_bert.inference.engines.engine import ComputeOn, cores_allowed
from lora_bert.inference.engines.graph_inputs import (
    Part,
    check_classifier,
    check_same,
    damaged,
    feed,
)
from lora_bert.runtime.threads import Workers
from lora_bert.tokens.batching import by_padded_length
from lora_bert.tokens.tokenized import TokenizedTexts

_SHORT = 256
_LOCK = threading.RLock()
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


def import_openvino() -> Any:
    """The module, without what would tell its makers that it is used; ready for threads."""
    # Importing openvino reports to a server unless somebody has forbidden that to it; it goes
    # without where this module is not there.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with _LOCK:
        import openvino

        # The first call fills a table. Two threads that came to it together would wait for each
        # other for ever, one with the table's lock and one with the interpreter's.
        openvino.Type.f32.to_dtype()
    return openvino


def core() -> Any:
    """OpenVINO's one core in this process, which stays until its end.

    Each core puts a stack for signal handlers in place and puts the one before it back when it
    goes. Of two whose lives overlap, the second puts back what the first has freed, and the next
    Ctrl-C ends the process with a segmentation fault.
    """
    with _LOCK:
        return _core()


@cache
def _core() -> Any:
    return import_openvino().Core()


class OpenVinoEngine:
    """Computes an ``.xml`` (with its ``.bin``) or ``.onnx`` with OpenVINO.

    ``dtype`` is ``auto``, ``bfloat16`` or ``float32``, ``max_length`` that of the texts. It is a
    ``part`` of a classifier, or the whole. A branch computes with ``hidden``, which the trunk gave
    of the same rows, float32 ``[rows, length, hidden]``.

    Raises:
        AdapterError: The graph is damaged, or not that of a text classifier with so many
            outputs.
    """

    name, cut = "openvino", staticmethod(by_padded_length)

    def __str__(self) -> str:
        return f"{self.name}, cpu"

    def __init__(
        self, graph: Path, outputs: int, *, dtype: str, max_length: int, of_tokens: bool = False,
        part: Part = "whole",
    ) -> None:  # fmt: skip
        self.outputs, self.of_tokens, self._part = outputs, of_tokens, part
        self._graph = graph
        self._dtype, self._max_length = dtype, max_length
        self._lock = threading.Lock()
        weights = graph.with_suffix(".bin")
        self._files = [path for path in (graph, weights) if path.is_file()]
        self._stamp = stamp_of(self._files)
        self._kept: CompiledGraph | None = None
        if graph.suffix == ".xml" and weights in self._files:
            settings = self._settings("LATENCY")
            self._kept = CompiledGraph.of(core(), graph, self._stamp, settings, outputs)
        # What is kept was checked before.
        self._inputs = (self._kept and self._kept.inputs) or self._checked()

    def _checked(self) -> set[str]:
        """What the graph takes, which must be one of a text classifier."""
        inputs = {each.any_name for each in self._model.inputs}
        shape = self._model.outputs[0].partial_shape
        fixed = [axis.get_length() if axis.is_static else None for axis in shape]
        check_classifier(
            self._graph, inputs, fixed, self.outputs, of_tokens=self.of_tokens, part=self._part
        )
        return inputs

    @cached_property
    def _model(self) -> Any:
        check_same(self._graph, self._files, self._stamp)
        try:
            model = read_graph(self._graph)
            _ = model.outputs[0].partial_shape[1]
        except Exception as problem:  # its errors have no other class in common
            raise damaged(self._graph, "OpenVINO") from problem
        return model

    def logits(
        self, texts: TokenizedTexts, rows: np.ndarray, hidden: np.ndarray | None = None
    ) -> np.ndarray:
        """The logits of one batch, as soon as possible."""
        with self._lock:
            return self._infer(self._alone, texts, rows, hidden)

    def _infer(
        self, request: Any, texts: TokenizedTexts, rows: np.ndarray, hidden: np.ndarray | None
    ) -> np.ndarray:
        padded = texts.pad(rows, None if hidden is None else hidden.shape[1])
        inputs = feed(padded, self._inputs, hidden)
        logits: np.ndarray = request.infer(inputs, share_inputs=True)[0]
        return logits[padded.mask] if self.of_tokens else logits

    def side_by_side(self, texts: int | None) -> tuple[ComputeOn, Workers]:
        """As many threads as OpenVINO wants requests; compiled for throughput the first time."""
        compiled, thread = self._together, threading.local()

        def compute(
            texts: TokenizedTexts, rows: np.ndarray, hidden: np.ndarray | None = None
        ) -> np.ndarray:
            if not hasattr(thread, "request"):
                thread.request = compiled.create_infer_request()
            return self._infer(thread.request, texts, rows, hidden)

        return compute, Workers(int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))

    @cached_property
    def _alone(self) -> Any:
        check_same(self._graph, self._files, self._stamp)
        if self._kept is None:
            return self._compiled("LATENCY").create_infer_request()
        compiled = self._kept.read() or self._kept.compile(self._model)
        return compiled.create_infer_request()

    @cached_property
    def _together(self) -> Any:
        # Attention fused into one kernel is slower for short texts of all lengths than its parts,
        # by a fifth in all; from 512 tokens on it is faster. The key is none of the public ones.
        if self._max_length <= _SHORT:
            with suppress(RuntimeError):  # another version, which does not know the key
                return self._compiled("THROUGHPUT", SNIPPETS_MODE="DISABLE")
        return self._compiled("THROUGHPUT")

    def _compiled(self, mode: str, **more: str) -> Any:
        return core().compile_model(self._model, "CPU", self._settings(mode) | more)

    def _settings(self, mode: str) -> dict[str, Any]:
        """What to compile with: for the shortest time of one batch, or the most batches."""
        settings = {"PERFORMANCE_HINT": mode, "INFERENCE_NUM_THREADS": cores_allowed()}
        if self._dtype != "auto":
            settings["INFERENCE_PRECISION_HINT"] = _PRECISIONS[self._dtype]
        return settings


def read_graph(graph: Path) -> Any:
    """OpenVINO's model of an ``.xml`` or ``.onnx`` file; raises errors of its own."""
    if graph.suffix != ".onnx":
        return core().read_model(graph)
    # Asked in general, it would try every format it knows and complain on stderr.
    frontend = import_openvino().frontend.FrontEndManager().load_by_framework("onnx")
    return frontend.convert(frontend.load(str(graph)))
