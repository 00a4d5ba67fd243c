"""Connections that answer in HTTP/1.1 who would rather have HTTP/2, and are closed politely."""

from __future__ import annotations

import asyncio
from typing import Any

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lora_bert.serving.door import Door

_SILENT = 1.0
"""Seconds without a byte after which the client is not sending any more."""


def connection_class(seconds: float, door: Door) -> type[asyncio.Protocol]:
    """Uvicorn's connections, with two faults of theirs mended, and a door.

    Args:
        seconds: So long a connection that is to be closed reads what still comes.
        door: Answers what is turned away.
    """
    return type("Connection", (_Connection,), {"seconds": seconds, "door": door})


class _Connection(HttpToolsProtocol):
    """A connection.

    The system resets one that is closed while something of the client's is unread, and the client
    loses the answer that says why. So nothing more is sent, and what still comes is dropped.

    Clients that can speak HTTP/2, as Java's by default, offer to change to it with ``Upgrade: h2c``
    and go on as before where nobody takes it up; httptools would lose the body of such a request.
    So its head is read again without the offer.

    And while the server has too much to do, requests are turned away at the door.
    """

    seconds: float
    door: Door
    _within = False  # a request has begun, and has not ended

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.parser: Any = _Parser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(_Transport(transport, self, self.seconds))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        if (answer := self._turned_away(data)) is None:
            super().data_received(data)
            return
        self.transport.write(answer)
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _turned_away(self, data: bytes) -> bytes | None:
        """The answer to a new request, where it is not to be taken."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if self._within or busy or self.flow.write_paused:
            return None
        client = self.client[0] if self.client else ""
        return self.door.answer(data, client, lambda: self.server_state.default_headers)

    def on_message_begin(self) -> None:
        self._within = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if not self.parser.is_offered:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.is_offered:
            self._within = False
            super().on_message_complete()


class _Parser:
    """httptools' parser, which takes no offer of another protocol for the end of HTTP."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._begin()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    @property
    def is_offered(self) -> bool:
        """Whether the request that is read offers another protocol; CONNECT asks for a tunnel."""
        return bool(self._parser.should_upgrade()) and self._parser.get_method() != b"CONNECT"

    def feed_data(self, data: bytes) -> None:
        """Read what has come, from the head of a request with an offer on once more without it."""
        while True:
            try:
                self._parser.feed_data(data)
                return
            except HttpParserUpgrade as end_of_head:
                if not self.is_offered:
                    raise
                data = self._without_offer() + data[end_of_head.args[0] :]
                self._begin()

    def _begin(self) -> None:
        self._parser = HttpRequestParser(self._connection)
        # As uvicorn has it: another request may follow one that wants to be the last.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _without_offer(self) -> bytes:
        """The head that was read, without the header that offers another protocol."""
        version = self._parser.get_http_version().encode()
        first = b"%b %b HTTP/%b" % (self._parser.get_method(), self._connection.url, version)
        headers = [pair for pair in self._connection.headers if pair[0] != b"upgrade"]
        return b"\r\n".join([first, *(b"%b: %b" % pair for pair in headers), b"", b""])


class _Transport:
    """A transport that reads the rest of a request before it closes."""

    def __init__(self, transport: Any, connection: Any, seconds: float) -> None:
        self._transport, self._connection, self._seconds = transport, connection, seconds
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closed or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing():
            return
        self._closed = True
        cycle = self._connection.cycle
        if cycle is None or not cycle.more_body:
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.set_protocol(_Rest(self._transport, self._connection, self._seconds))
        self._transport.resume_reading()


class _Rest(asyncio.Protocol):
    """Drops what comes, until the client ends the connection, says nothing, or time is up."""

    def __init__(self, transport: Any, connection: Any, seconds: float) -> None:
        self._transport, self._connection = transport, connection
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time() + seconds
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._end.cancel()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        self._connection.connection_lost(exc)

    def _wait(self) -> None:
        until = min(self._last, self._loop.time() + _SILENT)
        self._end = self._loop.call_at(until, self._transport.abort)
