"""Why a request is not answered, and the HTTP status that says so."""

from __future__ import annotations

STATUS = {
    "malformed": 400,
    "unnamed": 400,
    "empty": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "unknown": 404,
    "not_allowed": 405,
    "slow": 408,
    "too_large": 413,
    "unsupported": 415,
    "misdirected": 421,
    "invalid": 422,
    "unusable": 424,
    "busy": 429,
    "failed": 500,
    "unavailable": 503,
    "timeout": 504,
}
"""By the kind of a refusal. What each means stands in docs/serve.md."""


class RefusedError(Exception):
    """A request that is not answered: the client is told so, and no command ends with it.

    Attributes:
        hint: How to mend it, if its sentence does not say so.
        kind: A key of :data:`STATUS`.
        retry_after: Seconds after which to ask again; None where that would not help.
    """

    def __init__(
        self, kind: str, message: str, *, hint: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.kind, self.hint, self.retry_after = kind, hint, retry_after

    @property
    def status(self) -> int:
        """The HTTP status, unless a protocol has another one for it."""
        return STATUS[self.kind]

    @property
    def sentence(self) -> str:
        """What is wrong, and how to mend it."""
        return f"{self} {self.hint}".strip()
