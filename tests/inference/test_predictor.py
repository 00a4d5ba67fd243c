"""``load(path).predict(texts)``: in order, in any batch, of adapters and merged models."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Thread

import numpy as np
import pytest
import torch

import lora_bert
from lora_bert.errors import ConfigError, UnavailableError
from lora_bert.inference.read_texts import told_of_texts

TEXTS = ["good " * number + "bad" for number in (30, 1, 0, 7, 120, 3)] + ["", "太慢了！", "\ud83d"]


@pytest.fixture(scope="module", params=["adapter", "merged"])
def predictor(request, adapter, merged):
    return lora_bert.load({"adapter": adapter, "merged": merged}[request.param], dtype="float32")


def test_order_and_answers_do_not_depend_on_the_batch(predictor):
    expected = predictor.probabilities(TEXTS)
    for size in (1, 2, 3, 64):
        found = replace(predictor, batch_size=size).probabilities(TEXTS)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    backwards = predictor.probabilities(TEXTS[::-1])[::-1]
    np.testing.assert_allclose(backwards, expected, atol=1e-6)
    assert np.abs(expected - expected[0]).max() > 1e-3


def test_predictions_are_the_probabilities(predictor):
    probabilities = predictor.probabilities(TEXTS)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    for answer, row in zip(predictor.predict(TEXTS), probabilities, strict=True):
        assert list(answer.scores) == ["negative", "positive"]
        assert list(answer.scores.values()) == row.tolist()
        assert answer.score == row.max() == answer.scores[answer.label]


def test_answers_that_are_not_sure_enough(predictor):
    probabilities = predictor.probabilities(TEXTS)
    line = float(np.median(probabilities.max(axis=1)))
    plain = predictor.predict(TEXTS)
    for otherwise, name in ((None, "unknown"), ("ask", "ask")):
        found = predictor.predict(TEXTS, min_score=line, otherwise=otherwise)
        assert [one.label for one in found] == [
            one.label if one.score >= line else name for one in plain
        ]
        assert {one.label == name for one in found} == {True, False}
        assert [one.best for one in found] == [one.label for one in plain]
        assert [one.scores for one in found] == [one.scores for one in plain]
    with pytest.raises(ConfigError, match="a label of this name"):
        predictor.predict(TEXTS, min_score=0.5, otherwise="positive")


def test_no_texts(predictor):
    assert predictor.predict([]) == []
    assert predictor.probabilities([]).shape == (0, 2)


def test_one_text_is_not_a_list_of_letters(predictor):
    with pytest.raises(TypeError, match=r"pass \[text\]"):
        predictor.predict("good")


def test_any_sequence_of_texts(predictor):
    assert predictor.predict(("good", "bad")) == predictor.predict(["good", "bad"])


def test_a_text_is_cut_at_the_adapters_length(predictor):
    length = predictor.manifest.max_length
    words = ["good"] * (length - 2)
    one, other = predictor.probabilities([" ".join(words), " ".join([*words, "bad", "bad"])])
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_texts_that_are_cut_are_told_of_once_a_call(predictor, caplog):
    long, said = "good " * 500, "1 of 2 texts is longer than 130 tokens and read up to there"
    for ask in (predictor.predict, predictor.values):
        for texts, told in ((["bad", long], [said]), (["bad"], []), (["bad", long], [said])):
            caplog.clear()
            ask(texts)
            assert [message.partition(",")[0] for message in caplog.messages] == told
    caplog.clear()
    with told_of_texts({"": predictor}):
        other = Thread(target=predictor.computed, args=([long],))
        other.start()
        other.join()
    assert not caplog.messages  # what another thread asks is its own


def test_a_stream_tells_of_texts_that_are_cut_once(predictor, caplog, monkeypatch):
    """At its end, whatever is asked meanwhile and by whom; also where nobody asks on."""
    long = "good " * 500
    parts = [["bad", long], ["", long, "bad"]]
    said = ["2 of 5 texts are longer than 130 tokens and read up to there",
            "1 of 5 texts is empty"]  # fmt: skip
    found = predictor.stream(parts)
    with ThreadPoolExecutor(1) as other:
        assert len(other.submit(next, found).result()) == 2
    predictor.predict(["bad"])
    assert not caplog.messages
    assert [len(values) for values in found] == [3]
    assert [message.partition(",")[0] for message in caplog.messages] == said
    caplog.clear()
    begun = predictor.stream(iter(parts[:1] * 3))
    next(begun)
    begun.close()
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "1 of 2 texts is longer than 130 tokens and read up to there"
    ]
    caplog.clear()
    monkeypatch.setattr("lora_bert.inference.predictor.TEXTS_AT_ONCE", 2)
    assert len(predictor.values(["bad", long] * 3)) == 6
    assert len(caplog.messages) == 1


def test_bfloat16_is_close(adapter):
    exact, rough = lora_bert.load(adapter), lora_bert.load(adapter, dtype="bfloat16")
    np.testing.assert_allclose(rough.probabilities(TEXTS), exact.probabilities(TEXTS), atol=0.05)


def test_by_itself_it_is_as_precise_as_is_fast(adapter, monkeypatch):
    monkeypatch.setattr("lora_bert.runtime.device._bfloat16_is_fast", lambda device: True)
    found = lora_bert.load(adapter).probabilities(TEXTS)
    rough = lora_bert.load(adapter, dtype="bfloat16").probabilities(TEXTS)
    np.testing.assert_array_equal(found, rough)


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_batches_side_by_side_give_the_same_answers(predictor, cores, monkeypatch):
    monkeypatch.setattr("lora_bert.inference.engines.engine.cores_allowed", lambda: cores)
    before = torch.get_num_threads()
    found = replace(predictor, batch_size=2).probabilities(TEXTS * 5)
    np.testing.assert_allclose(found, np.tile(predictor.probabilities(TEXTS), (5, 1)), atol=1e-6)
    assert torch.get_num_threads() == before


def test_more_texts_than_are_sorted_together(predictor, monkeypatch):
    monkeypatch.setattr("lora_bert.inference.predictor.TEXTS_AT_ONCE", 4)
    found = predictor.probabilities(TEXTS)
    monkeypatch.undo()
    np.testing.assert_allclose(found, predictor.probabilities(TEXTS), atol=1e-6)


def test_what_makes_no_sense(adapter, merged):
    for options, says in (
        ({"engine": "openvino"}, "is not exported for it"),
        ({"batch_size": 0}, "too small"),
        ({"dtype": "float8"}, "float8"),
    ):
        with pytest.raises(ConfigError, match=says):
            lora_bert.load(adapter, **options)
    with pytest.raises(ConfigError, match="has its backbone inside"):
        lora_bert.load(merged, backbone="e5-small-zh-en")


def test_cuda_where_there_is_none(adapter, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UnavailableError):
        lora_bert.load(adapter, device="cuda")


def test_cleaning_travels_with_the_adapter(tiny_backbone, reviews, tmp_path):
    lora_bert.train(
        reviews, backbone=str(tiny_backbone), output=tmp_path / "a", epochs=1, clean=True
    )
    lora_bert.merge(tmp_path / "a", tmp_path / "m")
    for path in (tmp_path / "a", tmp_path / "m"):
        predictor = lora_bert.load(path)
        one, other = predictor.probabilities(["！！good,,bad。", "good bad"])
        # Rows of a batch stand at different places of its products, which may round otherwise.
        np.testing.assert_allclose(one, other, atol=1e-6)
        assert predictor.manifest.clean
