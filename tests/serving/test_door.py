"""What is turned away at once is answered as the application would, and all else is left to it."""

from __future__ import annotations

import json
import logging

import pytest
from starlette.testclient import TestClient

from lora_bert.serving.door import Door
from lora_bert.serving.refusals import RefusedError

BODY = b'{"inputs": "good"}'
CLIENT = "10.0.0.1"


@pytest.fixture
def crowded(assemble, monkeypatch):
    """An application in which too much waits."""
    app = assemble(api_key="key")

    def busy(*_):
        raise RefusedError("busy", "Too much is waiting: 9 tokens.", retry_after=7)

    monkeypatch.setattr(app.answerer.scheduler, "is_late_for", lambda _: True)
    monkeypatch.setattr(app.answerer.scheduler, "check_room", busy)
    return app


def request(path="/predict", *more, body=BODY, first="POST {} HTTP/1.1"):
    lines = [first.format(path), "Host: localhost", "authorization: Bearer key",
             "X-Request-Id: mine", f"Content-Length: {len(BODY)}", *more]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + body


def answered(door, data):
    found = door.answer(data, CLIENT, lambda: [(b"date", b"now")])
    if found is None:
        return None
    head, _, body = found.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), json.loads(body)


def test_each_protocol_refuses_in_its_own_words(crowded, caplog):
    caplog.set_level(logging.INFO, "lora_bert")
    client, door = TestClient(crowded.asgi(), base_url="http://localhost"), Door(crowded)
    paths = {
        each.path.replace("{name}", "reviews").replace("{version}", "1")
        for protocol in crowded.protocols for each in protocol.operations
        if each.method == "POST" and each.sized
    }  # fmt: skip
    assert {"/predict", "/classify", "/", "/v2/models/reviews/infer"} <= paths
    headers = {"authorization": "Bearer key", "x-request-id": "mine"}
    for path in paths:
        want = client.post(path, content=BODY, headers=headers)
        first, found, body = answered(door, request(path))
        assert (first, body) == ("HTTP/1.1 429 Too Many Requests", want.json()), path
        assert found == {**want.headers, "date": "now"}
        assert (found["retry-after"], found["x-request-id"]) == ("7", "mine")
    lines = [json.loads(each) for each in caplog.messages if each.startswith("{")]
    assert len([each for each in lines if each["client"] == CLIENT]) == len(paths)
    counted = client.get("/metrics", headers=headers).text
    assert "lora_bert_requests_in_flight 1.0" in counted


def test_who_may_not_ask_is_told_so_first(crowded):
    door = Door(crowded)
    for wrong, status in ((b"Bearer key", "401"), (b"localhost", "421")):
        first, _, _ = answered(door, request().replace(wrong, b"other.example"))
        assert first.split()[1] == status


@pytest.mark.parametrize("data", [
    request(first="GET {} HTTP/1.1"), request(first="POST {} HTTP/1.0"), request(body=BODY[:-1]),
    request(body=BODY + b"POST"), request("/nothing"), request("/v1/predict"),
    request("/%70redict"), request("/predict?a=b"), b"", b"POST ", b"\0",
    request("/predict", "Transfer-Encoding: chunked"),
    request("/predict", "X-Forwarded-For: 10.0.0.2"), request("/predict", "connection:close"),
    request().replace(b"Content-Length", b"Content-Lengths"), request().replace(b"POST", b"PO ST"),
])  # fmt: skip
def test_what_is_not_understood_at_a_glance_goes_its_usual_way(crowded, data):
    assert answered(Door(crowded), data) is None


def test_where_nothing_waits_nothing_is_turned_away(assemble):
    assert answered(Door(assemble()), request()) is None
