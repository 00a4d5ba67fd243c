"""Requests that offer another protocol keep their bodies, however TCP cuts them into pieces."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

uvicorn = pytest.importorskip("uvicorn")
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
ODD = b'{"a":\r\n\r\n"POST / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"}'


class Transport(asyncio.Transport):
    """Holds what was written."""

    def __init__(self):
        super().__init__()
        self.written, self.closed = b"", False

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    resume_reading = write_eof = set_protocol = pause_reading


class Door:
    """Turns nobody away."""

    def answer(self, data, client, headers):
        return None


def answered(pieces, count):
    """What the application was asked, method, path and body, and what the client read."""
    from uvicorn.server import ServerState

    from lora_bert.serving.connections import connection_class

    asked = []

    async def app(scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        assert b"upgrade" not in dict(scope["headers"])
        asked.append((scope["method"], scope["path"], body))
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-length", b"2")]})  # fmt: skip
        await send({"type": "http.response.body", "body": b"ok"})

    async def run():
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None)
        made = connection_class(1.0, Door())(
            config=config, server_state=ServerState(), app_state={}
        )
        transport = Transport()
        made.connection_made(transport)
        for piece in pieces:
            made.data_received(piece)
            await asyncio.sleep(0)
        for _ in range(100 * count):
            if transport.written.count(b"\r\n\r\nok") == count:
                break
            await asyncio.sleep(0)
        made.connection_lost(None)
        return transport.written

    return asked, asyncio.run(run())


def request(body, *, offers, chunked=False, method=b"POST", more=b""):
    head = b"%b /v1/predict HTTP/1.1\r\nHost: localhost\r\n" % method
    head += (OFFER if offers else b"") + more
    if chunked:
        parts = [body[:7], body[7:]]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return head + length + b"\r\n" + body


def test_wherever_one_request_is_cut():
    """In two at each place, and in single bytes."""
    for sent in (
        request(ODD, offers=True),
        request(ODD, offers=True, chunked=True),
        request(ODD, offers=True).replace(b"Connection: ", b"Connection: close, "),
    ):
        cuts = [[sent[:at], sent[at:]] for at in range(len(sent))]
        for pieces in (*cuts, [bytes([byte]) for byte in sent]):
            asked, said = answered(pieces, 1)
            assert asked == [("POST", "/v1/predict", ODD)], pieces
            assert said.startswith(b"HTTP/1.1 200")


REQUESTS = st.builds(
    lambda body, offers, chunked: (body, request(body, offers=offers, chunked=chunked)),
    st.sampled_from([ODD, b"x", b"\r\n\r\n", b""]), st.booleans(), st.booleans(),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=4), st.data())
def test_requests_one_behind_the_other_in_any_pieces(requests, data):
    sent = b"".join(whole for _, whole in requests)
    cuts = data.draw(st.sets(st.integers(0, len(sent)), max_size=6))
    ends = [0, *sorted(cuts), len(sent)]
    pieces = [sent[start:end] for start, end in pairwise(ends)]
    asked, said = answered(pieces, len(requests))
    assert [body for _, _, body in asked] == [body for body, _ in requests]
    assert said.count(b"HTTP/1.1 200") == len(requests)


def test_many_offers_at_once():
    """More than Python would call itself in a row."""
    asked, _ = answered([request(b"", offers=True, method=b"GET") * 2000], 2000)
    assert [(method, body) for method, _, body in asked] == [("GET", b"")] * 2000


def test_what_is_no_request_is_refused_behind_an_offer_too():
    for wrong in (b"Content-Length: many\r\n", b"Content-Length: 1\r\nContent-Length: 2\r\n"):
        asked, said = answered([request(b"", offers=True, more=wrong)], 1)
        assert asked == []
        assert said.startswith(b"HTTP/1.1 400")
