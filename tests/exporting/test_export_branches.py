"""Adapters that are exported together: one trunk, a branch each, the answers of each alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import lora_bert
from lora_bert.cli.app import run
from lora_bert.errors import AdapterError, ConfigError
from tests.inference.test_session import with_other_weights
from tests.tiny import SIZES

pytest.importorskip("onnx", reason="the extras onnx and openvino are not installed")

TEXTS = ["good tasty 7", "很好吃", "", "bad and awful, slow slow late cold " * 9, "zebra"]
MANY = [f"{text} {number}" for number in range(9) for text in TEXTS]
NAMES = ["deep", "means", "short", "head"]


@pytest.fixture(scope="module")
def places(adapter, tiny_backbone, reviews, tmp_path_factory) -> list[Path]:
    """Adapters of the upper two layers, of one, cut early, and of none."""
    place = tmp_path_factory.mktemp("adapters")
    for name, options in (("means", {"layers": "top:1", "pooling": "mean", "rank": 3}),
                          ("head", {"method": "head-only"})):  # fmt: skip
        lora_bert.train(
            reviews, backbone=str(tiny_backbone), output=place / name, epochs=1, dtype="float32",
            head_start="random", learning_rate=0.05, **options,
        )  # fmt: skip
    with_other_weights(adapter, place / "deep", 1)
    with_other_weights(adapter, place / "short", 2, max_length=5)
    return [place / name for name in NAMES]


@pytest.fixture(scope="module")
def exported(places, tmp_path_factory):
    """What is written of them in each format, when first asked for; do not change it."""

    @cache
    def make(kind):
        return lora_bert.export(places, tmp_path_factory.mktemp("together") / kind, format=kind)

    return make


@pytest.mark.parametrize("kind", ["openvino", "onnx"])
def test_each_answers_as_it_does_alone(kind, places, exported):
    result = exported(kind)
    assert (result.trunk_layers, result.layers) == (2, SIZES["num_hidden_layers"])
    assert list(result.branches) == NAMES
    assert all(each.difference < 1e-5 for each in result.branches.values())
    own = sum(each.size for each in result.branches.values())
    assert own < result.size == sum(file.stat().st_size for file in result.path.rglob("*.*"))
    wanted = {place.name: lora_bert.load(place, dtype="float32").values(MANY) for place in places}
    session = lora_bert.Session.from_directory(result.path, dtype="float32", batch_size=8)
    assert session.names == tuple(sorted(NAMES))
    together = session.values(MANY, adapters=NAMES)
    few = session.values(MANY[:3], adapters=NAMES)
    rows = session.values(MANY, adapter=[NAMES[row % 4] for row in range(len(MANY))])
    for name, values in wanted.items():
        np.testing.assert_allclose(together[name], values, atol=1e-5)
        np.testing.assert_allclose(few[name], values[:3], atol=1e-5)
        alone = lora_bert.load(result.path / name, dtype="float32", engine=kind)
        np.testing.assert_allclose(alone.values(MANY), values, atol=1e-5)
        for row in range(NAMES.index(name), len(MANY), 4):
            np.testing.assert_allclose(rows[row], values[row], atol=1e-5)
    assert session.predict(TEXTS, adapters=["deep"])["deep"][0].label in ("negative", "positive")


def test_branches_share_the_trunk_in_memory(exported):
    place = exported("onnx").path
    one, other = (lora_bert.load(place / name, engine="onnx") for name in ("deep", "head"))
    assert one.engine.trunk is other.engine.trunk
    assert one.engine.branch is not other.engine.branch
    session = lora_bert.Session.from_directory(place, memory=0)
    session.predict(TEXTS, adapters=NAMES)
    assert len(session.loaded) == 1


def test_predicting_imports_no_torch(exported, tmp_path):
    program = (
        "import json, sys, lora_bert\n"
        "session = lora_bert.Session(sys.argv[1])\n"
        "session.add(sys.argv[1] + '/deep'), session.add(sys.argv[1] + '/head')\n"
        "found = session.predict(['good', 'bad'], adapters=['deep', 'head'])\n"
        "assert [len(each) for each in found.values()] == [2, 2]\n"
        "print(sorted(set(name.split('.')[0] for name in sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(exported("onnx").path)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "LORA_BERT_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert "'lora_bert'" in done.stdout
    assert not [name for name in ("torch", "transformers", "peft") if f"'{name}'" in done.stdout]


def test_pairs_and_texts_on_one_trunk(adapter, pair_adapter, tmp_path):
    """Token types are the trunk's, where one of them is asked pairs."""
    lora_bert.export([adapter, pair_adapter], tmp_path / "out", format="onnx")
    pairs = [("good tasty 7", "很好吃"), ("bad", "awful slow late cold " * 9), ("", "zebra")]
    for place, texts in ((adapter, TEXTS), (pair_adapter, pairs)):
        wanted = lora_bert.load(place, dtype="float32").values(texts)
        for engine in ("onnx", "openvino"):
            found = lora_bert.load(tmp_path / "out" / place.name, engine=engine, dtype="float32")
            np.testing.assert_allclose(found.values(texts), wanted, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["openvino", "onnx"])
