"""Connections whose clients get to read the last answer, although they are still sending."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_SILENT = 1.0
"""Seconds without a byte after which the client is not sending any more."""


def connection_class(seconds: float) -> type[asyncio.Protocol]:
    """Uvicorn's connections, but that they end so.

    The system resets a connection that is closed while something of the client's is unread, and the
    client loses the answer that says why. So nothing more is sent, and what still comes is dropped.

    Args:
        seconds: For so long; then it is closed all the same.
    """

    class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        """One of them."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(_Transport(transport, self, seconds))

    return Connection


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
