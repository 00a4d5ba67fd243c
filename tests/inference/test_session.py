"""``Session``: many adapters on one backbone, added, removed and asked by many threads."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import shutil
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import lora_bert
from lora_bert.adapters import open_backbone as room
from lora_bert.errors import AdapterError, ConfigError, InputTypeError, NotFoundError
from lora_bert.model.lora import LoraUpdate
from tests.tiny import write_backbone

TEXTS = ["good", "bad and slow", "好吃", "tasty " * 9, "太慢了", ""] * 7


def with_other_weights(
    adapter: Path, place: Path, seed: int, max_length: int | None = None
) -> Path:
    """A copy of an adapter whose answers are its own, as somebody makes it by hand."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(adapter, place)
    weights = place / "adapter_model.safetensors"
    chance = np.random.default_rng(seed)
    tensors = {
        name: values + 0.05 * chance.standard_normal(values.shape).astype(values.dtype)
        for name, values in load_file(weights).items()
    }
    save_file(tensors, weights, metadata={"format": "pt"})
    manifest = json.loads((place / "lora_bert.json").read_text())
    manifest |= {"files": {}, **({"max_length": max_length} if max_length else {})}
    (place / "lora_bert.json").write_text(json.dumps(manifest))
    return place


@pytest.fixture(scope="module")
def adapters(adapter, tmp_path_factory):
    """Five adapters on one backbone, and what each of them answers alone."""
    place = tmp_path_factory.mktemp("adapters")
    made = [with_other_weights(adapter, place / f"number-{n}", n) for n in range(5)]
    return {path: lora_bert.load(path, dtype="float32").probabilities(TEXTS) for path in made}


@pytest.fixture
def session(tiny_backbone):
    return lora_bert.Session(tiny_backbone, dtype="float32", batch_size=8)


def test_each_adapter_answers_as_it_does_alone(session, adapters):
    assert session.names == ()
    for number, path in enumerate(adapters):
        assert session.add(path) == f"number-{number}"
    assert session.names == tuple(path.name for path in adapters)
    answers = []
    for path, expected in adapters.items():
        found = session.probabilities(TEXTS, adapter=path.name)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        labels = [one.label for one in session.predict(TEXTS, adapter=path.name)]
        assert labels == [session.predictor(path.name).labels[at] for at in found.argmax(axis=1)]
        answers.append(found)
    assert min(np.abs(answers[0] - other).max() for other in answers[1:]) > 1e-3
    sure = session.predict(["good"], adapter="number-1", min_score=1.0, otherwise="ask")
    assert sure[0].label == "ask"


def test_names(session, adapters):
    one, other = list(adapters)[:2]
    assert session.add(one, name="reviews") == "reviews"
    assert session.add(str(one)) == one.name
    with pytest.raises(ConfigError, match="has an adapter 'reviews' already"):
        session.add(other, name="reviews")
    np.testing.assert_allclose(
        session.probabilities(TEXTS, adapter="reviews"), adapters[one], atol=1e-5
    )
    session.remove("reviews")
    assert session.names == (one.name,)
    for ask in (
        lambda: session.remove("reviews"),
        lambda: session.predict(TEXTS, adapter="reviews"),
        lambda: session.predictor("reviews"),
    ):
        with pytest.raises(ConfigError, match="has no adapter 'reviews'"):
            ask()
    with pytest.raises(ConfigError) as caught:
        session.probabilities(TEXTS, adapter="numbre-0")
    assert "Did you mean 'number-0'?" in caught.value.hint
    assert session.add(other, name="reviews") == "reviews"
    assert repr(session) == "Session('tiny-bert': number-0, reviews)"


