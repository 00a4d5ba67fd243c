"""Exported models under the names that Optimum and the hub give them."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

import lora_bert
from lora_bert.adapters.directory import kind_of
from lora_bert.errors import AdapterError, BackboneError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported(merged, tmp_path_factory) -> Path:
    """An exported model as somebody else's program leaves it: without lora_bert.json."""
    place = tmp_path_factory.mktemp("exported") / "onnx"
    lora_bert.export(merged, place, format="onnx")
    for name in ("lora_bert.json", "README.md"):
        (place / name).unlink(missing_ok=True)
    return place


def laid_out(exported: Path, place: Path, *graphs: str) -> Path:
    shutil.copytree(exported, place)
    graph = (place / "model.onnx").rename(place / "aside")
    for name in graphs:
        (place / name).parent.mkdir(exist_ok=True)
        shutil.copy(graph, place / name)
    graph.unlink()
    return place


@pytest.mark.parametrize(
    ("graphs", "opened"),
    [
        (["model.onnx"], None),
        (["model_quantized.onnx"], "model_quantized.onnx"),
        (["model_O2.onnx"], "model_O2.onnx"),
        (["onnx/model.onnx"], "onnx/model.onnx"),
        (["onnx/model_quantized.onnx"], "onnx/model_quantized.onnx"),
        (["onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_O1.onnx"], "onnx/model.onnx"),
        (["model.onnx", "model_quantized.onnx"], None),
    ],
)
def test_the_graph_is_found(graphs, opened, exported, tmp_path, caplog):
    place = laid_out(exported, tmp_path / "model", *graphs)
    caplog.set_level(logging.INFO, "lora_bert")
    expected = lora_bert.load(exported, engine="onnx").probabilities(["good", "bad"])
    for engine in ("onnx", "auto"):
        found = lora_bert.load(place, engine=engine).probabilities(["good", "bad"])
        assert abs(found - expected).max() < 1e-2
    assert opened is None or f"its graph is '{opened}'" in caplog.text
    outcome = lora_bert.verify(place)
    assert (outcome.kind, outcome.passed) == ("onnx", True), outcome.checks


def test_several_of_which_none_is_the_usual(exported, tmp_path):
    place = laid_out(exported, tmp_path / "m", "onnx/model_O1.onnx", "onnx/model_O2.onnx")
    with pytest.raises(
        AdapterError, match=r"several graphs, 'onnx/model_O1\.onnx', 'onnx/"
    ) as caught:
        lora_bert.load(place)
    assert "'onnx/model.onnx'" in caught.value.hint
    assert lora_bert.verify(place).exit_code == 65


def test_the_folder_of_the_graphs(exported, tmp_path):
    place = laid_out(exported, tmp_path / "m", "onnx/model.onnx")
    with pytest.raises(BackboneError, match="has no config") as caught:
        lora_bert.load(place / "onnx")
    assert caught.value.hint == f"Did you mean '{place}'?"


def test_weights_come_before_graphs(exported, merged, tmp_path):
    place = laid_out(exported, tmp_path / "m", "onnx/model.onnx")
    shutil.copy(merged / "model.safetensors", place)
    assert kind_of(place) == "merged"


def test_a_backbone_with_graphs_is_a_backbone(exported, tmp_path):
    place = laid_out(exported, tmp_path / "m", "onnx/model.onnx")
    config = json.loads((place / "config.json").read_text()) | {"architectures": ["BertModel"]}
    (place / "config.json").write_text(json.dumps(config))
    (place / "pytorch_model.bin").write_bytes(b"x")
    outcome = lora_bert.verify(place)
    assert outcome.kind == "backbone"
    assert "only as a pickle" in outcome.checks[0].said


def test_openvino_under_another_name(merged, tmp_path):
    pytest.importorskip("openvino")
    place = tmp_path / "ov"
    lora_bert.export(merged, place, format="openvino")
    (place / "lora_bert.json").unlink()
    expected = lora_bert.load(place).probabilities(["good"])
    (place / "openvino").mkdir()
    for end in ("xml", "bin"):
        (place / f"openvino_model.{end}").rename(place / "openvino" / f"openvino_model_q.{end}")
    assert abs(lora_bert.load(place).probabilities(["good"]) - expected).max() < 1e-2
    assert lora_bert.verify(place).passed
