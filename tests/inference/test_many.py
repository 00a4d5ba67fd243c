"""Many adapters of a session at once: rows of different ones, and a text answered by several."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import lora_bert
from lora_bert.errors import ConfigError, InputTypeError, TextError
from tests.inference.test_session import with_other_weights

TEXTS = ["good", "bad and slow", "好吃 tasty", "tasty " * 9, "太慢了", "", "fine hot", "late 7 5"]
PAIRS = [(text, "fine " * (number % 4)) for number, text in enumerate(TEXTS)]
WORDS = [("good", "yes", "a", "4.5", '["x", "y"]', "u"), ("bad", "no", "b", "1.25", '["z"]', "v"),
         ("hot", "yes", "c", "3.0", "[]", "u")]  # fmt: skip
TASKS: dict[str, dict[str, object]] = {
    "sentiment": {"layers": "top:1", "rank": 2},
    "topics": {"layers": "top:2", "rank": 5, "target_modules": "attention", "pooling": "mean"},
    "stars": {"layers": "all", "rank": 1, "task": "regression"},
    "several": {"method": "head-only", "task": "multi_label_classification"},
    "windows": {"layers": "top:1", "overflow": "windows", "max_length": 7, "doc_stride": 2},
}
"""Tasks, label counts, depths, ranks, target modules, poolings and lengths that differ."""


@pytest.fixture(scope="module")
def places(tiny_backbone, adapter, pair_adapter, tmp_path_factory) -> dict[str, Path]:
    """Adapters that differ in everything, by name; one is asked pairs, one cuts texts early."""
    place = tmp_path_factory.mktemp("many")
    made = {}
    for column, (name, options) in enumerate(TASKS.items(), start=1):
        rows = [(f"{row[0]} {n}", row[column]) for n in range(6) for row in WORDS]
        lora_bert.train(
            rows, backbone=str(tiny_backbone), output=place / name, epochs=1, batch_size=8,
            dtype="float32", learning_rate=0.05, head_start="random", **options,
        )  # fmt: skip
        made[name] = with_other_weights(place / name, place / f"{name}-moved", column)
    made["short"] = with_other_weights(adapter, place / "short", 8, max_length=5)
    made["pairs"] = with_other_weights(pair_adapter, place / "pairs", 9)
    return made


def opened(tiny_backbone, places, dtype="float32", batch_size=8):
    session = lora_bert.Session(tiny_backbone, dtype=dtype, batch_size=batch_size)
    for name, place in places.items():
        session.add(place, name=name)
    return session


@pytest.fixture(scope="module")
def session(tiny_backbone, places):
    return opened(tiny_backbone, places)


@pytest.fixture(scope="module")
def alone(session):
    """What each adapter says of the texts, or pairs, alone."""
    return {name: session.values(PAIRS if name == "pairs" else TEXTS, adapter=name)
            for name in session.names}  # fmt: skip


def by_row(session, names):
    """Name, row and values of each text."""
    return zip(names, range(8), session.values(TEXTS, adapter=names), strict=True)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_each_row_by_its_adapter(tiny_backbone, places, alone, batch_size):
    session = opened(tiny_backbone, places, batch_size=batch_size)
    draw = np.random.default_rng(batch_size)
    names = draw.choice(list(places), 60).tolist()
    rows = draw.integers(0, len(TEXTS), 60).tolist()
    texts = [
        (PAIRS if name == "pairs" else TEXTS)[row] for name, row in zip(names, rows, strict=True)
    ]
    found = session.values(texts, adapter=names)
    predictions = session.predict(texts, adapter=names)
    for name, row, values, said in zip(names, rows, found, predictions, strict=True):
        np.testing.assert_allclose(values, alone[name][row], atol=1e-5)
        task = session.predictor(name).task
        (expected,) = task.decode(alone[name][row : row + 1])
        assert type(said) is type(expected)
        (ours,) = task.answers(values[None])
        assert ours == pytest.approx(task.answers(alone[name][row : row + 1])[0], abs=1e-4)


def test_each_text_by_all_adapters(session, alone):
    names = [name for name in session.names if name != "pairs"]
    found = session.values(TEXTS, adapters=names)
    assert list(found) == names
    for name, values in found.items():
        np.testing.assert_allclose(values, alone[name], atol=1e-5)
    said = session.predict(TEXTS, adapters=["topics", "several", "topics"])
    assert list(said) == ["topics", "several"]
    assert [one.label for one in said["topics"]] == [
        session.predictor("topics").labels[at] for at in alone["topics"].argmax(axis=1)
    ]
    pairs = session.values(PAIRS, adapters=["pairs"])
    np.testing.assert_allclose(pairs["pairs"], alone["pairs"], atol=1e-5)


def test_nothing_is_answered_with_nothing(session):
    assert session.predict([], adapter=[]) == []
    assert session.predict([], adapters=["topics"]) == {"topics": []}
    assert session.values([], adapters=["topics"])["topics"].shape == (0, 3)


def test_bfloat16_says_the_same_where_it_is_no_tie(tiny_backbone, places):
    session = opened(tiny_backbone, places, dtype="bfloat16")
    names = ["sentiment", "topics", "short"] * 8
    texts = [TEXTS[number % len(TEXTS)] for number in range(24)]
    found = session.values(texts, adapter=names)
    for name, text, values in zip(names, texts, found, strict=True):
        (alone,) = session.values([text], adapter=name)
        np.testing.assert_allclose(values, alone, atol=0.03)
        if np.ptp(np.sort(alone)[-2:]) > 0.06:
            assert values.argmax() == alone.argmax()


def test_an_adapter_with_word_embeddings_of_its_own(
    tiny_backbone, places, alone, monkeypatch, session
):
    """It shares layers with the others, and not the embeddings: it is computed by itself."""
    from dataclasses import replace

    from lora_bert.model.segments import PreparedAdapter

    engine = session.predictor("topics").engine
    other = replace(engine.prepared.backbone,
                    word_embeddings=engine.prepared.backbone.word_embeddings * 0.5)  # fmt: skip
    own = PreparedAdapter(other, engine.prepared.adapter, engine.prepared.updates)
    monkeypatch.setitem(engine.__dict__, "prepared", own)
    monkeypatch.setattr(engine, "_backbone", other)
    expected = session.values(TEXTS, adapter="topics")
    assert np.abs(expected - alone["topics"]).max() > 1e-3
    names = ["topics", "sentiment"] * 4
    for name, row, values in by_row(session, names):
        wanted = expected if name == "topics" else alone[name]
        np.testing.assert_allclose(values, wanted[row], atol=1e-5)
    found = session.values(TEXTS, adapters=["topics", "sentiment"])
    np.testing.assert_allclose(found["topics"], expected, atol=1e-5)
    np.testing.assert_allclose(found["sentiment"], alone["sentiment"], atol=1e-5)


def test_what_is_refused(session):
    with pytest.raises(ConfigError, match="2 texts and 1 name of adapters"):
        session.predict(["good", "bad"], adapter=["topics"])
    with pytest.raises(ConfigError, match="has no adapter 'topicz'") as caught:
        session.predict(["good"], adapter=["topicz"])
    assert "Did you mean 'topics'?" in caught.value.hint
    with pytest.raises(InputTypeError, match="number 2 is one text") as caught:
        session.predict(["good", ("a", "b"), "bad"], adapter=["topics", "pairs", "pairs"])
    assert "pairs" in caught.value.hint
    with pytest.raises(InputTypeError, match="number 1 is a pair"):
        session.predict(["good", ("a", "b")], adapters=["topics", "several"])
    with pytest.raises(InputTypeError, match=r"pass \[text\]"):
        session.predict("good", adapters=["topics"])
    for ask in (session.predict, session.values):
        with pytest.raises(ConfigError, match="adapters is empty, so nobody answers"):
            ask(["good"], adapters=[])
        assert ask([], adapter=[]) == []
    for names in ("topics", 5, [5]):
        with pytest.raises(InputTypeError, match="a list of strings"):
            session.predict(["good"], adapters=names)
    with pytest.raises(InputTypeError, match="not dict"):
        session.predict({"good": 1}, adapter=["topics"])
    for wrong in ({}, {"adapter": "topics", "adapters": ["topics"]}):
        with pytest.raises(ConfigError, match="Either adapter or adapters"):
            session.predict(["good"], **wrong)
    with pytest.raises(ConfigError, match=r"Adapter 'stars'.*for labels"):
        session.predict(["good"] * 2, adapter=["topics", "stars"], min_score=0.5)
    for ask, slip, meant in (
        (session.predict, "min_scor", "min_score"),
        (session.predictor("topics").predict, "min_scor", "min_score"),
        (session.predict, "adaptr", "adapter"),
        (session.values, "adaptr", "adapter"),
        (session.predictor("topics").values, "text", "texts"),
    ):
        with pytest.raises(ConfigError, match=f"Unknown option '{slip}'") as caught:
            ask(["good"], **{slip: 0.5})
        assert caught.value.hint == f"Did you mean '{meant}'?"
    (said,) = session.predict(["good"], adapter=["topics"], min_score=1.0, otherwise="ask")
    assert said.label == "ask"


def test_texts_that_are_cut_are_told_of_by_adapter(session, caplog):
    long = "good " * 500
    session.predict([long, "bad"], adapter=["topics", "sentiment"])
    (said,) = caplog.messages
    assert said.startswith("Adapter 'topics': 1 of 1 text is longer than")
    caplog.clear()
    session.values([long, "bad"], adapters=["topics", "sentiment"])
    assert [text.partition(" is ")[0] for text in caplog.messages] == [
        f"Adapter '{name}': 1 of 2 texts" for name in ("topics", "sentiment")
    ]


def test_a_text_that_cannot_be_answered_is_named_by_its_place(session, monkeypatch):
    from lora_bert.tokens.tokenizer import TextTokenizer

    def refused(self, texts):
        raise TextError("No row for it.", number=1)

    monkeypatch.setattr(TextTokenizer, "encode", refused)
    with pytest.raises(TextError) as caught:
        session.predict(TEXTS[:4], adapter=["topics", "short", "topics", "short"])
    assert caught.value.number == 2


def test_threads_ask_mixtures_at_the_same_time(session, alone):
    names = [name for name in session.names if name != "pairs"]

    def ask(seed):
        draw = np.random.default_rng(seed)
        chosen = draw.choice(names, len(TEXTS)).tolist()
        for name, row, values in by_row(session, chosen):
            np.testing.assert_allclose(values, alone[name][row], atol=1e-5)
        for name, values in session.values(TEXTS, adapters=chosen).items():
            np.testing.assert_allclose(values, alone[name], atol=1e-5)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(24)))


def test_more_rows_than_are_sorted_together(session, alone, monkeypatch):
    from lora_bert.inference import many_adapters

    monkeypatch.setattr(many_adapters, "TEXTS_AT_ONCE", 3)
    names = ["topics", "short", "several", "topics"] * 2
    for name, row, values in by_row(session, names):
        np.testing.assert_allclose(values, alone[name][row], atol=1e-5)
    found = session.values(TEXTS, adapters=["short", "topics"])
    for name, values in found.items():
        np.testing.assert_allclose(values, alone[name], atol=1e-5)
