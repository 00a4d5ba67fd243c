"""Messages arrive whole, answers reach who has asked, and nobody waits for who is gone."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lora_bert.serving.link import Calls, Link, Message


@pytest.fixture
def ends():
    """Both ends of a link; they are closed afterwards."""
    (here_reads, there_writes), (there_reads, here_writes) = os.pipe(), os.pipe()
    files = [os.fdopen(here_reads, "rb"), os.fdopen(here_writes, "wb"),
             os.fdopen(there_reads, "rb"), os.fdopen(there_writes, "wb")]  # fmt: skip
    yield Link(*files[:2]), Link(*files[2:])
    for file in files:
        file.close()


def test_a_message_arrives_as_it_was_sent(ends):
    here, there = ends
    large = np.arange(300_000, dtype=np.int64).reshape(3, -1)
    arrays = [large, np.empty((0, 4), np.float32), np.array([[1.5], [np.nan]], np.float32)]
    sending = threading.Thread(target=here.send, args=[Message({"do": "太慢了"}, arrays)])
    sending.start()  # a pipe takes less than that
    found = there.receive()
    sending.join()
    assert found.head == {"do": "太慢了"}
    for array, want in zip(found.arrays, arrays, strict=True):
        assert (array.dtype, array.shape) == (want.dtype, want.shape)
        np.testing.assert_array_equal(array, want)


def test_each_gets_its_own_answer_whoever_reads_it(ends):
    here, there = ends
    told = list[Message]()
    calls = Calls(here, told.append)
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(calls.ask, {"do": number}) for number in range(3)]
        orders = [there.receive().head for _ in asked]
        there.send(Message({"text": "by the way"}))
        for order in reversed(orders):
            there.send(Message({"number": order["number"], "did": order["do"]}))
        assert [each.result(10).head["did"] for each in asked] == [0, 1, 2]
    assert [each.head for each in told] == [{"text": "by the way"}]


def test_nobody_waits_for_who_is_gone(ends):
    here, there = ends
    calls = Calls(here, list[Message]().append)
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(calls.ask, {}) for _ in range(3)]
        for _ in asked:
            there.receive()
        there.close()
        for each in asked:
            with pytest.raises(EOFError):
                each.result(10)
