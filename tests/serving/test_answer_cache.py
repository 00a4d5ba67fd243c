"""Answers that are kept: whose they are, how many, until when."""

from __future__ import annotations

import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from weakref import ref

import numpy as np
import pytest

from lora_bert.serving.answer_cache import AnswerCache, AnswerKey
from tests.inference.test_session import with_other_weights
from tests.serving.test_protocols import posted

PREDICT = "/adapters/reviews/predict"


class Owner:
    pass


def key(owner, text="good"):
    return AnswerKey(ref(owner), (text.encode(), b""))


def test_an_answer_is_its_owners_alone():
    hits, cache = list[int](), AnswerCache(1e6, lambda: hits.append(1))
    one, other = Owner(), Owner()
    batch = np.arange(6, dtype=np.float32).reshape(3, 2)
    cache.keep(key(one), batch[1:2])
    batch[:] = -1  # the next one is computed
    assert cache.get(key(one)).tolist() == [[2, 3]]
    assert cache.get(key(other)) is cache.get(key(one, "bad")) is None
    assert len(hits) == 1


def test_those_that_were_asked_longest_ago_go():
    owner, answer = Owner(), np.zeros((1, 100), np.float32)
    cache = AnswerCache(3500)
    for text in ("a", "b", "c"):
        cache.keep(key(owner, text), answer)
    assert cache.get(key(owner, "a")) is not None
    cache.keep(key(owner, "d"), answer)
    assert [cache.get(key(owner, text)) is not None for text in "abcd"] == [True, False, True, True]
    assert 0 < cache.bytes <= 3500
    cache.keep(key(owner, "e"), np.zeros((1, 10_000), np.float32))  # more than all may take
    assert cache.get(key(owner, "e")) is None
    assert cache.get(key(owner, "d")) is not None


def test_answers_go_with_their_owner():
    owner, stays, cache = Owner(), Owner(), AnswerCache(1e6)
    cache.keep(key(stays), np.zeros((1, 2)))
    before = cache.bytes
    keys = [key(owner, str(number)) for number in range(50)]
    for each in keys:
        cache.keep(each, np.zeros((1, 2)))
    assert cache.bytes > before
    del owner
    assert cache.bytes == before
    assert [cache.get(each) for each in keys] == [None] * 50
    assert cache.get(key(stays)) is not None


def test_many_threads():
    """Owners come and go while answers are kept, asked and let go."""
    cache = AnswerCache(20_000)

    def asks(number):
        for at in range(300):
            owner = Owner()
            for text in ("a", "b"):
                cache.keep(key(owner, text), np.full((1, 2), number + at))
                found = cache.get(key(owner, text))
                assert found is None or found.tolist() == [[number + at] * 2]
        return True

    switched = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(asks, range(0, 8000, 1000)))
    finally:
        sys.setswitchinterval(switched)
    assert cache.bytes == 0


@pytest.fixture
def directory(adapters, tmp_path):
    place = tmp_path / "adapters"
    shutil.copytree(adapters / "reviews", place / "reviews")
    shutil.copytree(adapters / "tagger", place / "tagger")
    with_other_weights(adapters / "reviews", tmp_path / "second", 3)
    return place


def figure(client, name):
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"lora_bert_{name} ")).split()[1])


def computed(client, rows):
    """Whether so many were computed; a batch is counted when it has been answered."""
    until = time.monotonic() + 5
    while (found := figure(client, "computed_rows_total")) < rows and time.monotonic() < until:
        time.sleep(0.01)
    return found == rows


def test_the_server_computes_a_text_once(serve, directory):
    client = serve(directory, answer_cache=1)
    body = {"texts": ["good tasty", "bad"], "adapters": ["reviews", "tagger"]}
    first = posted(client, "/v1/predict", body)
    assert computed(client, 4)
    assert posted(client, "/v1/predict", body) == first
    raw = posted(client, PREDICT, {"inputs": "bad", "raw_scores": True})
    assert raw != posted(client, PREDICT, {"inputs": "bad"})
    assert computed(client, 4)
    assert figure(client, "cache_hits_total") == 6
    assert figure(client, "cache_bytes") > 0
    # Half of a request is known; and of a text that is cut something else is read: "good".
    posted(client, PREDICT, {"inputs": [["bad"], ["good"]]})
    cut = {"model": "reviews", "input": "good tasty", "truncate_prompt_tokens": 3}
    whole = {"model": "reviews", "input": "good tasty"}
    found = [posted(client, "/classify", each)["data"][0]["probs"] for each in (whole, cut)]
    assert found[0] != found[1]
    assert computed(client, 5)


def test_another_adapter_of_the_name_answers_for_itself(serve, directory, tmp_path):
    client = serve(directory, answer_cache=1, admin_token="t")
    first = [posted(client, PREDICT, {"inputs": "good"}) for _ in range(2)][-1]
    # By the directory,
    (directory / "reviews").rename(tmp_path / "gone")
    (tmp_path / "second").rename(directory / "reviews")
    second = posted(client, PREDICT, {"inputs": "good"})
    assert second != first
    # and by request.
    (tmp_path / "gone").rename(directory / "first")
    body = {"lora_name": "reviews", "lora_path": "first", "load_inplace": True}
    headers = {"authorization": "Bearer t"}
    assert client.post("/v1/load_lora_adapter", json=body, headers=headers).status_code == 200
    assert posted(client, PREDICT, {"inputs": "good"}) == first
    assert figure(client, "cache_hits_total") == 1
    assert client.post(
        "/v1/unload_lora_adapter", json={"lora_name": "reviews"}, headers=headers
    ).status_code == 200  # fmt: skip
    posted(client, PREDICT, {"inputs": "good"}, 404)


def test_nothing_is_kept_unless_it_is_asked_for(client):
    for _ in range(2):
        before = figure(client, "computed_rows_total")
        posted(client, PREDICT, {"inputs": "good"})
        assert computed(client, before + 1)
    assert figure(client, "cache_hits_total") == figure(client, "cache_bytes") == 0
