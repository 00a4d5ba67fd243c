"""Who is let in: names of the host, where a page comes from, secrets."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lora_bert.serving.refusals import RefusedError

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(frozen=True, repr=False)
class Access:
    """What a request must show.

    A browser that was led to this address under a name of somebody else's sends that name; so names
    are checked. An address in numbers cannot be led anywhere.

    Attributes:
        hosts: Names by which the server may be called beside ``localhost``; ``*`` for any.
        api_key: What requests must bear, if anything.
        admin_token: What loads and unloads adapters; None: nothing does.
    """

    hosts: Sequence[str] = ()
    api_key: str | None = None
    admin_token: str | None = None

    def check(self, request: Request, key: str) -> None:
        """Check a request to an operation that needs ``key``.

        Raises:
            RefusedError: ``misdirected``, ``forbidden``, ``unauthorized``, or ``unknown`` for what
                is switched off.
        """
        if len(request.headers.getlist("host")) > 1:
            raise RefusedError("malformed", "The request has several Host headers.")
        host = request.headers.get("host", "")
        # Browsers always send it; checks of HTTP/1.0 need not.
        if "host" in request.headers and not self._is_ours(host):
            raise RefusedError(
                "misdirected", f"The server is not called '{host:.80}'.",
                hint="Add a name that it has with --allowed-host.",
            )  # fmt: skip
        origin = request.headers.get("origin")
        if origin is not None and request.method != "GET" and origin.partition("://")[2] != host:
            raise RefusedError("forbidden", "Pages of other servers may not ask.")
        if key == "admin" and self.admin_token is None:
            raise RefusedError(
                "unknown", "Adapters are not loaded by request here.",
                hint="The server was started without --admin-token.",
            )  # fmt: skip
        secret = {"api": self.api_key, "admin": self.admin_token}.get(key)
        if secret is not None and not _bears(request, secret):
            raise RefusedError(
                "unauthorized", "The request needs the header 'Authorization: Bearer …'."
            )

    def _is_ours(self, host: str) -> bool:
        if "*" in self.hosts:
            return True
        name = _name_in(host)
        try:
            ip_address(name)
        except ValueError:
            return name == "localhost" or name in (each.lower() for each in self.hosts)
        return True


def _name_in(host: str) -> str:
    """``example.org:80`` -> ``example.org``, ``[::1]:80`` -> ``::1``."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _bears(request: Request, secret: str) -> bool:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    # Starlette has read the header's bytes as Latin-1.
    same = hmac.compare_digest(given.strip().encode("latin-1"), secret.encode())
    return same and kind.lower() == "bearer"
