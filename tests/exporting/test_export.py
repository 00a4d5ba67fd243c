"""Exported models answer as torch does, and need neither torch nor a backbone to do so."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lora_bert
from lora_bert.errors import AdapterError, ConfigError, UnavailableError
from lora_bert.exporting.quantize import products_in_float, sample_rows
from lora_bert.inference.engines.openvino_engine import read_graph
from lora_bert.tasks.regression import Regression
from tests.tiny import FAMILIES, SIZES

onnx = pytest.importorskip("onnx", reason="the extras onnx and openvino are not installed")

TEXTS = ["good tasty 7", "很好吃", "", "bad and awful, slow slow late cold " * 9, "zebra"]
GRAPHS = {"openvino": "openvino_model.xml", "onnx": "model.onnx"}


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """Every family's merged model in both formats, made when first asked for."""
    made: dict[tuple[str, str], Path] = {}

    def make(model_type: str, kind: str) -> Path:
        if (model_type, kind) not in made:
            out = tmp_path_factory.mktemp("exported") / f"{model_type}-{kind}"
            lora_bert.export(trained[model_type] / "merged", out, format=kind)
            made[model_type, kind] = out
        return made[model_type, kind]

    return make


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_same_answers_as_torch(model_type, kind, exported, trained):
    out = exported(model_type, kind)
    assert (out / GRAPHS[kind]).is_file()
    expected = lora_bert.load(trained[model_type] / "merged", dtype="float32").probabilities(TEXTS)
    found = lora_bert.load(out, engine=kind, dtype="float32")
    assert found.labels == ("negative", "positive")
    np.testing.assert_allclose(found.probabilities(TEXTS), expected, atol=1e-4)
    # In many small batches, too, and one by one.
    small = lora_bert.load(out, engine=kind, dtype="float32", batch_size=2).probabilities(TEXTS)
    np.testing.assert_allclose(small, expected, atol=1e-4)


def test_an_adapter_is_merged_on_the_way(trained, exported, tmp_path):
    result = lora_bert.export(trained["bert"] / "adapter", tmp_path / "out", format="onnx")
    assert result.difference < 1e-4
    assert result.agreement == 1
    one, other = (
        lora_bert.load(path, dtype="float32", engine="onnx").probabilities(TEXTS)
        for path in (tmp_path / "out", exported("bert", "onnx"))
    )
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("kind", GRAPHS)
def test_int8_says_what_it_changes(kind, trained, reviews, exported, tmp_path):
    if kind == "openvino":
        pytest.importorskip("nncf")
    result = lora_bert.export(
        trained["bert"] / "merged", tmp_path / "out", format=kind, int8=True, data=str(reviews)
    )
    assert result.precision == "int8"
    assert 0 < result.difference < 1
    assert result.accuracy is not None
    assert result.texts == 60
    said = json.loads((tmp_path / "out" / "lora_bert.json").read_text())["exported"]
    assert said["precision"] == "int8"
    assert len(lora_bert.load(tmp_path / "out", engine=kind).predict(TEXTS)) == len(TEXTS)
    head = ["bert.pooler.dense.weight", "classifier.weight"]
    if kind == "onnx":
        stored = onnx.load(tmp_path / "out" / GRAPHS[kind]).graph.initializer
        types = {each.name: onnx.TensorProto.DataType.Name(each.data_type) for each in stored}
        assert {types[name] for name in head} == {"FLOAT"}
        assert "INT8" in types.values()
    else:
        graph = read_graph(tmp_path / "out" / GRAPHS[kind])
        inputs = {
            each.get_friendly_name(): {
                value.get_source_output().get_node().get_type_name() for value in each.inputs()
            }
            for each in graph.get_ordered_ops() if each.get_type_name() == "MatMul"
        }  # fmt: skip
        exact = products_in_float(read_graph(exported("bert", kind) / GRAPHS[kind]), head)
        assert len(exact) == 2 * SIZES["num_hidden_layers"] + len(head)
        assert all("FakeQuantize" not in inputs[name] for name in exact)
        assert any("FakeQuantize" in kinds for kinds in inputs.values())


def test_ranges_are_taken_from_all_over_the_rows():
    assert sample_rows(3) == [0, 1, 2]
    many = sample_rows(1000)
    assert (len(many), many[0], many[-1]) == (300, 0, 999)
    assert len(sample_rows(1000, 6)) == 50
    assert len(sample_rows(1000, 1000)) == 1


