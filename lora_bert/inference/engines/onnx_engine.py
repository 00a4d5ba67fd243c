"""The ONNX Runtime engine: an exported model on the CPU, in the precision it was exported in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.backbones.noted_backbones import stamp_of
from lora_bert.errors import AdapterError
from lora_bert.inference.engines.engine import Crew, cores_allowed, shares
from lora_bert.inference.engines.graph_inputs import IDS, MASK, feed
from lora_bert.tokens.tokenized import TokenizedTexts

_ERRORS_ONLY = 3


class OnnxEngine:
    """Computes with ONNX Runtime.

    Args:
        graph: The ``.onnx`` file.
        labels: How many the model must have.

    Raises:
        AdapterError: The graph is damaged, or not that of a text classifier with these labels.
    """

    name = "onnx"

    def __str__(self) -> str:
        return f"{self.name}, cpu"

    def __init__(self, graph: Path, labels: int) -> None:
        self._graph, self.labels = graph, labels
        self._stamp = stamp_of([graph])
        inputs = {one.name for one in self._alone.get_inputs()}
        outputs = self._alone.get_outputs()[0].shape[-1]
        if not {IDS, MASK} <= inputs or (isinstance(outputs, int) and outputs != labels):
            raise AdapterError(f"'{graph}' is not a text classifier with {labels} labels.")
        self._inputs = inputs

    def logits(self, texts: TokenizedTexts, rows: np.ndarray) -> np.ndarray:
        """The logits of one batch, by all cores."""
        return self._run(self._alone, texts, rows)

    @contextmanager
    def crew(self) -> Iterator[Crew]:
        """Threads with their share of the cores."""
        count, _ = shares()
        session = self._together if count > 1 else self._alone
        threads = ThreadPoolExecutor(count, "lora-bert")
        try:
            yield Crew(partial(self._run, session), threads)
        finally:
            threads.shutdown(cancel_futures=True)

    @cached_property
    def _alone(self) -> Any:
        return self._session(cores_allowed())

    @cached_property
    def _together(self) -> Any:
        return self._session(shares()[1])

    def _session(self, cores: int) -> Any:
        import onnxruntime

        # The second session must not be of another model than the first one.
        if not self._graph.exists() or stamp_of([self._graph]) != self._stamp:
            raise AdapterError(
                f"'{self._graph}' was replaced while it was in use.", hint="Load the model again."
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores
        options.log_severity_level = _ERRORS_ONLY
        try:
            return onnxruntime.InferenceSession(
                self._graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as problem:  # its errors have no other class in common
            raise AdapterError(
                f"'{self._graph}' is damaged: ONNX Runtime cannot read it.",
                hint="Copy the directory again, or export the model again.",
            ) from problem

    def _run(self, session: Any, texts: TokenizedTexts, rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = session.run(None, feed(texts.pad(rows), self._inputs))[0]
        return found
