"""Being stopped by others: Ctrl-C and SIGTERM as exceptions, at moments that suit us."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived: the process is to end, and may be killed if that takes long."""


@contextmanager
def terminable() -> Iterator[None]:
    """In the block SIGTERM raises :class:`Terminated`, so that what was begun is cleaned up.

    A handler that somebody else installed stays. Only the main thread gets signals; in another one
    the block just runs.
    """
    if not _in_main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the end of the block, which must therefore be short."""
    if not _in_main_thread():
        yield
        return
    arrived: list[int] = []
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # None: installed by other than Python, which could not put it back.
    held = {number: was for number, was in found.items() if callable(was)}
    for number in held:
        signal.signal(number, lambda number, _frame: arrived.append(number))
    try:
        yield
    finally:
        for number, was in held.items():
            signal.signal(number, was)
        if arrived:
            signal.raise_signal(arrived[0])


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