def test_what_is_refused(session, adapter, merged, tmp_path):
    other = write_backbone(tmp_path / "other-bert", layer_norm_eps=1e-3)
    with pytest.raises(AdapterError, match="was trained on another backbone"):
        lora_bert.Session(other).add(adapter)
    with pytest.raises(ConfigError, match="is a merged model, and has its backbone inside"):
        session.add(merged)
    with pytest.raises(ConfigError, match="is a backbone, not an adapter"):
        session.add(other)
    with pytest.raises(ConfigError, match="has labels of its own"):
        session.add(adapter, labels=["no", "yes"])
    with pytest.raises(ConfigError, match="name is a string, not int"):
        session.add(adapter, name=5)
    with pytest.raises(ConfigError, match="name is empty"):
        session.add(adapter, name=" ")
    with pytest.raises(NotFoundError, match="absent"):
        session.add(tmp_path / "absent")
    with pytest.raises(NotFoundError, match="No such backbone directory"):
        lora_bert.Session(tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"dtype.*float8"):
        lora_bert.Session(other, dtype="float8")
    assert session.names == ()
    session.add(adapter)
    with pytest.raises(InputTypeError, match=r"pass \[text\]"):
        session.predict("good", adapter=adapter.name)


def test_neither_is_pickled_or_copied(session, adapters):
    name = session.add(next(iter(adapters)))
    for kind, one in (("Session", session), ("Predictor", session.predictor(name))):
        for to_another in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match=f"A {kind} cannot be pickled or copied"):
                to_another(one)


def test_adapters_come_and_go_while_others_answer(session, adapters):
    """Whoever is there answers, and as it does alone; nobody else is in its place."""
    steady, *others = adapters
    session.add(steady)
    over, answered = threading.Event(), [0]

    def ask():
        while not over.is_set():
            found = session.probabilities(TEXTS, adapter=steady.name)
            np.testing.assert_allclose(found, adapters[steady], atol=1e-5)
            for path in others:
                try:
                    found = session.probabilities(TEXTS[:20], adapter=path.name)
                except ConfigError as error:
                    assert "has no adapter" in str(error)
                else:
                    np.testing.assert_allclose(found, adapters[path][:20], atol=1e-5)
                    answered[0] += 1

    def come_and_go(path):
        for _ in range(6):
            session.add(path)
            found = session.probabilities(TEXTS, adapter=path.name)
            np.testing.assert_allclose(found, adapters[path], atol=1e-5)
            session.remove(path.name)

    with ThreadPoolExecutor(len(others) + 3) as threads:
        asking = [threads.submit(ask) for _ in range(3)]
        try:
            list(threads.map(come_and_go, others))
        finally:
            over.set()
        for future in asking:
            future.result()
    assert session.names == (steady.name,)
    assert answered[0] > 0


def test_an_answer_under_way_is_finished_by_whom_it_was_begun(session, adapters):
    one, other = list(adapters)[:2]
    session.add(one, name="reviews")
    parts = session.predictor("reviews").stream([TEXTS, TEXTS, TEXTS])
    first = next(parts)
    session.remove("reviews")
    session.add(other, name="reviews")
    for found in (first, *parts):
        np.testing.assert_allclose(found, adapters[one], atol=1e-5)
    np.testing.assert_allclose(
        session.probabilities(TEXTS, adapter="reviews"), adapters[other], atol=1e-5
    )


def test_adapters_with_other_lengths_share_a_tokenizer(session, adapter, adapters, tmp_path):
    short = with_other_weights(adapter, tmp_path / "short", 9, max_length=4)
    names = [session.add(path) for path in (short, *adapters)]
    tokenizers = [session.predictor(name).tokenizer for name in names]
    assert len({id(one.core) for one in tokenizers}) == 1
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda at: tokenizers[at % 6].encode(TEXTS), range(60)))
    for at, encodings in enumerate(made):
        longest = 4 if at % 6 == 0 else 11
        assert encodings.lengths.max() == longest
    assert {one.fingerprint for one in tokenizers} == {
        lora_bert.load(adapter).manifest.tokenizer["fingerprint"]
    }


@pytest.fixture
def built(monkeypatch):
    """Backbones that are built, instead of found in memory."""
    gc.collect()
    made, build = [], room.build_backbone
    monkeypatch.setattr(
        room, "build_backbone", lambda *args, **given: made.append(given) or build(*args, **given)
    )
    return made


