"""The ONNX Runtime engine: an exported model on the CPU, in the precision it was exported in."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.backbones.fingerprint import stamp_of
from lora_bert.inference.engines.engine import ComputeOn, cores_allowed, shares
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

_ERRORS_ONLY = 3


class OnnxEngine:
    """Computes an ``.onnx`` file with ONNX Runtime.

    It is a ``part`` of a classifier, or the whole. A branch computes with ``hidden``, which the
    trunk gave of the same rows, float32 ``[rows, length, hidden]``.

    Raises:
        AdapterError: The graph is damaged, or not that of a text classifier with so many
            outputs.
    """

    name, cut = "onnx", staticmethod(by_padded_length)

    def __str__(self) -> str:
        return f"{self.name}, cpu"

    def __init__(
        self, graph: Path, outputs: int, *, of_tokens: bool = False, part: Part = "whole"
    ) -> None:
        self._graph, self.outputs, self.of_tokens = graph, outputs, of_tokens
        self._stamp = stamp_of([graph])
        self._inputs = {each.name for each in self._alone.get_inputs()}
        shape = self._alone.get_outputs()[0].shape
        check_classifier(graph, self._inputs, shape, outputs, of_tokens=of_tokens, part=part)

    def logits(
        self, texts: TokenizedTexts, rows: np.ndarray, hidden: np.ndarray | None = None
    ) -> np.ndarray:
        """The logits of one batch, by all cores."""
        return self._run(self._alone, texts, rows, hidden)

    def side_by_side(self, texts: int | None) -> tuple[ComputeOn, Workers]:
        """Threads with their share of the cores."""
        return partial(self._run, self._together), Workers(shares()[0])

    @cached_property
    def _alone(self) -> Any:
        return self._session(cores_allowed())

    @cached_property
    def _together(self) -> Any:
        count, cores = shares()
        return self._session(cores) if count > 1 else self._alone

    def _session(self, cores: int) -> Any:
        import onnxruntime

        check_same(self._graph, [self._graph], self._stamp)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores
        options.log_severity_level = _ERRORS_ONLY
        try:
            return onnxruntime.InferenceSession(
                self._graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as problem:  # its errors have no other class in common
            raise damaged(self._graph, "ONNX Runtime") from problem

    def _run(
        self, session: Any, texts: TokenizedTexts, rows: np.ndarray,
        hidden: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        padded = texts.pad(rows, None if hidden is None else hidden.shape[1])
        logits: np.ndarray = session.run(None, feed(padded, self._inputs, hidden))[0]
        return logits[padded.mask] if self.of_tokens else logits
