"""What a machine of a cluster does with what it is told, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lora_bert
from lora_bert.config import InferConfig
from lora_bert.data.pair_columns import TextColumns
from lora_bert.data.rows import ReadOptions
from lora_bert.inference import ray_worker
from lora_bert.inference.ray_worker import Job, _opened, read
from lora_bert.options import build


def job(**changes):
    told = {
        "path": "model", "config": build(InferConfig, {}), "reading": ReadOptions(),
        "texts": TextColumns("text"), "columns": ("text", "n"), "first": "in1.jsonl",
        "schema": None, "typed": True, "room": "room", "suffix": ".jsonl",
    }  # fmt: skip
    return Job(**(told | changes))


def write(path: Path, *, lines: bool) -> Path:
    rows = [{"text": "good", "n": 1}, {"text": "bad", "n": 2}]
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
    return path


def test_a_file_whose_values_have_no_types_is_not_mixed_with_others(tmp_path):
    """Without a cluster all files decide together whether values keep their types."""
    batch = {"number": [0], "source": [str(write(tmp_path / "a.jsonl", lines=True))]}
    assert [row["rows"] for row in read(batch, job())] == [[2], [2]]
    batch = {"number": [1], "source": [str(write(tmp_path / "b.jsonl", lines=False))]}
    *parts, end = read(batch, job())
    ((kind, error, sentence, hint),) = json.loads(end["said"][0])
    assert (parts, kind, error) == ([], "error", "DataError")
    assert "b.jsonl' holds its rows in another way than 'in1.jsonl'" in sentence
    assert "write csv" in hint


@pytest.mark.parametrize("engine", ["torch", "onnx", "openvino"])
def test_an_engine_that_opens_its_model_twice_still_has_it(engine, merged, tmp_path, monkeypatch):
    kind = {"torch": None, "onnx": "onnx", "openvino": "openvino"}[engine]
    if kind:
        pytest.importorskip("onnx")
        pytest.importorskip({"onnx": "onnxruntime"}.get(kind, kind))
    place = lora_bert.export(merged, tmp_path / "e", format=kind).path if kind else merged
    files = {f"{ray_worker.MODEL}/{file.name}": file.read_bytes()
             for file in Path(place).iterdir() if file.is_file()}  # fmt: skip
    here = tmp_path / "sent"
    here.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(here))
    config = build(InferConfig, {"engine": engine, "dtype": "float32"})
    predictor, held = _opened(job(config=config), files)
    assert len(predictor.predict(["good"])) == 1
    assert len(next(predictor.stream([["good", "bad"] * 300]))) == 600
    assert bool(list(here.iterdir())) == (engine != "torch")
    del predictor, held