def test_load_shares_a_backbone_that_is_open(adapters, built):
    kept = [lora_bert.load(path, dtype="float32") for path in adapters]
    assert len(built) <= 1
    kept.append(lora_bert.load(next(iter(adapters)), dtype="bfloat16"))
    assert len(built) <= 2
    for predictor, expected in zip(kept, adapters.values(), strict=False):
        np.testing.assert_allclose(predictor.probabilities(TEXTS), expected, atol=1e-5)


def opened_by_session(backbone, dtype="float32"):
    return lora_bert.Session(backbone, dtype=dtype)._base.opened


def test_a_backbone_goes_with_the_last_that_used_it(tmp_path, built):
    place = str(write_backbone(tmp_path / "own"))
    one, other = opened_by_session(place), opened_by_session(place)
    assert one.backbone is other.backbone
    del one, other
    gc.collect()
    opened = opened_by_session(place)
    assert len(built) == 2
    write_backbone(Path(place), layer_norm_eps=1e-3)
    changed = opened_by_session(place)
    assert len(built) == 3
    assert changed.source.fingerprint != opened.source.fingerprint
    rough = opened_by_session(place, "bfloat16")
    assert rough.backbone.dtype == torch.bfloat16


def test_threads_open_a_backbone_once(tmp_path, built):
    place = str(write_backbone(tmp_path / "own"))
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(opened_by_session, [place] * 8))
    assert len({id(one.backbone) for one in opened}) == len(built) == 1


def test_evaluate_against_opens_one_backbone(adapters, reviews, built):
    one, other = list(adapters)[:2]
    found = lora_bert.evaluate(one, reviews, against=other, part="train", dtype="float32")
    assert found.against is not None
    assert len(built) <= 1


def test_one_busy_adapter_at_most_has_a_copy_of_frozen_weights(
    tiny_backbone, adapters, monkeypatch
):
    alive = weakref.WeakSet()
    merge = LoraUpdate.merged_with

    def counted(self, linear):
        made = merge(self, linear)
        alive.add(made.merged)
        return made

    monkeypatch.setattr(LoraUpdate, "merged_with", counted)
    many = TEXTS * 13
    session = lora_bert.Session(tiny_backbone, dtype="bfloat16")
    names = [session.add(path) for path in adapters]
    few = [session.probabilities(TEXTS, adapter=name) for name in names]
    assert not alive
    first = session.probabilities(many, adapter=names[0])
    most = len(alive)
    assert most > 0
    for name in (*names, *names):
        session.probabilities(many, adapter=name)
        assert len(alive) == most
    np.testing.assert_array_equal(session.probabilities(many, adapter=names[0]), first)
    for name, expected in zip(names, few, strict=True):
        np.testing.assert_array_equal(session.probabilities(TEXTS, adapter=name), expected)
    del session
    gc.collect()
    assert not alive


MEASURE = """
import sys, time
from pathlib import Path
import lora_bert
def resident():
    line = next(one for one in open("/proc/self/status") if one.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
texts = ["很好吃 " * (1 + number % 5) for number in range(80)]
session = lora_bert.Session()
for place in sys.argv[1:]:
    before, started = resident(), time.perf_counter()
    name = session.add(place)
    seconds = time.perf_counter() - started
    session.probabilities(texts, adapter=name)
    print(resident() - before, seconds)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_fourth_adapter_costs_megabytes(tmp_path):
    """On the embedded backbone, with weights of its own: less than 10 MB, its first answers too."""
    real = Path(__file__).parents[2] / "adapters" / "waimai"
    places = [with_other_weights(real, tmp_path / f"a{number}", number) for number in range(5)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *places],
        capture_output=True, check=True, text=True, timeout=170,
    )  # fmt: skip
    costs = [float(line.split()[0]) / 1e6 for line in done.stdout.splitlines()]
    assert len(costs) == 5
    assert costs[3] < 10, costs
    assert costs[4] < 10, costs