def test_eight_bits(kind, places, reviews, tmp_path):
    pytest.importorskip("nncf")
    result = lora_bert.export(
        places[:2], tmp_path / "out", format=kind, int8=True, data=str(reviews)
    )
    assert result.precision == "int8"
    for each in result.branches.values():
        assert 0 < each.difference < 1
        assert each.accuracy is not None
    session = lora_bert.Session.from_directory(tmp_path / "out")
    assert set(session.predict(TEXTS, adapters=["deep", "means"])) == {"deep", "means"}


def test_what_cannot_share_a_trunk(places, merged, tmp_path):
    out = tmp_path / "out"
    stranger = Path(shutil.copytree(places[1], tmp_path / "stranger"))
    manifest = json.loads((stranger / "lora_bert.json").read_text())
    manifest["backbone"]["fingerprint"] = "0" * 64
    (stranger / "lora_bert.json").write_text(json.dumps(manifest))
    with pytest.raises(AdapterError, match="was trained on another backbone than"):
        lora_bert.export([places[0], stranger], out)
    for order in ([places[0], merged], [merged, places[0]]):
        with pytest.raises(ConfigError, match="it cannot share a trunk"):
            lora_bert.export(order, out)
    namesake = shutil.copytree(places[1], tmp_path / "deep")
    with pytest.raises(ConfigError, match="are both called 'deep'"):
        lora_bert.export([places[0], namesake], out)
    with pytest.raises(ConfigError, match="labels is for one adapter"):
        lora_bert.export(places, out, labels=["a", "b"])
    hidden = shutil.copytree(places[1], tmp_path / ".hidden")
    with pytest.raises(ConfigError, match=r"cannot be called '\.hidden'"):
        lora_bert.export([places[0], hidden], out)
    assert not out.exists()


def test_a_branch_needs_its_own_trunk(exported, places, tmp_path):
    place = Path(shutil.copytree(exported("onnx").path, tmp_path / "out"))
    alone = shutil.copytree(place / "deep", tmp_path / "alone" / "deep")
    with pytest.raises(AdapterError, match="the trunk that it stands on is not in"):
        lora_bert.load(alone)
    lora_bert.export(places[1:2] + places[3:], tmp_path / "higher", format="onnx")
    shutil.copytree(alone, tmp_path / "higher" / "deep")
    with pytest.raises(AdapterError, match="is a branch on another trunk"):
        lora_bert.load(tmp_path / "higher" / "deep")
    session = lora_bert.Session(place)
    with pytest.raises(ConfigError, match="is no branch on the trunk in"):
        session.add(places[0])
    with pytest.raises(ConfigError, match="is no branch on the trunk in"):
        session.add(tmp_path / "higher" / "means")
    assert session.add(place / "deep", verify=True) == "deep"
    shutil.move(place / "trunk.onnx", tmp_path / "elsewhere")
    (place / "trunk.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdapterError, match="is a link that leads out of its directory"):
        lora_bert.load(place / "deep")
    (place / "trunk.onnx").unlink()
    with pytest.raises(AdapterError, match=r"has no trunk\.onnx"):
        lora_bert.Session(place)


@pytest.mark.parametrize("change", [{"width": "32"}, {"layers": -1}, {"format": "tflite"}, {}])
def test_a_damaged_description(change, exported, tmp_path):
    place = Path(shutil.copytree(exported("onnx").path, tmp_path / "out"))
    written = json.loads((place / "trunk.json").read_text())
    text = json.dumps(written | change) if change else '{"format": '
    (place / "trunk.json").write_text(text)
    for opened in (lambda: lora_bert.Session(place), lambda: lora_bert.load(place / "deep")):
        with pytest.raises(AdapterError, match=r"trunk\.json"):
            opened()


def test_the_whole_directory_is_no_single_model(exported):
    place = exported("onnx").path
    with pytest.raises(AdapterError, match="holds a trunk and branches on it") as caught:
        lora_bert.load(place)
    assert f"'{place / 'deep'}'" in caught.value.hint
    outcome = lora_bert.verify(place / "deep")
    assert (outcome.kind, outcome.passed) == ("onnx", True), outcome.checks


def test_an_engine_that_cannot_run_a_trunk_is_refused(exported, capsys):
    place = exported("openvino").path
    assert run(["infer", "--model", str(place), "--engine", "torch", "good"]) == 2
    assert f"--engine torch: '{place}' is exported for openvino" in capsys.readouterr().err


def test_a_trunk_that_was_replaced(exported, places, tmp_path):
    place = Path(shutil.copytree(exported("onnx").path, tmp_path / "out"))
    session = lora_bert.Session.from_directory(place)
    session.predict(TEXTS, adapter="deep")
    lora_bert.export(places, place, format="onnx", overwrite=True)
    with pytest.raises(AdapterError, match="was replaced while it was in use"):
        session.predict(TEXTS, adapter="head")
