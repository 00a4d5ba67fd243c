"""An answer over the network within seconds, or none."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from urllib.request import Request


def answer_of(request: str | Request, seconds: float) -> Any:
    """The answer to a request, which whoever asks closes.

    The request runs in a thread of its own because looking up a host name has no time-out.

    Raises:
        OSError: The request failed, or there is no answer in time.
    """
    import urllib.request

    answer: Future[Any] = Future()

    def ask() -> None:
        try:
            answer.set_result(urllib.request.urlopen(request, timeout=seconds))
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        raise TimeoutError(f"no answer in {seconds:.0f} seconds") from None
