"""Many texts through an engine: every answer in its place, whoever is done first."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from lora_bert.inference.engines import engine
from lora_bert.inference.engines.engine import answer, answers, shares
from lora_bert.inference.engines.torch_engine import TorchEngine
from lora_bert.runtime.threads import Workers
from lora_bert.tokens.batching import by_length, by_padded_length, by_tokens
from lora_bert.tokens.tokenized import TokenizedTexts
from tests.oracle import random_adapter, rows_of, tiny_engine


class Slow:
    """Answers with the first token and the length of each text; later batches are done sooner."""

    name, outputs, cut, of_tokens = "slow", 2, staticmethod(by_length), False

    def __init__(self, threads=3, breaks_at=None):
        self.threads, self.breaks_at = threads, breaks_at
        self.calls, self.alone, self.together = 0, 0, 0
        self.at_once, self.most = 0, 0
        self._lock = threading.Lock()

    def logits(self, texts, rows):
        self.alone += 1
        return self.compute(texts, rows)

    def compute(self, texts, rows):
        with self._lock:
            self.calls += 1
            call = self.calls
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            time.sleep(0.002 * (call % 4))
        finally:
            with self._lock:
                self.at_once -= 1
        if call == self.breaks_at:
            raise RuntimeError("broken")
        first = texts.ids[texts.starts[rows]]
        return np.stack([first, texts.lengths[rows]], axis=1).astype(np.float32)

    def side_by_side(self, texts):
        self.together += 1
        return self.compute, Workers(self.threads)


def texts(count, seed=0):
    lengths = np.random.default_rng(seed).integers(1, 20, count)
    return TokenizedTexts.of(
        [[number + 100] * size for number, size in enumerate(lengths)], pad_id=1
    )


@pytest.mark.parametrize("count", [7, 8, 9, 100])
def test_of_many_texts_few_wait_at_once(count, monkeypatch):
    """What waits of a million texts would take tens of megabytes."""
    monkeypatch.setattr(engine, "TEXTS_AT_ONCE", 8)
    slow, waiting, inner = Slow(), [], Workers.submit

    def noted(self, *task):
        waiting.append(len(self._waiting))
        return inner(self, *task)

    monkeypatch.setattr(Workers, "submit", noted)
    parts = [texts(count), texts(0), texts(3)]
    found = list(answers(slow, parts, 2))
    for logits, part in zip(found, parts, strict=True):
        np.testing.assert_array_equal(logits, expected(part))
    assert max(waiting) < 2 * 8


@pytest.mark.parametrize("cut", [by_length, by_padded_length, by_tokens])
def test_the_engine_says_how_batches_are_cut(cut):
    slow, encodings = Slow(), texts(200)
    slow.cut = cut
    np.testing.assert_array_equal(answer(slow, encodings, 3), expected(encodings))
    assert slow.calls == len(cut(encodings.lengths, 3))


@pytest.mark.parametrize(("device", "cut"), [("cpu", by_length), ("meta", by_tokens)])
def test_torch_fills_batches_of_a_gpu_by_their_tokens(device, cut):
    backbone = tiny_engine("bert")
    adapter = random_adapter(backbone, labels=2)
    elsewhere = replace(backbone, word_embeddings=backbone.word_embeddings.to(device))
    assert TorchEngine(elsewhere, adapter).cut is cut


def expected(encodings):
    rows = rows_of(encodings)
    return np.array([[row[0], len(row)] for row in rows], dtype=np.float32).reshape(-1, 2)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 8, 9, 100])
def test_answers_stand_where_their_texts_do(count, threads):
    found = answer(Slow(threads), encodings := texts(count), 8)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected(encodings))


def test_one_batch_starts_no_threads():
    slow = Slow()
    answer(slow, texts(8), 8)
    assert (slow.alone, slow.together, slow.calls) == (1, 0, 1)
    answer(slow, texts(9), 8)
    assert (slow.alone, slow.together, slow.calls) == (1, 1, 3)


def test_batches_are_computed_side_by_side():
    slow = Slow(3)
    answer(slow, texts(200), 8)
    assert slow.most == 3


def test_parts_in_order_and_one_ahead():
    slow, read = Slow(), []

    def parts():
        for number in range(6):
            read.append(number)
            yield texts(20 + number, seed=number)

    for number, found in enumerate(answers(slow, parts(), 4)):
        np.testing.assert_array_equal(found, expected(texts(20 + number, seed=number)))
        assert len(read) <= number + 2
    assert read == list(range(6))
    assert not slow.at_once


def test_what_breaks_is_heard_of():
    slow = Slow(breaks_at=5)
    with pytest.raises(RuntimeError, match="broken"):
        answer(slow, texts(100), 8)
    assert not slow.at_once
    assert slow.calls < 13

    def parts():
        yield texts(30)
        raise ValueError("line 31")

    with pytest.raises(ValueError, match="line 31"):
        list(answers(Slow(), parts(), 8))


def test_nobody_wants_the_rest():
    slow = Slow()
    stream = answers(slow, (texts(50) for _ in range(100)), 8)
    next(stream)
    stream.close()
    assert slow.calls < 50
    assert not slow.at_once


@pytest.mark.parametrize(
    ("cores", "split"), [(1, (1, 1)), (2, (2, 1)), (6, (6, 1)), (8, (8, 1)), (48, (8, 6))]
)
def test_one_core_a_batch_up_to_eight(cores, split, monkeypatch):
    monkeypatch.setattr(engine, "cores_allowed", lambda: cores)
    assert shares() == split


def test_cores_can_be_limited(monkeypatch):
    monkeypatch.setattr(engine.os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    for given, cores in (("1", 1), ("3", 3), ("64", 4), ("0", 4), ("", 4), ("2,1", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        assert engine.cores_allowed() == cores
