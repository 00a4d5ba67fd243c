"""The application: who is let in, which operation answers, what is logged and counted."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from lora_bert.messages import REQUESTS, stamp
from lora_bert.serving.access import Access
from lora_bert.serving.answering import Answerer
from lora_bert.serving.bodies import json_bytes
from lora_bert.serving.operations import Call, Operation, Protocol, plain_error
from lora_bert.serving.refusals import RefusedError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

ResponseT = TypeVar("ResponseT", bound="Response | None")

log = logging.getLogger(__name__)
requests = logging.getLogger(REQUESTS)

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_GONE = 499
"""What nginx calls a client that did not wait for its answer."""
_SHOWN = 200
"""Characters of a path or a name in the log."""
_BYTES_A_TOKEN = 3
"""Of a body, at least, in Chinese and English: so large a request is taken to be."""
_OTHER = Protocol("other", (), plain_error)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class App:
    """All protocols as one ASGI application.

    Args:
        answerer: Answers questions.
        protocols: Which there are; of equal paths the first one counts.
        access: Who is let in.
    """

    def __init__(self, answerer: Answerer, protocols: Sequence[Protocol], access: Access) -> None:
        self.answerer, self.protocols, self._access = answerer, protocols, access
        self.ready, self._requests = True, 0

    def asgi(self) -> Starlette:
        """The application for uvicorn."""
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route

        routes = [
            Route(each.path, self._endpoint(protocol, each), methods=[each.method])
            for protocol, each in self._operations()
        ]
        made = Starlette(routes=routes, exception_handlers={HTTPException: self._no_operation})
        made.router.redirect_slashes = False  # to a host that nobody has checked
        return made

    def is_crowded(self, client: str) -> bool:
        """Whether a client's next request that asks an adapter would be refused, as far as known.

        What it asks may be in the answer cache, which is not looked at here: then none would.
        """
        too_many = self._requests >= self.answerer.limits.requests
        return too_many or self.answerer.scheduler.is_late_for(client)

    def operation_at(self, path: str) -> tuple[Protocol, Operation] | None:
        """What a POST to a path asks for."""
        from starlette.routing import compile_path

        for protocol, each in self._operations():
            if each.method == "POST" and compile_path(each.path)[0].match(path):
                return protocol, each
        return None

    def turned_away(self, protocol: Protocol, operation: Operation, call: Call) -> Response | None:
        """The refusal of a request that is not let in, logged and counted; None: it is let in."""
        self._requests += 1
        try:
            self._let_in(operation, call)
            self.answerer.scheduler.leave(call.seat)
            return None
        except RefusedError as refusal:
            response = _refusal(protocol, refusal)
        finally:
            self._requests -= 1
        return self._ended(call, protocol, response, self._begun())

    def _operations(self) -> Iterator[tuple[Protocol, Operation]]:
        return ((protocol, each) for protocol in self.protocols for each in protocol.operations)

    async def _no_operation(self, request: Request, error: Exception) -> Response:
        known = {404: "unknown", 405: "not_allowed"}
        kind = known.get(getattr(error, "status_code", 0), "malformed")
        what = "path" if kind == "unknown" else "method"

        async def refused(call: Call) -> Any:
            raise RefusedError(
                kind, f"The server has no such {what}.", hint="GET /docs lists them."
            )

        answers = self._endpoint(_OTHER, Operation("GET", "", refused, "What there is not."))
        response = await answers(request)
        response.headers.update(getattr(error, "headers", None) or {})
        return response

    def _endpoint(
        self, protocol: Protocol, operation: Operation
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            call = Call(request, b"", self.answerer, self.ready)
            started = self._begun()
            response = None
            try:
                response = await self._answered(protocol, operation, call)
            finally:
                self._ended(call, protocol, response, started)
            return response

        return endpoint

    def _begun(self) -> float:
        """Count a request in; the time."""
        self.answerer.metrics.began()
        self._requests += 1
        return time.monotonic()

    def _ended(
        self, call: Call, protocol: Protocol, response: ResponseT, started: float
    ) -> ResponseT:
        """Count a request out and log it; its response, None where it has none."""
        given = call.request.headers.get("x-request-id", "")
        identity = given if _ID.fullmatch(given) else uuid.uuid4().hex
        status = 500 if response is None else response.status_code
        self.answerer.scheduler.leave(call.seat)
        self._requests -= 1
        seconds = time.monotonic() - started
        known = call.adapter if status < 400 else ""
        self.answerer.metrics.ended(protocol.name, status, known, seconds)
        _write(identity, call, status, seconds)
        if response is not None:
            response.headers.update({**_HEADERS, "x-request-id": identity})
        return response

    async def _answered(self, protocol: Protocol, operation: Operation, call: Call) -> Response:
        from starlette.responses import Response

        try:
            self._let_in(operation, call)
            if operation.method == "POST":
                call.raw = await self._body(call.request)
            answer = await self._in_time(operation, call)
            return answer if isinstance(answer, Response) else _response(200, answer)
        except RefusedError as refusal:
            return _refusal(call.spoken or protocol, refusal)
        except ConnectionError:
            return Response(status_code=_GONE)
        except asyncio.CancelledError:  # the server has waited long enough for it
            return _refusal(protocol, RefusedError("unavailable", "The server is shutting down."))
        except Exception:  # noqa: BLE001 - the client is told, the log says what it was
            log.error("A request could not be answered.\n%s", traceback.format_exc())
            return _refusal(
                protocol, RefusedError("failed", "The server met with an error of its own.")
            )

    def _let_in(self, operation: Operation, call: Call) -> None:
        """Raise RefusedError for who may not ask, or not now."""
        self._access.check(call.request, operation.key)
        if operation.method == "POST":
            self._check_room(call, sized=operation.sized)

    async def _in_time(self, operation: Operation, call: Call) -> Any:
        # Loading an adapter may take its time.
        seconds = None if operation.key == "admin" else self.answerer.limits.seconds
        try:
            async with asyncio.timeout(seconds):
                return await _unless_gone(call.request, operation.answer(call))
        except TimeoutError:
            raise RefusedError("timeout", f"There was no answer within {seconds:g} s.") from None

    def _check_room(self, call: Call, *, sized: bool) -> None:
        if self._requests > self.answerer.limits.requests:
            raise RefusedError("busy", f"{self._requests - 1:,} requests are being answered.",
                          hint="Ask again in 1 s.", retry_after=1)  # fmt: skip
        size = call.request.headers.get("content-length", "")
        if sized and size.isdecimal():
            most = int(size) // _BYTES_A_TOKEN
            call.seat = self.answerer.scheduler.check_room(most, call.client)

    async def _body(self, request: Request) -> bytes:
        from starlette.requests import ClientDisconnect

        limit, parts, size = self.answerer.limits.body, list[bytes](), 0
        said = request.headers.get("content-length", "")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RefusedError("unsupported", "The body is compressed; send it as it is.")
        try:
            async with asyncio.timeout(self.answerer.limits.seconds):
                if said.isdecimal() and int(said) > limit:
                    raise _too_large(limit)
                async for part in request.stream():
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        raise _too_large(limit)
        except TimeoutError:
            raise RefusedError("slow", "The body did not come in time.") from None
        except ClientDisconnect as gone:
            raise ConnectionError from gone
        return b"".join(parts)


async def _unless_gone(request: Request, answer: Awaitable[Any]) -> Any:
    """The answer, or ConnectionError where the client does not wait for it: then it is dropped."""
    work = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ConnectionError
    finally:
        gone.cancel()
        if not work.done():
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _too_large(limit: int) -> RefusedError:
    return RefusedError("too_large", f"The body has more than {limit:,} bytes.")


def _response(status: int, value: Any) -> Response:
    from starlette.responses import Response

    return Response(json_bytes(value), status, media_type="application/json")


def _refusal(protocol: Protocol, refusal: RefusedError) -> Response:
    response = _response(*protocol.refused(refusal))
    if refusal.retry_after is not None:
        response.headers["retry-after"] = str(refusal.retry_after)
    if refusal.kind == "unauthorized":
        response.headers["www-authenticate"] = "Bearer"
    if refusal.kind in ("too_large", "slow"):
        response.headers["connection"] = "close"  # the rest of the body is not read
    return response


def _write(identity: str, call: Call, status: int, seconds: float) -> None:
    """A line of the log: what was asked and how it ended, none of the texts and no secret."""
    if not requests.isEnabledFor(logging.INFO):
        return
    request = call.request
    client = request.client.host if request.client else ""
    said = {
        "time": stamp(time.time()),
        "id": identity,
        "client": client,
        "method": request.method,
        "path": request.url.path[:_SHOWN],
        "status": status,
        "ms": round(seconds * 1000, 1),
        "adapter": call.adapter[:_SHOWN],
        "rows": call.rows,
        "bytes": len(call.raw),
    }
    requests.info("%s", json.dumps(said))