def test_int8_of_a_number_may_be_off_by_more_than_one(tiny_backbone, tmp_path, monkeypatch):
    """In deviations; of probabilities, which other tasks are off by, there is no more than one."""
    rows = [(f"{'good ' * (at % 4)}bad", float(at % 4)) for at in range(24)]
    trained = lora_bert.train(
        rows, backbone=str(tiny_backbone), output=tmp_path / "own", task="regression", epochs=1,
        head_start="random", dtype="float32",
    )  # fmt: skip
    apart = Regression.apart
    monkeypatch.setattr(Regression, "apart", lambda *values: 100 + apart(*values))
    with pytest.raises(AdapterError, match=r"more than 0\.0001; it was not kept"):
        lora_bert.export(trained.path, tmp_path / "out", format="onnx")
    result = lora_bert.export(trained.path, tmp_path / "out", format="onnx", int8=True)
    assert result.difference > 100
    monkeypatch.setattr(Regression, "apart", lambda *values: np.nan * apart(*values))
    with pytest.raises(AdapterError, match="by nan in"):
        lora_bert.export(trained.path, tmp_path / "no", format="onnx", int8=True)


@pytest.mark.parametrize("kind", GRAPHS)
def test_int8_leaves_the_programs_logging_as_it_was(kind, trained, tmp_path, monkeypatch):
    if kind == "openvino":
        pytest.importorskip("nncf")
    monkeypatch.setattr(logging.root.manager, "disable", logging.NOTSET)
    logging.disable(logging.DEBUG)
    handler, before = logging.NullHandler(), logging.getLoggerClass()
    nncf = logging.getLogger("nncf")
    nncf.addHandler(handler)
    try:
        lora_bert.export(trained["bert"] / "merged", tmp_path / "out", format=kind, int8=True)
    finally:
        nncf.removeHandler(handler)
    assert handler.level == logging.NOTSET
    assert logging.getLoggerClass() is before
    assert logging.root.manager.disable == logging.DEBUG


@pytest.mark.parametrize("kind", GRAPHS)
def test_predicting_imports_neither_torch_nor_other_tasks(kind, exported, tmp_path):
    heavy = "torch transformers peft sklearn scipy matplotlib datasets pandas accelerate".split()
    program = (
        "import json, sys, lora_bert\n"
        "found = lora_bert.load(sys.argv[1], engine=sys.argv[2]).predict(['good', 'bad'])\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(exported("bert", kind)), kind],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "LORA_BERT_CACHE": str(tmp_path)},
    )  # fmt: skip
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "lora_bert" in loaded
    assert [name for name in heavy if name in loaded] == []
    others = ("multi_label", "regression", "relevance", "token_tagging", "question_answering")
    assert [name for name in others if f"lora_bert.tasks.{name}" in loaded] == []


def test_what_does_not_fit_is_said(exported, trained, tmp_path, monkeypatch):
    out = exported("bert", "openvino")
    with pytest.raises(ConfigError, match="exported for openvino"):
        lora_bert.load(out, engine="torch")
    with pytest.raises(ConfigError, match="is not exported for it"):
        lora_bert.load(trained["bert"] / "merged", engine="onnx")
    with pytest.raises(ConfigError, match="engine: 'fast'"):
        lora_bert.load(out, engine="fast")
    damaged = shutil.copytree(out, tmp_path / "damaged")
    (damaged / "openvino_model.xml").write_text("<net>")
    with pytest.raises(AdapterError):
        lora_bert.load(damaged)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UnavailableError, match="openvino"):
        lora_bert.load(out)


def test_a_model_that_is_replaced_while_it_is_in_use(merged, tmp_path, monkeypatch):
    """More texts are computed by a second session, which must not be another model's."""
    monkeypatch.setattr("lora_bert.inference.engines.onnx_engine.shares", lambda: (2, 1))
    place = tmp_path / "graph"
    lora_bert.export(merged, place, format="onnx")
    opened, early = (lora_bert.load(place, engine="onnx") for _ in range(2))
    many = ["good"] * 100
    assert len(early.predict(many)) == 100
    lora_bert.export(merged, place, format="onnx", overwrite=True)
    assert len(early.predict(many)) == 100
    with pytest.raises(AdapterError, match="was replaced while it was in use"):
        opened.predict(many)


def test_ctrl_c_after_models_that_came_and_went_in_their_order(merged, tmp_path):
    """Two cores of OpenVINO would leave a stack for signal handlers that is none any more."""
    pytest.importorskip("openvino")
    lora_bert.export(merged, tmp_path / "out")
    script = (
        "import signal, sys, lora_bert\n"
        "first, second = (lora_bert.load(sys.argv[1]) for _ in range(2))\n"
        "first.predict(['good']), second.predict(['good'])\n"
        "del first\n"
        "del second\n"
        "try:\n    signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt:\n    print('stopped')\n"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr
