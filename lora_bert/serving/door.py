"""Where requests are turned away before anything is made of them, while too much waits.

A refusal that goes the whole way costs as much as a small answer does. Offered ten times what it
can answer, a server would be busy with refusing, and those that it takes would wait for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from lora_bert.serving.app import App
from lora_bert.serving.operations import Call

if TYPE_CHECKING:
    from starlette.requests import Request

_LINE = re.compile(rb"POST (/[^ ?%]*) HTTP/1\.1")
_USUAL = frozenset((b"content-length", b"host"))
_OTHERWISE = frozenset(
    (b"transfer-encoding", b"content-encoding", b"expect", b"x-forwarded-for", b"connection")
)
"""Headers of requests, or of connections, that are not to be understood at a glance."""

Headers = Iterable[tuple[bytes, bytes]]


class Door:
    """Looks at what has come, and answers it in place of the application where that would refuse.

    Args:
        app: Takes all other requests.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._found = lru_cache(1024)(app.operation_at)

    def answer(self, data: bytes, client: str, headers: Callable[[], Headers]) -> bytes | None:
        """The answer to a request that is turned away; None for all that goes its usual way.

        Args:
            data: What has come, of which the first byte is that of a request.
            client: The address that it came from.
            headers: More headers for an answer.
        """
        if not self._app.is_crowded(client):
            return None
        request = _request(data, client)
        found = self._found(request.url.path) if request else None
        if request is None or found is None:
            return None
        refused = self._app.turned_away(*found, Call(request, b"", self._app.answerer))
        if refused is None:
            return None
        status = HTTPStatus(refused.status_code)
        lines = (name + b": " + value for name, value in (*headers(), *refused.raw_headers))
        first = f"HTTP/1.1 {status.value} {status.phrase}".encode()
        return b"\r\n".join((first, *lines, b"", bytes(refused.body)))


def _request(data: bytes, client: str) -> Request | None:
    """A request that has come whole, with nothing behind it; None: another look is needed."""
    from starlette.requests import Request

    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    asked = _LINE.fullmatch(first)
    headers = [(name.lower(), value.strip()) for name, _, value in
               (line.partition(b":") for line in lines)]  # fmt: skip
    named = dict(headers)
    is_plain = named.keys() >= _USUAL and _OTHERWISE.isdisjoint(named)
    if not asked or not is_plain or named[b"content-length"] != b"%d" % len(body):
        return None
    path = asked[1].decode("latin-1")
    return Request({
        "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers,
        "client": (client, 0), "scheme": "http", "server": None,
    })  # fmt: skip
