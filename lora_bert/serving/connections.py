"""Connections that answer in HTTP/1.1 who would rather have HTTP/2, and are closed politely."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_SILENT = 1.0
"""Seconds without a byte after which the client is not sending any more."""
_END = b"\r\n\r\n"
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)


def connection_class(seconds: float) -> type[asyncio.Protocol]:
    """Uvicorn's connections, with two faults of theirs mended.

    The system resets a connection that is closed while something of the client's is unread, and the
    client loses the answer that says why. So nothing more is sent, and what still comes is dropped.

    Clients that can speak HTTP/2, as Java's by default, offer to change to it with ``Upgrade: h2c``
    and go on as before where nobody takes it up; httptools would lose the body of such a request.
    So the offer is not shown to it.

    Args:
        seconds: For so long; then it is closed all the same.
    """

    class Connection(HttpToolsProtocol):
        """One of them."""

        _within = False  # a request has begun and not ended: what comes is no head

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(_Transport(transport, self, seconds))  # type: ignore[arg-type]

        def data_received(self, data: bytes) -> None:
            super().data_received(data if self._within else _without_offer(data))

        def on_message_begin(self) -> None:
            self._within = True
            super().on_message_begin()

        def on_message_complete(self) -> None:
            self._within = False
            super().on_message_complete()

    return Connection


def _without_offer(data: bytes) -> bytes:
    """What a request begins with, without the header that offers another protocol."""
    head, end, rest = data.partition(_END)
    return _UPGRADE.sub(b"", head) + end + rest


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
