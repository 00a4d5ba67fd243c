"""OpenVINO's compiled graph is kept: the next process does without reading and compiling it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import lora_bert
from lora_bert.errors import AdapterError
from lora_bert.inference.engines import openvino_engine

pytest.importorskip("openvino", reason="the extra openvino is not installed")
pytest.importorskip("onnx", reason="the extra openvino is not installed")

TEXTS = ["good tasty", "bad and awful"]


@pytest.fixture(scope="module")
def written(merged, tmp_path_factory):
    """An exported model, which nobody changes."""
    place = tmp_path_factory.mktemp("exported") / "model"
    lora_bert.export(merged, place, format="openvino")
    return place


@pytest.fixture
def place(written, tmp_path, monkeypatch):
    """A copy of it, and a cache with nothing in it."""
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(written, tmp_path / "model"))


@pytest.fixture
def read(monkeypatch):
    """The graphs that are read."""
    graphs = []
    read_graph = openvino_engine.read_graph

    def noted(graph):
        graphs.append(graph)
        return read_graph(graph)

    monkeypatch.setattr(openvino_engine, "read_graph", noted)
    return graphs


def kept(tmp_path):
    return list((tmp_path / "cache" / "openvino").glob("*/*.blob"))


def test_the_same_answers_without_reading_the_graph(place, read, tmp_path):
    first = lora_bert.load(place).probabilities(TEXTS)
    assert len(read) == len(kept(tmp_path)) == 1
    np.testing.assert_array_equal(lora_bert.load(place).probabilities(TEXTS), first)
    assert len(read) == 1
    # For many texts it is compiled otherwise.
    many = lora_bert.load(place, batch_size=1).probabilities(TEXTS)
    np.testing.assert_allclose(many, first, atol=0.01)
    assert len(read) == 2


@pytest.mark.parametrize("name", ["openvino_model.xml", "openvino_model.bin"])
def test_made_again_when_a_file_changes(name, place, read, tmp_path):
    lora_bert.load(place).predict(TEXTS)
    os.utime(place / name)
    lora_bert.load(place).predict(TEXTS)
    assert len(read) == len(kept(tmp_path)) == 2


def test_other_weights_of_the_same_shapes_answer_themselves(place, merged, tmp_path):
    lora_bert.load(place).predict(TEXTS)
    other = shutil.copytree(merged, tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    changed = {"classifier.weight": -tensors["classifier.weight"]}
    save_file(tensors | changed, other / "model.safetensors", metadata={"format": "pt"})
    lora_bert.export(other, tmp_path / "exported", format="openvino")
    wanted = lora_bert.load(tmp_path / "exported").probabilities(TEXTS)
    (tmp_path / "exported" / "openvino_model.bin").replace(place / "openvino_model.bin")
    np.testing.assert_array_equal(lora_bert.load(place).probabilities(TEXTS), wanted)


def test_a_damaged_one_is_made_again(place, read, tmp_path, caplog):
    first = lora_bert.load(place).probabilities(TEXTS)
    (blob,) = kept(tmp_path)
    blob.write_bytes(bytes(blob.stat().st_size))
    np.testing.assert_array_equal(lora_bert.load(place).probabilities(TEXTS), first)
    assert "cannot be read and is made again" in caplog.text
    assert len(read) == 2


def test_nothing_is_kept_without_room(place, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BERT_CACHE_LIMIT", "0")
    assert len(lora_bert.load(place).predict(TEXTS)) == 2
    assert not kept(tmp_path)


def test_a_model_that_is_replaced_while_it_is_open_is_not_read(place):
    predictor = lora_bert.load(place)
    os.utime(place / "openvino_model.bin")
    with pytest.raises(AdapterError, match="was replaced while it was in use"):
        predictor.predict(TEXTS)
