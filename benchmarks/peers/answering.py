"""Timing an engine: a file into a file, and one text at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.changes import changes
from benchmarks.data import read_rows
from benchmarks.peers import engines
from benchmarks.peers.models import read_labels

_CALM = 20
"""Answers given before the clock starts."""


def file_to_file(
    model: str, source: str, warm: str, scratch: str, exact: str, engine: str, **settings: Any
) -> dict[str, Any]:
    """Rows per second from JSON lines to JSON lines, tokenising included, the model loaded.

    With what the answers change against those in the file ``exact``.
    """
    predict: engines.Predict = getattr(engines, engine)(model, **settings)
    labels = read_labels(model)
    _classify(predict, labels, warm, f"{scratch}/warm.jsonl")
    started = time.perf_counter()
    rows = _classify(predict, labels, source, f"{scratch}/out.jsonl")
    seconds = time.perf_counter() - started
    changed = changes(Path(scratch, "out.jsonl"), exact)
    return {"rate": rows / seconds, "seconds": seconds, "rows": rows, **changed}


def exact(model: str, source: str, target: str, device: str) -> dict[str, Any]:
    """Write the answers that others are held against: those of ``transformers`` in float32."""
    predict = engines.transformers_torch(model, dtype="float32", device=device)
    return {"rows": _classify(predict, read_labels(model), source, target)}


def one_by_one(model: str, source: str, engine: str, **settings: Any) -> dict[str, Any]:
    """Seconds per text, each asked alone."""
    predict: engines.Predict = getattr(engines, engine)(model, **settings)
    return latencies(lambda text: predict([text]), [text for text, _ in read_rows(source)])


def latencies(answer: Any, texts: Sequence[str]) -> dict[str, Any]:
    """The 50th and 99th percentile of the seconds that ``answer(text)`` takes."""
    from benchmarks.ratios import percentile

    for text in texts[:_CALM]:
        answer(text)
    taken = []
    for text in texts:
        started = time.perf_counter()
        answer(text)
        taken.append(time.perf_counter() - started)
    taken.sort()
    return {"p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99), "texts": len(texts)}


def _classify(predict: engines.Predict, labels: Sequence[str], source: str, target: str) -> int:
    """Read every row, classify, write the row with label, score and probabilities."""
    with open(source, encoding="utf-8") as stream:  # noqa: PTH123 - as anyone would write it
        rows = [json.loads(line) for line in stream]
    found = predict([row["text"] for row in rows])
    best, scores = found.argmax(axis=1).tolist(), found.max(axis=1).tolist()
    with open(target, "w", encoding="utf-8") as stream:  # noqa: PTH123
        for row, at, score, shares in zip(rows, best, scores, found.tolist(), strict=True):
            row |= {"prediction": labels[at], "score": score}
            row |= {f"prob_{label}": share for label, share in zip(labels, shares, strict=True)}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    return len(rows)
