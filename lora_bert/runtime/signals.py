"""Being stopped by others: Ctrl-C and SIGTERM as exceptions, at moments that suit us."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_MOMENT = 0.01
_DEFAULT = (signal.SIG_DFL, signal.default_int_handler)


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived: the process is to end, and may be killed if that takes long."""


class _Waiting:
    """How deep we are in blocks that must not be interrupted, and what arrived meanwhile.

    ``outer`` is the frame that signals may interrupt everything within.
    """

    outer: FrameType | None = None
    depth = 0
    arrived: list[int] = []  # noqa: RUF012 - signals are the process's, and so is this


@contextmanager
def stoppable() -> Iterator[None]:
    """In the block Ctrl-C raises KeyboardInterrupt and SIGTERM :class:`Terminated`.

    Whatever was begun is cleaned up, and :func:`uninterrupted` can put both off. Handlers that
    somebody else installed stay. Only the main thread gets signals; elsewhere the block just runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    ours = {number: was for number in numbers if (was := signal.getsignal(number)) in _DEFAULT}
    for number in ours:
        _Waiting.outer = sys._getframe(2)  # the caller's, past contextlib's
        signal.signal(number, _arrive)
    try:
        yield
    finally:
        _Waiting.outer = None if ours else _Waiting.outer
        for number, was in ours.items():
            if signal.getsignal(number) is _arrive:  # it stays ignored: see ignore()
                signal.signal(number, was)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Inside :func:`stoppable`, signals wait for the end of the block; it must be short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Waiting.depth += 1
    try:
        yield
    finally:
        _Waiting.depth -= 1
        if _Waiting.arrived and not _Waiting.depth:
            urgent = signal.SIGTERM in _Waiting.arrived
            raise_now(signal.SIGTERM if urgent else signal.SIGINT)


def waiting() -> frozenset[int]:
    """The signals that have arrived inside :func:`uninterrupted`."""
    return frozenset(_Waiting.arrived)


def raise_now(number: int) -> None:
    """Raise what a signal stands for, inside :func:`uninterrupted` too; none waits any more.

    Raises:
        KeyboardInterrupt: For SIGINT; :class:`Terminated` for SIGTERM.
    """
    _Waiting.arrived.clear()
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def ignore(*numbers: int) -> None:
    """Let these signals do nothing from now on: the process ends by itself."""
    _Waiting.arrived.clear()
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)


def _arrive(number: int, frame: FrameType | None) -> None:
    if _Waiting.depth:
        _Waiting.arrived.append(number)
    elif _imports(frame):
        # Python's callbacks would print and forget it, C++ would abort: a moment later.
        again = threading.Timer(_MOMENT, _thread.interrupt_main, [number])
        again.daemon = True
        again.start()
    else:
        raise_now(number)


def _imports(frame: FrameType | None) -> bool:
    """Whether an import is under way."""
    while frame is not None and frame is not _Waiting.outer:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
