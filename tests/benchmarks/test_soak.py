"""The soak finds what it is there to find."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from benchmarks.load import Answer, Connections
from benchmarks.soaking.bodies import PROTOCOLS, fuzzed
from benchmarks.soaking.hostile import _fault
from benchmarks.soaking.questions import Asker, History
from benchmarks.soaking.traffic import Traffic

TEXTS = ["a", "b", "c"]
NAMES = ("one", "two", "three", "four", "five", "swapped-0", "swapped-1", "guest")
EXPECTED = {
    name: [{f"{name}.0": at / 10, f"{name}.1": 1 - at / 10} for at in range(3)] for name in NAMES
}


def asker():
    histories = {"swapped": History("swapped-0"), "guest": History("guest")}
    return Asker(Connections("http://127.0.0.1:1"), TEXTS, EXPECTED, histories)


def test_who_may_have_answered():
    history = History("first")
    assert history.possible(0, 1) == {"first"}
    end = history.begin("second", 10)
    assert history.possible(8, 9) == {"first"}
    assert history.possible(8, 11) == history.possible(20, 21) == {"first", "second"}
    end(12)
    assert history.possible(13, 14) == {"second"}
    assert history.possible(11, 14) == {"first", "second"}
    history.begin(None, 20)(21)
    assert history.possible(13, 14) == {"second"}
    assert history.possible(22, 23) == {None}


def body(question, versions=None, alter=lambda scores: scores):
    """What the server would answer, in the question's protocol."""
    path = question.request.split()[1].decode()
    said = {name: [alter(dict(EXPECTED[(versions or {}).get(name, name)][text]))
                   for text in question.texts] for name in question.names}  # fmt: skip
    (each,) = list(said.values())[:1]
    listed = [[{"label": label, "score": score} for label, score in one.items()] for one in each]
    if path == "/v1/predict":
        return {"predictions": {name: [{"scores": one} for one in found]
                                for name, found in said.items()}}  # fmt: skip
    if path.endswith("/infer"):
        return {"outputs": [{"data": [json.dumps({"scores": one}) for one in each]}]}
    return listed[0] if path.endswith("/classify") else listed


def judged(asker, question, said, status=200):
    answer = Answer(status, b"", json.dumps(said).encode())
    return asker.judged(question, answer, 1.0, 2.0)


def test_every_answer_is_judged_in_every_protocol():
    mine, paths = asker(), set()
    first = {"swapped": "swapped-0"}
    for number in range(300):
        question = (mine.heavy if number % 10 == 9 else mine.light)(number)
        paths.add(question.request.split()[1].decode().rpartition("/")[2])
        assert judged(mine, question, body(question, first)) == "answered"
        other = {name: "one" if name != "one" else "two" for name in question.names}
        assert judged(mine, question, body(question, other)) == "foreign"
        late = {**first, "swapped": "swapped-1"}
        if "swapped" in question.names:
            assert judged(mine, question, body(question, late)) == "foreign"

        def shifted(scores):
            return {label: score + 0.01 for label, score in scores.items()}

        assert judged(mine, question, body(question, first, shifted)) == "wrong"
        assert judged(mine, question, {"predictions": {}}) == "wrong"
        assert judged(mine, question, {}, 429) == "refused"
        assert judged(mine, question, {}, 504) == "lost"
        assert judged(mine, question, {}, 404) == "wrong"
    assert {"predict", "classify", "infer"} < paths
    mine.histories["guest"].begin(None, 1.5)
    guest = next(question for number in range(300)
                 if "guest" in (question := mine.light(number)).names)  # fmt: skip
    assert judged(mine, guest, {}, 404) == "unknown"
    assert judged(mine, guest, body(guest, first)) == "answered"


def test_texts_that_change_places_are_wrong():
    mine = asker()
    question = next(each for number in range(99)
                    if len(set((each := mine.light(number)).texts)) > 1
                    and each.names == ("one",))  # fmt: skip
    said = body(question)
    listed = said if isinstance(said, list) else said["outputs"][0]["data"]
    listed.reverse()
    assert judged(mine, question, said) == "wrong"


def test_fuzzed_bodies_are_the_same_each_time_and_mostly_wrong():
    for name, protocol in PROTOCOLS.items():
        one, two = ([fuzzed(protocol, chance) for _ in range(200)]
                    for chance in (random.Random(name), random.Random(name)))  # fmt: skip
        assert one == two
        assert len({raw for _, raw, _ in one}) > 50


@pytest.mark.parametrize(("answer", "right"), [
    (Answer(200, b"content-type: application/json\r\n", b"[]"), True),
    (Answer(200, b"content-type: application/json\r\n", b"[NaN]"), False),
    (Answer(200, b"content-type: application/octet-stream\r\n", b"\0"), True),
    (Answer(422, b"", b'{"error":"x"}'), True), (Answer(422, b"", b"Unprocessable"), False),
    (Answer(500, b"", b'{"error":"x"}'), False), (Answer(415, b"", b'{"error":"x"}'), False),
])  # fmt: skip
def test_what_is_documented(answer, right):
    assert (_fault(answer, PROTOCOLS["lora-bert"]) == "") is right


@pytest.mark.enable_socket
def test_what_is_refused_is_asked_again_and_what_is_lost_is_counted():
    mine = asker()
    first = {"swapped": "swapped-0"}
    seen = dict[bytes, int]()

    async def handle(reader, writer):
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (EOFError, ConnectionError):
                break
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            whole = head + await reader.readexactly(size)
            seen[whole] = seen.get(whole, 0) + 1
            number = numbers[whole]
            if number == 7:
                break
            if seen[whole] == 1 and number % 3 == 0:
                writer.write(b"HTTP/1.1 429 x\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
                continue
            said = json.dumps(body(mine.light(number), first)).encode()
            close = b"Connection: close\r\n" if number % 5 == 0 else b""
            writer.write(b"HTTP/1.1 200 OK\r\n" + close
                         + b"Content-Length: %d\r\n\r\n" % len(said) + said)  # fmt: skip
            if close:
                break
        writer.close()

    numbers = dict[bytes, int]()

    async def asked():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        mine.connections = Connections(f"http://127.0.0.1:{port}")
        numbers.update({mine.light(number).request: number for number in range(40)})
        found = await Traffic(mine, mine.light).opened(0, 40, 2.0, 500.0)
        mine.connections.close()
        server.close()
        return found

    stage = asyncio.run(asked())
    assert stage.counts == {"answered": 39, "lost": 1, "refused": 14}
    assert (stage.done, stage.sent, len(stage.took)) == (40, 54, 39)
    assert "lost" in mine.examples[0]


def test_no_text_is_asked_twice():
    from itertools import islice

    from benchmarks.serve import long_texts, new_texts

    assert len(set(islice(new_texts(["a", "a", "b"]), 1000))) == 1000
    long = list(islice(long_texts(["a" * 7]), 20))
    assert len(set(long)) == 20
    assert min(map(len, long)) >= 1600
