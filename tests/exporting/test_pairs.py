"""Graphs of models that are asked pairs take token types where the backbone has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import lora_bert
from lora_bert.errors import InputTypeError

onnx = pytest.importorskip("onnx", reason="the extras onnx and openvino are not installed")

PAIRS = [
    ("good tasty 7", "很好吃"),
    ("bad", "awful slow late cold " * 9),
    ("", "zebra"),
    ("a", "b"),
]


def inputs_of(graph: Path) -> set[str]:
    return {each.name for each in onnx.load(graph).graph.input}


@pytest.mark.parametrize("model_type", ["bert", "albert", "ernie", "roformer", "roberta"])
def test_the_same_answers_as_torch(
    model_type: str, trained: dict[str, Path], tmp_path: Path
) -> None:
    stranger = shutil.copytree(trained[model_type] / "merged", tmp_path / "model")
    (stranger / "lora_bert.json").unlink()  # then it may be asked either
    lora_bert.export(stranger, tmp_path / "out", format="onnx")
    assert ("token_type_ids" in inputs_of(tmp_path / "out" / "model.onnx")) == (
        model_type != "roberta"
    )
    expected = lora_bert.load(stranger, dtype="float32")
    for engine in ("onnx", "openvino"):
        found = lora_bert.load(tmp_path / "out", engine=engine, dtype="float32", batch_size=3)
        for texts in (PAIRS, ["good", "bad slow"]):
            np.testing.assert_allclose(found.values(texts), expected.values(texts), atol=1e-4)


@pytest.mark.parametrize("kind", ["openvino", "onnx"])
def test_an_adapter_of_pairs(
    kind: str, pair_adapter: Path, pair_rows: Path, tmp_path: Path
) -> None:
    result = lora_bert.export(pair_adapter, tmp_path / "out", format=kind, data=str(pair_rows))
    assert result.difference < 1e-4
    assert result.asked_as == '"…" --pair "…"'
    assert result.accuracy is not None
    assert result.accuracy[0] == result.accuracy[1]
    found = lora_bert.load(tmp_path / "out", dtype="float32")
    expected = lora_bert.load(pair_adapter, dtype="float32").values(PAIRS)
    np.testing.assert_allclose(found.values(PAIRS), expected, atol=1e-4)
    with pytest.raises(InputTypeError, match="number 0 is one text"):
        found.predict(["good"])


def test_int8_of_pairs(pair_adapter: Path, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    lora_bert.export(pair_adapter, tmp_path / "out", int8=True)
    values = lora_bert.load(tmp_path / "out").values(PAIRS)
    expected = lora_bert.load(pair_adapter, dtype="float32").values(PAIRS)
    assert np.abs(values - expected).max() < 0.3


def test_a_graph_of_single_texts_takes_no_types(adapter: Path, tmp_path: Path) -> None:
    lora_bert.export(adapter, tmp_path / "out", format="onnx")
    assert inputs_of(tmp_path / "out" / "model.onnx") == {"input_ids", "attention_mask"}
